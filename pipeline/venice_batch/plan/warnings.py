"""What to know before paying: the API's limits and habits that a pipeline, its rows and its pictures meet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from venice_batch.imaging import UPSCALE_CAP
from venice_batch.job import transparency
from venice_batch.plan.model import PlanWarning, StepCost, first_few
from venice_batch.plan.pipeline import Pipeline
from venice_batch.plan.pricing import Tally
from venice_batch.steps.paid import BackgroundRemove, Edit, PaidStep, Upscale
from venice_batch.steps.references import STYLE_REFERENCES
from venice_batch.venice import Catalogue

#: The code of the warning that a run repeats at its end: who reads only that must hear of it, too.
DEPRECATED = "deprecated-model"
#: Fields of the API's documents of early 2026 that today's upscaler ignores without a word.
_IGNORED = ("enhance", "enhanceCreativity", "enhancePrompt", "replication")
_MAX_CREATIVITY = 0.02

_BY_URL = PlanWarning(
    "by-url",
    "the API reads the source itself (api.transport: url): pictures are not turned upright by their EXIF"
    " orientation, and damage, size and format of the source are not checked before they are sent",
)
_UNSAFE_LEASE = PlanWarning(
    "unsafe-lease",
    "nothing keeps a second run from working on this state at the same time (lease: unsafe), and buying the same"
    " pictures: see to it that only one runs",
)
_FLAGGED_RETRY = PlanWarning(
    "flagged-retry",
    "flagged results are regenerated (charged again), each once (run.on_flagged: retry): the bill may exceed this plan"
    " by that many calls, though never the budget",
)
_ALPHA_AT_RISK = PlanWarning(
    "alpha-at-risk",
    "pictures that are transparent where JPEG files are made of them will fail; add a step - flatten: {color:"
    " white}, a background to the rendition, or choose png or webp",
)
_SPLIT_BALANCE = PlanWarning(
    "split-balance",
    "the balance covers the plan only if little is left over in each currency: every call is paid in one currency,"
    " the first that covers all of it",
)


def of_pipeline(pipeline: Pipeline, catalogue: Catalogue) -> Iterator[PlanWarning]:
    """Yield what the order and the fields of the steps bring about, whatever the pictures are."""
    if pipeline.by_url:
        yield _BY_URL
    if pipeline.job.lease is None:
        yield _UNSAFE_LEASE
    if pipeline.job.run.on_flagged == "retry":
        yield _FLAGGED_RETRY
    if transparency.at_risk(pipeline.job):
        yield _ALPHA_AT_RISK
    paid = pipeline.chain.paid
    for number, step in enumerate(paid):
        yield from _of_order(step, paid[number + 1 :], catalogue)
        if isinstance(step, Upscale):
            yield from _of_fields(step)
        yield from _of_limits(step, catalogue)


def _of_order(step: PaidStep, later: tuple[PaidStep, ...], catalogue: Catalogue) -> Iterator[PlanWarning]:
    edits = [other for other in later if isinstance(other, Edit)]
    small = [edit for edit in edits if edit.tier(catalogue) == "1K"]
    if isinstance(step, Upscale) and small:
        yield PlanWarning(
            "pixels-lost",
            f"step {step.id!r} buys pixels that step {small[0].id!r} throws away: an edit at 1K gives about 1024"
            " pixels on the long side; use a model with a 2K or 4K `resolution`, or upscale last",
        )
    if isinstance(step, BackgroundRemove) and edits:
        yield PlanWarning(
            "alpha-lost",
            f"step {edits[0].id!r} does not promise to keep the transparency that step {step.id!r} makes;"
            " remove the background last if the cut-out is the product",
        )


def _of_fields(step: Upscale) -> Iterator[PlanWarning]:
    if ignored := [f"`{name}`" for name in _IGNORED if name in step.sent]:
        text = f"step {step.id!r}: today's API ignores {', '.join(ignored)}; sent as written"
        yield PlanWarning("ignored-field", text)
    if step.scale == 1:
        text = f"step {step.id!r}: today's API may refuse `scale: 1`; it is priced as 2x if accepted"
        yield PlanWarning("scale-1", text)
    if float(str(step.sent.get("creativity", 0))) > _MAX_CREATIVITY:
        text = f"step {step.id!r}: the API treats `creativity` above {_MAX_CREATIVITY} as {_MAX_CREATIVITY}"
        yield PlanWarning("clamped", text)


def _of_limits(step: PaidStep, catalogue: Catalogue) -> Iterator[PlanWarning]:
    for problem in step.problems(catalogue):
        if problem.dropped:
            text = f"step {step.id!r}: {problem.text}; the API leaves it out of account"
            yield PlanWarning("dropped-field", text)
    if STYLE_REFERENCES in step.sent:
        text = f"step {step.id!r}: some models cost more with style references than the API's catalogue says"
        yield PlanWarning("unlisted-surcharge", text)


def of_catalogue(steps: Sequence[StepCost], catalogue: Catalogue) -> Iterator[PlanWarning]:
    """Yield what the catalogue says of the models in use, and what could not be read of it."""
    for step in steps:
        entry = catalogue.entry(step.model)
        if entry is not None and entry.spec.deprecation is not None:
            yield PlanWarning(DEPRECATED, f"step {step.id!r}: {entry.spec.deprecation.text_for(entry.id)}")
    if catalogue.notes:
        entries = _count(len(catalogue.notes), "entry", "entries")
        text = f"{entries} of the API's catalogue cannot be read in full: {first_few(catalogue.notes, '; ')}"
        yield PlanWarning("odd-catalogue", text)


def of_tally(tally: Tally, *, split_balance: bool) -> Iterator[PlanWarning]:
    """Yield what the headers of the pictures tell; `split_balance`: the balance covers the plan in sum alone."""
    if tally.capped:
        pictures = _count(tally.capped, "picture gives", "pictures give")
        yield PlanWarning(
            "scale-capped",
            f"{pictures} less than the `scale` asked for: the API stops at {UPSCALE_CAP:,} pixels; the price is that"
            " of what is left",
        )
    for step, count in tally.fitted.items():
        if count:
            yield PlanWarning(
                "fitted",
                f"{_count(count, 'picture is', 'pictures are')} not in a form that step {step!r} may be sent (format,"
                " colours, pixels or bytes); converted or shrunk to fit first, at no cost",
            )
    if tally.only_first_page:
        yield PlanWarning(
            "first-only",
            f"only the first picture of {_count(tally.only_first_page, 'file', 'files')} is used: the rest of an"
            " animation or of further pages is left out",
        )
    if tally.transparent:
        yield PlanWarning(
            "alpha-at-risk",
            f"{_count(tally.transparent, 'input has', 'inputs have')} an alpha channel, and a JPEG is made of it: what"
            " is transparent anywhere will fail, after its calls were paid; add a step - flatten: {color: white}, a"
            " background to the rendition, or choose png or webp",
        )
    if split_balance:
        yield _SPLIT_BALANCE


def of_rows(pipeline: Pipeline, skipped: Sequence[str], sidecars: Sequence[str]) -> Iterator[PlanWarning]:
    """Yield what came of the metadata: keys that rows say to skip; and of the `sidecars` that are items themselves."""
    if skipped:
        items = _count(len(skipped), "item is", "items are")
        yield PlanWarning("skipped", f"{items} left out, as the column 'skip' says: {first_few(skipped)}")
    table = pipeline.item_pipelines.table
    # Of a source that is taken by keys most rows may well belong to pictures that were not named this time.
    if table is not None and table.unmatched and not pipeline.takes_keys:
        rows = _count(table.unmatched, "row", "rows")
        yield PlanWarning("unmatched-rows", f"{rows} of {table.path} belong to no picture of the source")
    if sidecars:
        yield PlanWarning(
            "beside-and-item",
            f"{_count(len(sidecars), 'file', 'files')} that a step takes along (beside) would be processed and paid"
            f" for like any picture: {first_few(sidecars)}; leave them out with source.exclude",
        )


def _count(number: int, one: str, several: str) -> str:
    return f"1 {one}" if number == 1 else f"{number:,} {several}"
