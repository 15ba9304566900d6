"""Scripted faults: which request they hit, and what happens to it.

A rule counts the requests that match its path and model; ``nth``, ``every`` and ``probability`` choose among them and
``times`` bounds how often it applies. The first rule that applies wins; all others go on counting.
"""

from __future__ import annotations

import random
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from venice_batch.emulator.api_error import ApiError

Kind = Literal[
    "status",
    "reset-before-body",
    "reset-mid-body",
    "truncate",
    "hang",
    "slow",
    "late",
    "html",
    "garbage",
    "wrong-size",
    "no-alpha",
    "wrong-type",
    "blank",
    "blurred",
    "violation",
    "other-model",
    "lost",
]

#: Without any work done; all other kinds come after the work, and the call is billed.
_UNBILLED = {"status", "reset-before-body", "hang"}


class _Edge(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Match(_Edge):
    """Which requests a rule is for; everything that is given must hold."""

    path: str | None = None
    model: str | None = None
    nth: int | list[int] | None = None
    every: int | None = Field(None, ge=1)
    probability: float | None = Field(None, ge=0, le=1)
    times: int | None = Field(None, ge=1)
    seed: int = 0


class Action(_Edge):
    """What happens to the request.

    Attributes:
        kind: the fault; ``status`` when only a status is given.
        status, body, headers: the answer of a status fault; the body is JSON unless it is a text.
        seconds: how long a slow, late or hanging answer takes.
        billed: whether the call is paid for; by default as the kind says.
        early: comes before the request's body is read (always so for ``reset-before-body``).
    """

    kind: Kind = "status"
    status: int | None = Field(None, ge=200, le=599)
    body: Any = None
    headers: dict[str, str] = Field(default_factory=dict)
    seconds: float = Field(3600.0, ge=0)
    billed: bool | None = None
    early: bool = False

    @model_validator(mode="after")
    def _needs_a_status(self) -> Action:
        if (self.kind == "status") != (self.status is not None):
            raise ValueError("give either a status or a kind")
        return self

    @property
    def name(self) -> str:
        """What the log calls this fault."""
        return str(self.status) if self.kind == "status" else self.kind

    @property
    def is_billed(self) -> bool:
        """Whether the call is paid for."""
        return self.kind not in _UNBILLED if self.billed is None else self.billed

    @property
    def before_body(self) -> bool:
        """Whether the request's body stays unread."""
        return self.early or self.kind == "reset-before-body"


class Rule(_Edge):
    """One scripted fault."""

    match: Match = Match()
    do: Action

    @model_validator(mode="after")
    def _model_needs_the_body(self) -> Rule:
        if self.match.model is not None and self.do.before_body:
            raise ValueError("a fault before the body cannot be matched by model: the model is in the body")
        return self


class _Counter:
    """A rule with its memory of what came by."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._seen = 0
        self._applied = 0
        self._random = random.Random(rule.match.seed)  # noqa: S311 - faults are repeatable, not secret

    def applies(self, path: str, model: str) -> bool:
        match = self.rule.match
        if match.path not in {None, path} or match.model not in {None, model}:
            return False
        self._seen += 1
        if not self._chosen(match) or self._applied == match.times:
            return False
        self._applied += 1
        return True

    def _chosen(self, match: Match) -> bool:
        wanted = [match.nth] if isinstance(match.nth, int) else match.nth
        if wanted is not None and self._seen not in wanted:
            return False
        if match.every is not None and self._seen % match.every:
            return False
        return match.probability is None or self._random.random() < match.probability


class Faults:
    """The script in force. Used from the event loop only."""

    def __init__(self) -> None:
        self._counters: list[_Counter] = []

    def script(self, rules: object) -> None:
        """Replace the script.

        Args:
            rules: a list of ``{"match": {…}, "do": {…}}``, as read from JSON.

        Raises:
            ApiError: 400, naming what is wrong with the script; the old one stays.
        """
        try:
            found = TypeAdapter(list[Rule]).validate_python(rules)
        except ValidationError as problem:
            raise ApiError(400, f"bad fault script: {problem}") from None
        self._counters = [_Counter(rule) for rule in found]

    def pick(self, path: str, model: str, *, early: bool) -> Action | None:
        """Return what happens to this request, or None.

        Args:
            path: the endpoint, such as ``/image/edit``.
            model: the model that serves it; empty while unknown.
            early: True before the body is read, False after; every rule belongs to one of the two moments.
        """
        found: Action | None = None
        for counter in self._counters:
            action = counter.rule.do
            if action.before_body == early and counter.applies(path, model) and found is None:
                found = action
        return found
