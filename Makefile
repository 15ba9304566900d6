# Every target does its own set-up: a fresh clone needs Python 3.11+, make and git, nothing else.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo demo-s3 check test docs mutants bench chaos nights lint clean

.venv/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "venice-batch needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo/photos: | .venv/installed
	$(BIN)/python -m venice_batch.emulator.photos demo/photos

# Two of the twelve photos are bad on purpose, so the job ends with exit code 3: "some items failed". Anything else is an
# error here.
demo: .venv/installed demo/photos
	$(BIN)/venice-batch run configs/demo.yaml --base-url emulator; test $$? -eq 3
	$(BIN)/venice-batch items configs/demo.yaml --base-url emulator
	@echo
	@echo "Look at demo/photos (before) and demo/finished (after). Run 'make demo' again: nothing is bought twice."

# The nightly job from bucket to bucket, on a real S3 server of this machine, killed and resumed on a fresh disk.
demo-s3: .venv/installed
	$(BIN)/python -m tests.demo_s3

# What to run before every commit: under a minute on two cores. No server is started, nothing slow is tried.
check: lint
	$(BIN)/python -m pytest tests/unit tests/contract -m "not server and not slow and not live" -q -n 2

test: lint
	$(BIN)/python -m pytest -m "not bench and not live and not clients" -n 3 --dist worksteal

lint: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Writes what docs/ and configs/ repeat from the code, and looks over every page.
docs: .venv/installed
	$(BIN)/python -m tools
	$(BIN)/python -m pytest tests/unit/test_documents.py -q -n 2

# Minutes a module; `make mutants ONLY=budget` takes one. What is changed, and which tests must notice: tools/mutants.py.
mutants: .venv/installed
	$(BIN)/python -m tools.mutants $(ONLY)

bench: .venv/installed
	$(BIN)/python -m pytest tests/bench -m bench -s

# Kills, faults, full disks, jumping clocks, hostile jobs and histories with gc at full length; `make test` runs a short
# form of the same.
chaos: .venv/installed
	VENICE_CHAOS_STRIDE=1 VENICE_CHAOS_SCHEDULES=1000 VENICE_HOSTILE_CASES=500 VENICE_CHAOS_HISTORIES=2000 $(BIN)/python -m pytest tests/chaos -s --ignore=tests/chaos/test_kills.py
	$(BIN)/python -m tests.chaos.kills --kills 200 --seed 1
	$(BIN)/python -m tests.chaos.kills --kills 50 --seed 1 --bucket

# Sixty nights of a simulated shop, of ten seeds in folders and two in a bucket; `make test` lets ten nights pass.
nights: .venv/installed
	$(BIN)/python -m tests.nights --seed 1 --seeds 10
	$(BIN)/python -m tests.nights --seed 11 --seeds 2 --bucket

# The vendor's command line and public SDKs, from npm and PyPI, against the emulator.
clients: .venv/installed
	$(BIN)/python -m pytest tests/clients -m clients

# The only target that spends money: one photo and one prompt through every endpoint of the real API, 1 USD at most.
live: .venv/installed
	@test -n "$$VENICE_API_KEY$$VENICE_API_KEY_FILE" || { echo "set VENICE_API_KEY or VENICE_API_KEY_FILE first"; exit 2; }
	@printf 'This buys pictures at %s, for 1 USD at most (about 0.15). Type yes to go on: ' \
		"$${VENICE_BASE_URL:-the real Venice API}"; read answer; test "$$answer" = yes
	VENICE_LIVE=yes $(BIN)/python -m pytest tests/live -m live

clean:
	rm -rf .venv demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
