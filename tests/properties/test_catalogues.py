"""Whatever the catalogue holds, a plan has published prices or is refused: none is guessed, and none is 0."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.unit.plan.conftest import Bench
from venice_batch.errors import JobError
from venice_batch.plan.model import Plan
from venice_batch.plan.pipeline import Pipeline
from venice_batch.plan.planner import PlanInputs, make_plan
from venice_batch.state import to_write
from venice_batch.venice import Account, Catalogue
from venice_batch.venice.catalogue import Model, read_models

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(["contact us", "", "0.04", "three", "\ud800", "1e400"]),
    st.lists(st.none(), max_size=2),
    st.dictionaries(st.sampled_from(["usd", "1K", "x"]), st.none(), max_size=2),
)


def odd_or(strategy: st.SearchStrategy[Any], odd: st.SearchStrategy[Any] = ODD) -> st.SearchStrategy[Any]:
    """Mostly what is right, now and then something odd."""
    return st.integers(0, 24).flatmap(lambda number: odd if number == 24 else strategy)


TIERS = st.sampled_from(["1K", "2K", "4K", "1.5K", "of tomorrow"])
LEVELS = st.sampled_from(["low", "high", "ultra"])
USD = odd_or(st.integers(1, 50_000).map(lambda number: number / 10_000), st.one_of(ODD, st.just(0), st.just(-0.5)))
PRICE = odd_or(st.fixed_dictionaries({"usd": USD}))
FACTORS = odd_or(st.fixed_dictionaries({"2x": PRICE, "4x": PRICE}))
PRICING = odd_or(
    st.fixed_dictionaries(
        {"inpaint": PRICE, "generation": PRICE, "upscale": FACTORS},
        optional={
            "resolutions": odd_or(st.dictionaries(TIERS, PRICE, min_size=1, max_size=4)),
            "quality": odd_or(st.dictionaries(TIERS, odd_or(st.dictionaries(LEVELS, PRICE, max_size=3)), max_size=3)),
            "inputImages": odd_or(
                st.fixed_dictionaries({}, optional={"included": odd_or(st.integers(0, 2)), "additional": PRICE})
            ),
        },
    )
)
CONSTRAINTS = odd_or(
    st.fixed_dictionaries(
        {},
        optional={
            "resolutions": odd_or(st.lists(odd_or(TIERS), max_size=4)),
            "defaultResolution": odd_or(TIERS),
            "qualities": odd_or(st.lists(odd_or(LEVELS), max_size=3)),
            "defaultQuality": odd_or(LEVELS),
            "aspectRatios": odd_or(st.lists(odd_or(st.sampled_from(["1:1", "auto", "panorama"])), max_size=2)),
            "maxInputImages": odd_or(st.integers(2, 9)),
            "combineImages": odd_or(st.booleans()),
            "promptCharacterLimit": odd_or(st.integers(1, 40_000)),
            "steps": odd_or(st.fixed_dictionaries({"max": odd_or(st.integers(0, 50))})),
        },
    )
)
SPEC = odd_or(
    st.fixed_dictionaries(
        {"pricing": PRICING},
        optional={
            "constraints": CONSTRAINTS,
            "offline": odd_or(st.just(False)),  # noqa: FBT003 - a value of the catalogue
            "traits": odd_or(st.just([])),
            "deprecation": odd_or(st.fixed_dictionaries({}, optional={"removesAt": ODD, "replacementModelId": ODD})),
        },
    )
)
ROLES = {"an-edit": "inpaint", "a-painter": "image", "bria-bg-remover": "image", "upscaler": "upscale"}

JOBS: Mapping[str, str] = {
    "plain": "edit: {prompt: p, model: an-edit}",
    "default": "edit: {prompt: p}",
    "tier": "edit: {prompt: p, model: an-edit, resolution: 2K}",
    "new tier": "edit: {prompt: p, model: an-edit, resolution: of tomorrow}",
    "several": "multi-edit: {prompt: p, model: an-edit, images: [current, source], quality: high, resolution: 1.5K}",
    "cut": "background-remove",
    "large": "upscale: {scale: 4}",
    "drawn": "generate: {model: a-painter, resolution: 4K, quality: ultra, variants: 2}",
    "simply drawn": "generate: {model: a-painter}",
}


@dataclass(frozen=True)
class Source:
    """The free calls over one raw catalogue, as text that went over the wire."""

    entries: list[object]

    def models(self, type: str) -> tuple[list[Model], list[str]]:  # noqa: A002 - the client's own word
        chosen = [each for each in self.entries if not isinstance(each, dict) or each.get("type") in {type, None}]
        return read_models(json.loads(json.dumps(chosen), parse_float=Decimal), type)

    def traits(self, type: str) -> dict[str, str]:  # noqa: A002 - the client's own word
        return {"default": "an-edit"} if type == "inpaint" else {}

    def aliases(self, type: str) -> dict[str, str]:  # noqa: A002 - the client's own word
        return {"older": "an-edit"} if type == "inpaint" else {}


class Planner:
    """One picture and one row, the jobs over them, and a state that nothing was ever written to."""

    def __init__(self, bench: Bench, pipelines: Mapping[str, Pipeline]) -> None:
        self.bench, self.pipelines = bench, pipelines

    def plan(self, job: str, catalogue: Catalogue) -> Plan:
        pipeline = self.pipelines[job]
        account = Account(permitted=True, balances={"USD": Decimal(10**6)}, rpm={})
        return make_plan(pipeline, PlanInputs.gather(pipeline.job, self.bench.state, catalogue, account))


@pytest.fixture(scope="module")
def planner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planner]:
    folder = tmp_path_factory.mktemp("catalogues")
    with ExitStack() as stack:
        bench = Bench(folder, stack.enter_context(to_write(folder / "state")))
        bench.picture("a.png")
        (folder / "rows.csv").write_text("id,prompt\na,x\n", "utf-8")
        sources = {
            name: "{prompts: rows.csv}" if step.startswith("generate") else "./in" for name, step in JOBS.items()
        }
        jobs = {name: bench.job(step, source=sources[name]) for name, step in JOBS.items()}
        yield Planner(bench, {name: bench.pipeline(job) for name, job in jobs.items()})


def amounts(raw: object) -> set[Decimal]:
    """Every positive amount that is published anywhere below `raw`."""
    if isinstance(raw, dict):
        own = [value for name, value in raw.items() if name == "usd" and not isinstance(value, bool)]
        found = {Decimal(str(value)) for value in own if isinstance(value, int | float) and 0 < value <= 10_000}
        found |= {Decimal("0.04")} if "0.04" in own else set()
        return found.union(*(amounts(value) for value in raw.values()))
    return set()


def published(raw: Any, *, pictures: int, variants: int) -> set[Decimal]:
    """Every price that one call of this model can have, by what the catalogue publishes of it."""
    pricing = raw.get("pricing") if isinstance(raw, dict) else None
    if not isinstance(pricing, dict):
        return set()
    further = amounts({"of": pricing.get("inputImages")}) | {Decimal(0)}
    base = amounts({name: value for name, value in pricing.items() if name != "inputImages"})
    return {(each + more * count) * variants for each in base for more in further for count in range(pictures + 1)}


SHAPE = {"several": (2, 1), "drawn": (0, 2), "simply drawn": (0, 1), "cut": (0, 1), "large": (0, 1)}


# The planner is shared: it only reads.
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(JOBS)), SPEC, st.lists(ODD, max_size=3))
def test_a_plan_has_published_prices_or_is_refused(planner: Planner, job: str, spec: Any, junk: list[object]) -> None:
    entries = [{"id": name, "type": kind, "model_spec": spec} for name, kind in ROLES.items()]
    catalogue = Catalogue.fetch(Source([*junk, *entries]))
    try:
        plan = planner.plan(job, catalogue)
    except JobError:
        return
    event("priced")
    (step,) = plan.steps
    assert step.calls == step.calls_low == 1
    pictures, variants = SHAPE.get(job, (1, 1))
    assert step.cost.low == step.cost.high > 0
    assert step.cost.high in published(spec, pictures=pictures, variants=variants)


def test_a_sound_catalogue_is_not_refused(planner: Planner) -> None:
    """Without it the test above would pass where every plan is refused."""
    usd = {"usd": 0.07}
    pricing = {"inpaint": usd, "generation": usd, "upscale": {"2x": usd, "4x": usd}}
    tiered = {**pricing, "resolutions": dict.fromkeys(("1K", "2K", "4K", "1.5K", "of tomorrow"), usd)}
    entries = [{"id": name, "type": kind, "model_spec": {"pricing": tiered}} for name, kind in ROLES.items()]
    catalogue = Catalogue.fetch(Source(list(entries)))
    assert {name: str(planner.plan(name, catalogue).cost.high) for name in JOBS} == {
        name: "0.14" if name == "drawn" else "0.07" for name in JOBS
    }
