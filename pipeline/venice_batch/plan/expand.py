"""From one input to its items: their steps, their names, and what is wrong with them before a byte is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from pydantic import ValidationError

from venice_batch.errors import ItemError
from venice_batch.plan.item_pipeline import ItemPipeline
from venice_batch.plan.model import Candidate, PlannedItem
from venice_batch.plan.naming import finished_name
from venice_batch.plan.pipeline import Pipeline, extension_of
from venice_batch.plan.selection import ItemStatus
from venice_batch.steps.chain import Chain
from venice_batch.steps.conditions import Known
from venice_batch.venice import Catalogue

_UNKNOWN = Known()
_ANY_INPUT = Candidate("", "")


class ExpandedItem(NamedTuple):
    """An item with its names: what all items are made into, so as little as possible; most need nothing more.

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
        self._pipelines = pipeline.item_pipelines
        #: As the last step leaves every picture; empty where a row or the source decides it.
        by_source = pipeline.generates or not pipeline.chain.paid
        self._extension = "" if by_source else extension_of(pipeline.chain, _ANY_INPUT, catalogue)

    def items(self, candidate: Candidate) -> Sequence[ExpandedItem]:
        """Return the items of one input: one, or one for each variant of a generate call."""
        if self._pipelines.shared is not None:
            return (self._item(candidate, 0, self._pipelines.shared),)
        own = ItemPipeline(self._pipeline.chain, "")
        try:
            own = self._pipelines.make(candidate, self._catalogue)
        except ItemError as error:
            if not candidate.problem:
                candidate = replace(candidate, problem=error.told, code=error.code)
        except ValidationError as error:
            candidate = replace(candidate, problem=_unsuited(error))
        several = own.chain.paid[0].variants if self._pipeline.generates else 1
        variants = range(1, several + 1) if several > 1 else (0,)
        return [self._item(candidate, variant, own) for variant in variants]

    def _item(self, candidate: Candidate, variant: int, own: ItemPipeline) -> ExpandedItem:
        problem, outputs = None, tuple[str, ...]()
        if candidate.problem:
            problem = ItemStatus("invalid", candidate.code, candidate.problem)
        else:
            extension = self._extension or extension_of(own.chain, candidate, self._catalogue)
            try:
                outputs = tuple(
                    finished_name(file.template, candidate.key, variant, file.extension or extension, own.columns)
                    for file in self._pipeline.outputs
                )
            except ItemError as error:
                problem = ItemStatus("invalid", error.code, error.told)
        return ExpandedItem(candidate, variant, own.fingerprint, own.chain, outputs, problem, own.skipped)

    def planned(self, item: ExpandedItem, status: ItemStatus) -> PlannedItem:
        """Return the item in full, for those that a plan lists."""
        chain = item.chain
        try:
            chain = chain if item.problem else self._pipelines.with_hashes(chain)
        except ItemError as error:
            status = ItemStatus("invalid", error.code, error.told)
        return PlannedItem(
            candidate=item.candidate,
            variant=item.variant,
            status=status.status,
            fingerprint=item.fingerprint,
            chain=chain,
            input_key=self._pipeline.input_key(item.candidate),
            known=_UNKNOWN,
            outputs=item.outputs,
            code=status.code,
            reason=status.reason,
            left_as=status.left_as,
        )


def _unsuited(error: ValidationError) -> str:
    # A rule between several fields has no place of its own.
    problems = [(problem["loc"], problem["msg"]) for problem in error.errors()]
    reason = "; ".join(f"column {place[0]!r}: {what}" if place else what for place, what in problems)
    return f"does not suit the step: {reason}"
