"""The traps of the API that a recipe walks into: said before anything is paid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from venice_batch.imaging import UPSCALE_CAP
from venice_batch.job import transparency
from venice_batch.plan.model import Caution
from venice_batch.plan.pipeline import Pipeline
from venice_batch.steps.paid import BackgroundRemove, Edit, PaidStep, Upscale
from venice_batch.venice import Catalogue

#: Fields of the API's documents of early 2026 that today's upscaler ignores without a word.
_IGNORED = ("enhance", "enhanceCreativity", "enhancePrompt", "replication")
_CLAMP = 0.02
_LARGEST = 4


def traps(pipeline: Pipeline, catalogue: Catalogue) -> list[Caution]:
    """Return what the order and the fields of the steps bring about, whatever the pictures are."""
    found = [_by_url()] if pipeline.by_url else []
    if pipeline.job.lease is None:
        found.append(_unsafe_lease())
    if pipeline.job.run.on_flagged == "retry":
        found.append(_buys_flagged_anew())
    if transparency.at_risk(pipeline.job):
        found.append(_alpha_at_risk())
    paid = pipeline.chain.paid
    for number, step in enumerate(paid):
        found += _of_order(step, paid[number + 1 :], catalogue)
        found += _of_fields(step)
        found += _of_model(step, catalogue)
    return found


def _by_url() -> Caution:
    return Caution(
        "by-url",
        "the API reads the source itself (api.transport: url): pictures are not turned upright by their EXIF"
        " orientation, and damage, size and format of the source are not checked before they are sent",
    )


def _unsafe_lease() -> Caution:
    return Caution(
        "unsafe-lease",
        "nothing keeps a second run from working on this state at the same time (lease: unsafe), and buying the same"
        " pictures: see to it that only one runs",
    )


def _buys_flagged_anew() -> Caution:
    return Caution(
        "flagged-retry",
        "flagged answers are bought anew, each once (run.on_flagged: retry): the bill may exceed this plan by that many"
        " calls, though never the budget",
    )


def _alpha_at_risk() -> Caution:
    return Caution(
        "alpha-at-risk",
        "pictures that are transparent where JPEG files are made of them will fail; add a step - flatten: {color:"
        " white}, a background to the rendition, or choose png or webp",
    )


def transparent(count: int) -> Caution:
    """Return the note that inputs with an alpha channel may fail where a JPEG is made of them."""
    files = "1 input has" if count == 1 else f"{count} inputs have"
    return Caution(
        "alpha-at-risk",
        f"{files} an alpha channel, and a JPEG is made of it: what is transparent anywhere will fail, after its calls"
        " were paid; add a step - flatten: {color: white}, a background to the rendition, or choose png or webp",
    )


def first_only(count: int) -> Caution:
    """Return the note that animations and files of several pages lose all but their first picture."""
    files = "1 file" if count == 1 else f"{count} files"
    return Caution(
        "first-only",
        f"only the first picture of {files} is used: the rest of an animation or of further pages is left out",
    )


def _of_order(step: PaidStep, later: tuple[PaidStep, ...], catalogue: Catalogue) -> list[Caution]:
    edits = [other for other in later if isinstance(other, Edit)]
    small = [edit for edit in edits if edit.tier(catalogue) == "1K"]
    if isinstance(step, Upscale) and small:
        return [
            Caution(
                "pixels-lost",
                f"step {step.id!r} buys pixels that step {small[0].id!r} throws away: an edit at 1K gives about 1024"
                " pixels on the long side; use a model with a 2K or 4K `resolution`, or upscale last",
            )
        ]
    if isinstance(step, BackgroundRemove) and edits:
        return [
            Caution(
                "alpha-lost",
                f"step {edits[0].id!r} does not promise to keep the transparency that step {step.id!r} makes;"
                " remove the background last if the cut-out is the product",
            )
        ]
    return []


def _of_fields(step: PaidStep) -> list[Caution]:
    if not isinstance(step, Upscale):
        return []
    found = []
    ignored = [name for name in _IGNORED if name in step.sent]
    if ignored:
        names = ", ".join(f"`{name}`" for name in ignored)
        found.append(Caution("ignored-field", f"step {step.id!r}: today's API ignores {names}; sent as written"))
    if step.scale == 1:
        found.append(
            Caution("scale-1", f"step {step.id!r}: today's API may refuse `scale: 1`; it is priced as 2x if accepted")
        )
    if float(str(step.sent.get("creativity", 0))) > _CLAMP:
        found.append(Caution("clamped", f"step {step.id!r}: the API treats `creativity` above {_CLAMP} as {_CLAMP}"))
    return found


def _of_model(step: PaidStep, catalogue: Catalogue) -> list[Caution]:
    going = catalogue.find(step.lane(catalogue)).spec.deprecation
    if going is None:
        return []
    when = f" on {going.removed_on()}" if going.removed_on() else ""
    instead = f"; use {going.replacement}" if going.replacement else ""
    text = f"step {step.id!r}: the API retires {step.lane(catalogue)}{when}{instead}"
    return [Caution("deprecated-model", text)]


def is_capped(step: PaidStep, pixels: int) -> bool:
    """Whether a 4x upscale of so many pixels would be cut down to the cap, at four times the price of 2x."""
    return isinstance(step, Upscale) and step.scale == _LARGEST and pixels * 2**2 >= UPSCALE_CAP


def capped(count: int) -> Caution:
    """Return the warning for items whose 4x upscale buys nothing that 2x would not."""
    return Caution(
        "scale-capped",
        f"{count} pictures are so large that 4x gives no more pixels than 2x (the API stops at {UPSCALE_CAP:,}), at the"
        " price of 4x; add `when: {pixels_below: 4194304}` or use `scale: 2`",
    )


def fitted(step_id: str, count: int) -> Caution:
    """Return the note that inputs will be brought into a form that the API takes, for free, before they are sent."""
    pictures = "1 picture is" if count == 1 else f"{count} pictures are"
    return Caution(
        "fitted",
        f"{pictures} not in a form that step {step_id!r} may be sent (format, colours, pixels or bytes); converted or"
        " shrunk to fit first, at no cost",
    )


def split_balance() -> Caution:
    """Return the note that the balance suffices in sum, but a call is paid in one currency only."""
    return Caution(
        "split-balance",
        "the balance covers the plan only if little is left over in each currency: every call is paid in one currency,"
        " the first that covers all of it",
    )


def skipped(keys: Sequence[str]) -> Caution:
    """Return the note on the items that their rows say to leave out."""
    items = "1 item is" if len(keys) == 1 else f"{len(keys):,} items are"
    return Caution("skipped", f"{items} left out, as the column 'skip' says: {_some(keys)}")


def unmet_rows(path: Path, count: int) -> Caution:
    """Return the warning for rows of the metadata that no input belongs to."""
    rows = "1 row" if count == 1 else f"{count:,} rows"
    return Caution("unmatched-rows", f"{rows} of {path} belong to no picture of the source")


def beside_and_item(keys: Sequence[str]) -> Caution:
    """Return the warning for files that go along with a picture and are pictures of the job themselves."""
    files = "1 file" if len(keys) == 1 else f"{len(keys):,} files"
    return Caution(
        "beside-and-item",
        f"{files} that a step takes along (beside) would be processed and paid for like any picture: {_some(keys)};"
        " leave them out with source.exclude",
    )


_SHOWN = 3


def _some(keys: Sequence[str]) -> str:
    shown = ", ".join(keys[:_SHOWN])
    return shown if len(keys) <= _SHOWN else f"{shown} and {len(keys) - _SHOWN:,} more"
