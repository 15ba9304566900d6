"""What a plan costs: exact where everything is known, a range where it is not, nothing twice."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

import pytest
from PIL import Image

from tests.unit.plan.conftest import Bench, amounts, statuses
from venice_batch import imaging
from venice_batch.imaging import Facts
from venice_batch.plan.model import Plan
from venice_batch.plan.reading.probe import file_hash
from venice_batch.plan.selection import ItemFilter
from venice_batch.report.json_models import document
from venice_batch.state import Released, SourceRead
from venice_batch.steps.canonical_json import canonical
from venice_batch.steps.chain import Purchase
from venice_batch.steps.conditions import Known
from venice_batch.steps.input_key import InputKey


def calls(plan: Plan) -> dict[str, tuple[int, int]]:
    return {step.id: (step.calls_low, step.calls) for step in plan.steps}


def colours(bench: Bench, number: int, size: tuple[int, int] = (300, 300)) -> None:
    for each in range(number):
        bench.picture(f"{each}.png", size, colour=f"#{each:02}{each:02}99")


def test_an_exact_plan_has_one_price(bench: Bench) -> None:
    colours(bench, 3)
    plan = bench.plan("background-remove", "upscale: {scale: 4}")
    assert amounts(plan) == ("0.33", "0.33")
    assert calls(plan) == {"background-remove": (3, 3), "upscale": (3, 3)}
    assert [step.model for step in plan.steps] == ["bria-bg-remover", "upscaler"]


def test_a_condition_on_what_is_known_is_exact(bench: Bench) -> None:
    bench.picture("small.png", (300, 300))
    bench.picture("large.png", (900, 300))
    plan = bench.plan("{upscale: , when: {max_side_below: 500}}")
    assert amounts(plan) == ("0.02", "0.02")
    assert calls(plan) == {"upscale": (1, 1)}


def test_a_condition_sees_the_picture_upright(bench: Bench) -> None:
    path = bench.picture("a.jpg", (400, 300))
    with Image.open(path) as picture:
        exif = picture.getexif()
        exif[0x0112] = 6
        picture.save(path, exif=exif)
    assert amounts(bench.plan("{upscale: , when: {height_at_least: 400}}"))[1] == "0.02"
    assert amounts(bench.plan("{upscale: , when: {width_at_least: 400}}"))[1] == "0.00"


def test_a_condition_after_an_edit_gives_a_range(bench: Bench) -> None:
    colours(bench, 2)
    plan = bench.plan("edit: {prompt: p}", "{upscale: , when: {max_side_below: 2000}}", "background-remove")
    assert amounts(plan) == ("0.14", "0.18")
    assert calls(plan) == {"edit": (2, 2), "upscale": (0, 2), "background-remove": (2, 2)}


def test_sizes_are_known_after_upscale_and_background_remove(bench: Bench) -> None:
    colours(bench, 1)
    plan = bench.plan("upscale", "background-remove", "{upscale: , id: again, when: {width_below: 601}}")
    assert amounts(plan) == ("0.07", "0.07")
    assert amounts(bench.plan("upscale", "background-remove", "{upscale: , when: {width_below: 600}}"))[1] == "0.05"


def test_equal_pictures_are_paid_for_once(bench: Bench) -> None:
    for key in ("a.png", "b.png", "c/d.png"):
        bench.picture(key)
    bench.picture("other.png", colour="blue")
    plan = bench.plan("upscale", "background-remove")
    assert amounts(plan) == ("0.10", "0.10")
    assert statuses(plan) == {"a.png": "new", "b.png": "new", "c/d.png": "new", "other.png": "new"}


def test_pictures_of_equal_size_but_other_bytes_are_not_equal(bench: Bench) -> None:
    one, other = bench.picture("a.bmp", colour="#010101"), bench.picture("b.bmp", colour="#020202")
    assert one.stat().st_size == other.stat().st_size
    assert amounts(bench.plan("upscale")) == ("0.04", "0.04")


def read(bench: Bench, key: str, path: Path) -> None:
    """Record an input as an earlier run would have."""
    found = path.stat()
    facts = canonical(imaging.probe(path).to_json())
    version = f"{found.st_size}-{found.st_mtime_ns}"
    bench.state.commit([SourceRead("job", key, version, found.st_size, file_hash(path), facts)])


def purchase(bench: Bench, path: Path, *steps: str) -> Purchase:
    """Return what the first paid step buys for the bytes at `path`."""
    chain = bench.pipeline(bench.job(*steps)).chain
    _, stop = chain.advance(chain.start(InputKey("source", file_hash(path)), Known()))
    assert isinstance(stop, Purchase)
    return stop


def test_a_renamed_file_costs_nothing(bench: Bench) -> None:
    path = bench.picture("before.png")
    bench.buy(purchase(bench, path, "upscale").result)
    read(bench, "before.png", path)
    path.rename(path.with_name("after.png"))
    plan = bench.plan("upscale")
    assert statuses(plan) == {"after.png": "reused"}
    assert amounts(plan) == ("0.00", "0.00")
    assert calls(plan) == {"upscale": (0, 0)}


def test_an_input_that_is_known_is_not_read_again(bench: Bench) -> None:
    path = bench.picture("a.png")
    bench.buy(purchase(bench, path, "upscale").result)
    read(bench, "a.png", path)
    found = path.stat()
    # Same size and time, other bytes: if it were read, the result would not be found.
    path.write_bytes(b"x" * found.st_size)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert statuses(bench.plan("upscale")) == {"a.png": "reused"}


def test_a_stored_result_tells_its_size_to_the_steps_after_it(bench: Bench) -> None:
    path = bench.picture("a.png")
    read(bench, "a.png", path)
    step = "edit: {prompt: p}"
    facts = {"width": 1500, "height": 100, "format": "PNG", "mode": "RGB", "has_alpha": False, "orientation": 1}
    bench.buy(purchase(bench, path, step).result, checked={"facts": {**facts, "frames": 1, "bytes": 9}, "flags": []})
    assert amounts(bench.plan(step, "{upscale: , when: {max_side_below: 1500}}")) == ("0.00", "0.00")
    assert amounts(bench.plan(step, "{upscale: , when: {max_side_below: 1501}}")) == ("0.02", "0.02")


def test_a_later_step_that_changed_buys_only_itself(bench: Bench) -> None:
    path = bench.picture("a.png")
    read(bench, "a.png", path)
    bench.buy(purchase(bench, path, "upscale").result)
    assert amounts(bench.plan("upscale", "background-remove")) == ("0.03", "0.03")
    assert amounts(bench.plan("upscale: {scale: 4}", "background-remove")) == ("0.11", "0.11")


def test_a_chain_without_paid_steps_is_free(bench: Bench) -> None:
    bench.balances = {}
    colours(bench, 2)
    plan = bench.plan("fit: {max_side: 100}")
    assert statuses(plan) == {"0.png": "new", "1.png": "new"}
    assert plan.coverage.covered
    assert plan.eta_seconds == 0


def test_broken_and_small_pictures_are_invalid_and_cost_nothing(bench: Bench) -> None:
    bench.picture("good.png")
    bench.picture("tiny.png", (100, 100))
    (bench.folder / "in" / "text.png").write_bytes(b"no picture")
    (bench.folder / "in" / "empty.png").write_bytes(b"")
    plan = bench.plan("upscale")
    assert statuses(plan) == {"empty.png": "invalid", "good.png": "new", "text.png": "invalid", "tiny.png": "invalid"}
    codes = {item.key: item.code for item in plan.items if item.code}
    assert codes["tiny.png"] == "too-small"
    assert amounts(plan) == ("0.02", "0.02")


def test_a_small_picture_that_is_enlarged_first_is_fine_for_the_next_step(bench: Bench) -> None:
    bench.picture("a.png", (260, 260))
    assert amounts(bench.plan("upscale", "edit: {prompt: p}"))[1] == "0.06"


# Time, money and form


def test_the_slowest_rate_limiter_tells_the_time(bench: Bench) -> None:
    colours(bench, 4)
    assert bench.plan("upscale").eta_seconds == 4 * 60 / 30
    assert bench.plan("upscale", "background-remove").eta_seconds == 4 * 60 / 20


def test_each_variant_takes_its_turn_on_the_rate_limiter(bench: Bench) -> None:
    (bench.folder / "p.csv").write_text("id,prompt\na,x\nb,y\n")
    plan = bench.plan("generate: {model: z-image-turbo, variants: 3}", source="{prompts: p.csv}")
    assert plan.eta_seconds == 6 * 60 / 20


def test_the_high_end_must_be_covered(bench: Bench) -> None:
    colours(bench, 1)
    steps = ("edit: {prompt: p}", "{upscale: , when: {max_side_below: 2000}}")
    bench.balances = {"USD": Decimal("0.05")}
    assert not bench.plan(*steps).coverage.covered
    bench.balances = {"USD": Decimal("0.06")}
    assert bench.plan(*steps).coverage.covered


def test_the_json_form_is_the_one_that_scripts_rely_on(bench: Bench) -> None:
    bench.balances = {"USD": Decimal("1.5"), "DIEM": Decimal(0)}
    colours(bench, 2)
    told = document("plan", bench.plan("upscale"))
    assert told == {
        "items": {"new": 2, "changed": 0, "waiting": 0, "invalid": 0, "reused": 0, "total": 2},
        "calls": 2,
        "cost": {"low": "0.04", "high": "0.04"},
        "balance": {"usd": "1.50", "diem": "0.00"},
        "covered": True,
        "eta_seconds": 4,
        "steps": [
            {
                "id": "upscale",
                "step": "upscale",
                "model": "upscaler",
                "calls": 2,
                "cost": {"low": "0.04", "high": "0.04"},
            }
        ],
        "warnings": [],
    }


def test_planning_changes_nothing_anywhere(bench: Bench) -> None:
    colours(bench, 3)
    bench.picture("copy.png", colour="#000099")

    def snapshot() -> dict[str, bytes | None]:
        found = (path for path in bench.folder.rglob("*") if not path.name.endswith(("-shm", "-wal")))
        return {str(path): path.read_bytes() if path.is_file() else None for path in found}

    before = snapshot()
    bench.plan("upscale", item_filter=ItemFilter(retry_failed=True))
    assert snapshot() == before


# Flagged results


def hold(bench: Bench, *flags: str) -> str:
    """Keep a flagged enlargement of a.png; return its key."""
    path = bench.picture("a.png")
    read(bench, "a.png", path)
    key = purchase(bench, path, "upscale").result
    facts = Facts(600, 600, "PNG", "RGB", has_alpha=False, orientation=1, frames=1, bytes=9)
    bench.buy(key, checked={"facts": facts.to_json(), "flags": list(flags)})
    return key


@pytest.mark.parametrize(
    ("rule", "calls_behind"),
    [
        ("hold", {"upscale": 0, "background-remove": 0}),
        ("fail", {"upscale": 0, "background-remove": 0}),
        ("publish", {"upscale": 0, "background-remove": 1}),
        ("retry", {"upscale": 1, "background-remove": 1}),
    ],
)
def test_what_comes_of_a_flagged_result_is_priced_by_the_rule(
    bench: Bench, rule: str, calls_behind: dict[str, int]
) -> None:
    hold(bench, "soft")
    plan = bench.plan("upscale", "background-remove", more=f"run: {{on_flagged: {rule}}}")
    assert calls(plan) == {step: (number, number) for step, number in calls_behind.items()}


def test_a_released_result_costs_what_is_behind_it(bench: Bench) -> None:
    key = hold(bench, "soft")
    bench.state.commit([Released(key, "", 1.0)])
    assert calls(bench.plan("upscale", "background-remove")) == {"upscale": (0, 0), "background-remove": (1, 1)}
    plan = bench.plan("upscale")
    assert (amounts(plan), statuses(plan)) == (("0.00", "0.00"), {"a.png": "reused"})


def test_what_the_content_policy_refused_or_was_retried_before_is_priced_as_held(bench: Bench) -> None:
    retry = "run: {on_flagged: retry}"
    key = hold(bench, "blocked")
    assert calls(bench.plan("upscale", more=retry)) == {"upscale": (0, 0)}
    found = bench.state.results.find(key)
    assert found is not None
    bench.state.commit([bench.state.results.set_aside(found)])
    assert calls(bench.plan("upscale", more=retry)) == {"upscale": (1, 1)}
    hold(bench, "soft")
    assert calls(bench.plan("upscale", more=retry)) == {"upscale": (0, 0)}
