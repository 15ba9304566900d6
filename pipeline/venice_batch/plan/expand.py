"""From one input to its items: their recipe, their names, and what is wrong with them before anybody looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from pydantic import ValidationError

from venice_batch.errors import ItemError
from venice_batch.plan.item_pipeline import ItemPipeline
from venice_batch.plan.model import PlannedItem
from venice_batch.plan.naming import finished_name
from venice_batch.plan.pipeline import Pipeline, extension_of
from venice_batch.plan.selection import ItemStatus
from venice_batch.plan.sources import Candidate
from venice_batch.steps.chain import Chain
from venice_batch.steps.conditions import Known
from venice_batch.steps.input_key import InputKey
from venice_batch.steps.paid import Generate
from venice_batch.venice import Catalogue

_NOTHING = Known()
_ANYTHING = Candidate("", "")


class Named(NamedTuple):
    """An item with its name: what all items are made into, so as little as possible; most need nothing more.

    `problem` is why it cannot be used; `outputs`, the names of its finished files, is empty then. `skipped`: its
    row says to leave it out.
    """

    candidate: Candidate
    variant: int
    fingerprint: str
    chain: Chain
    outputs: tuple[str, ...]
    problem: ItemStatus | None
    skipped: bool = False


class Expander:
    """Makes the items of one input after another."""

    def __init__(self, pipeline: Pipeline, catalogue: Catalogue) -> None:
        """Work out once what is the same for all inputs."""
        self._pipeline = pipeline
        self._catalogue = catalogue
        self._kinds = pipeline.files
        self._by_row = isinstance(pipeline.chain.steps[0], Generate)
        #: What all inputs have in common, and nothing of their own.
        self._same = pipeline.own(_ANYTHING) if pipeline.item_pipelines is None else None
        #: As the last step leaves every picture; empty where a row or the source decides it.
        by_source = self._by_row or not pipeline.chain.paid
        self._extension = "" if by_source else extension_of(pipeline.chain, _ANYTHING, catalogue)

    def items(self, candidate: Candidate) -> Sequence[Named]:
        """Return the items of one input: one, or one for each variant of a generate call."""
        if self._same is not None:
            return (self._named(candidate, 0, self._same),)
        own = ItemPipeline(self._pipeline.chain, "")
        try:
            own = self._pipeline.own(candidate, self._catalogue)
        except ItemError as error:
            if not candidate.problem:
                candidate = replace(candidate, problem=error.told, code=error.code)
        except ValidationError as error:
            candidate = replace(candidate, problem=_unsuited(error))
        several = own.chain.paid[0].variants if self._by_row else 1
        variants = range(1, several + 1) if several > 1 else (0,)
        return [self._named(candidate, variant, own) for variant in variants]

    def _named(self, candidate: Candidate, variant: int, own: ItemPipeline) -> Named:
        chain, fingerprint = own.chain, own.fingerprint
        if candidate.problem:
            problem = ItemStatus("invalid", candidate.code, candidate.problem)
            return Named(candidate, variant, fingerprint, chain, (), problem, own.skipped)
        extension = self._extension or extension_of(chain, candidate, self._catalogue)
        try:
            outputs = tuple(
                finished_name(kind.template, candidate.key, variant, kind.extension or extension, own.columns)
                for kind in self._kinds
            )
        except ItemError as error:
            problem = ItemStatus("invalid", error.code, error.told)
            return Named(candidate, variant, fingerprint, chain, (), problem, own.skipped)
        return Named(candidate, variant, fingerprint, chain, outputs, None, own.skipped)

    def planned(self, item: Named, status: ItemStatus) -> PlannedItem:
        """Return the item in full, for those that a plan tells of."""
        chain = item.chain
        try:
            chain = chain if item.problem else self._pipeline.pinned(chain)
        except ItemError as error:
            status = ItemStatus("invalid", error.code, error.told)
        return PlannedItem(
            candidate=item.candidate,
            variant=item.variant,
            standing=status.standing,
            fingerprint=item.fingerprint,
            chain=chain,
            input_key=self._input_key(item.candidate),
            known=_NOTHING,
            outputs=item.outputs,
            code=status.code,
            reason=status.reason,
            left_as=status.left_as,
        )

    def _input_key(self, candidate: Candidate) -> InputKey:
        if self._pipeline.by_url:
            return InputKey("object", candidate.version)
        if candidate.url and not self._pipeline.fetches:
            return InputKey("url", candidate.url)
        # In a bucket equal versions are equal bytes; two files of a folder may have size and time in common.
        told = candidate.version if self._pipeline.in_bucket else f"{candidate.key}\0{candidate.version}"
        return InputKey("unread", told)


def _unsuited(error: ValidationError) -> str:
    # A rule between several fields has no place of its own.
    told = [(problem["loc"], problem["msg"]) for problem in error.errors()]
    reason = "; ".join(f"column {place[0]!r}: {what}" if place else what for place, what in told)
    return f"does not suit the step: {reason}"
