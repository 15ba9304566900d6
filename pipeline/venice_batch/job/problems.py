"""Everything that is wrong with a job file, collected, in its words and with its place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from venice_batch.errors import Problem
from venice_batch.job import secrets
from venice_batch.job.positions import Path, Places
from venice_batch.steps.fields import known_fields
from venice_batch.steps.scalars import quoted

_Model = TypeVar("_Model", bound=BaseModel)


class Problems:
    """Collects problems in `found`; one value gets one problem, the first."""

    def __init__(self, places: Places, found: Iterable[Problem]) -> None:
        self.found = list(found)
        self.places = places
        self._seen: set[Path] = set()
        # Every path with a problem at or below it. A value that could not be filled in is already reported, too:
        # what then does not fit about it is no news.
        self._touched: set[Path] = set()
        reported = {(problem.file, problem.line, problem.column) for problem in self.found}
        for path, mark in places.values.items() if reported else ():
            if (mark.file, mark.line, mark.column) in reported:
                self._touch(path)

    def about_value(self, path: Path, what: str, instead: str = "") -> None:
        """Report a value."""
        # What is wrong with a part is wrong with the whole; one message is enough.
        if not self.any_below(path):
            self._add(path, self.places.value(path).problem(f"{_label(path)}{what}", instead))

    def about_key(self, path: Path, what: str, instead: str = "") -> None:
        """Report a key, or the absence of a value."""
        self._add(path, self.places.key(path).problem(what, instead))

    def about_nothing(self, path: Path) -> None:
        """Report a key without a value, at the key, or at the option that took the value away."""
        name = path[-1] if isinstance(path[-1], str) else f"item {path[-1]} of the list"
        value, key = self.places.value(path), self.places.key(path)
        place = key if key.file == value.file else value
        self._add(path, place.problem(f"{name} has no value", "write one, or remove the line"))

    def any_below(self, path: Path) -> bool:
        """Whether something at or below a path has been reported."""
        return path in self._touched

    def in_order(self) -> list[Problem]:
        """Return the problems of the file from top to bottom, then those of options."""
        return sorted(self.found, key=lambda each: (each.file.startswith("--set "), each.line, each.column))

    def _add(self, path: Path, problem: Problem) -> None:
        if path not in self._seen:
            self._seen.add(path)
            self._touch(path)
            self.found.append(problem)

    def _touch(self, path: Path) -> None:
        self._touched.update(path[:length] for length in range(len(path) + 1))


def _label(path: Path) -> str:
    """Name a value in a message: ``upscale.scale``, ``budget.max_usd``, ``multi-edit.images[1]``."""
    named = path[2:] if path[:1] == ("steps",) and len(path) > 1 else path
    words = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in named]
    return f"{''.join(words).removeprefix('.')}: " if words else ""


def validate(
    model: type[_Model],
    value: object,
    path: Path,
    problems: Problems,
    *,
    context: Mapping[str, Any],
    unknown: Callable[[str], tuple[str, str] | None] = lambda _: None,
) -> _Model | None:
    """Validate one section, or report each thing that is wrong with it.

    Args:
        model: the section's model.
        value: plain values; None stands for a section without any key.
        path: where the section stands.
        problems: receives the problems.
        context: pydantic's validation context.
        unknown: gives what and instead for an unknown key that deserves its own answer.

    Returns:
        The section, or None where it was reported.
    """
    if value is not None and not isinstance(value, dict):
        known = known_fields(model)
        hint = f"write a mapping of {', '.join(known[:6])}" if known else "remove it"
        problems.about_value(path, f"{quoted(value)} where a mapping is expected", hint)
        return None
    try:
        return model.model_validate(value or {}, context=context)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            _report(detail, model, path, problems, unknown)
    return None


def _report(
    detail: ErrorDetails,
    model: type[BaseModel],
    path: Path,
    problems: Problems,
    unknown: Callable[[str], tuple[str, str] | None],
) -> None:
    context = detail.get("ctx", {})
    full = (*path, *detail["loc"], *([context["at"]] if context.get("at") else []))
    if detail["type"] == "extra_forbidden":
        inner = _section_at(model, detail["loc"])
        what, instead = unknown(str(full[-1])) or unknown_key(str(full[-1]), known_fields(inner), full[:-1])
        problems.about_key(full, what, instead)
    elif detail["type"] == "missing":
        problems.about_key(full, f"{_label(full).removesuffix(': ')} is missing", f"write {full[-1]}: ...")
    else:
        problems.about_value(full, *_explain(detail, context))


def _section_at(model: type[BaseModel], loc: tuple[str | int, ...]) -> type[BaseModel]:
    """Return the model of the section that holds the key at `loc`: `model` itself, or one inside it."""
    # Of a list, the number is passed over: its entries are all of one model.
    for part in [part for part in loc[:-1] if isinstance(part, str)]:
        annotation = model.model_fields[part].annotation
        kinds = (annotation, *get_args(annotation))
        model = next(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel))
    return model


def unknown_key(key: str, known: Sequence[str], path: Path) -> tuple[str, str]:
    """Say that a key is unknown, and which known one is near, or else all of them."""
    where = f" in {path[-1]}" if path and isinstance(path[-1], str) else ""
    what = f"unknown key {quoted(key)}{where}"
    if key.lower() in secrets.KEY_NAMES:
        return "the API key is never written in a job file", "remove it, and set VENICE_API_KEY"
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if near:
        return what, f"did you mean {near[0]}?"
    return what, f"known: {', '.join(known)}" if known else "remove it: there are no fields"


#: pydantic's errors in the words of a person who edits a text file: what, and what to write instead.
_WORDS: Mapping[str, tuple[str, str]] = {
    "refused": ("{what}", "{instead}"),
    "greater_than": ("{value} is out of range", "write a number above {gt:,g}"),
    "greater_than_equal": ("{value} is out of range", "write a number of at least {ge:,g}"),
    "less_than": ("{value} is out of range", "write a number below {lt:,g}"),
    "less_than_equal": ("{value} is out of range", "write a number of at most {le:,g}"),
    "int_from_float": ("{value} is not a whole number", "write a number without a fraction"),
    "string_too_long": ("longer than {max_length:,} characters", "shorten it"),
    "string_too_short": ("the text is empty", "write some text, or remove it"),
    "too_short": ("the list is empty", "write at least one, or remove it"),
    "too_long": ("{actual_length} entries, more than {max_length}", "keep the first {max_length}"),
    "model_type": ("{value} where a mapping is expected", "write {{key: value}}"),
    "tuple_type": ("{value} where a list is expected", "put it in brackets: [...]"),
}


def _explain(detail: ErrorDetails, context: Mapping[str, Any]) -> tuple[str, str]:
    if detail["type"] == "literal_error":
        return _not_a_choice(detail["input"], str(context["expected"]))
    if detail["type"] not in _WORDS:
        return f"{quoted(detail['input'])} does not fit: {detail['msg'].lower()}", ""
    what, instead = _WORDS[detail["type"]]
    filled = {**context, "value": quoted(detail["input"])}
    return what.format_map(filled), instead.format_map(filled)


def _not_a_choice(value: object, expected: str) -> tuple[str, str]:
    choices = re.findall("'([^']*)'", expected)
    near = difflib.get_close_matches(str(value), choices, n=1)
    listed = " or ".join([", ".join(choices[:-1]), choices[-1]]) if len(choices) > 1 else choices[0]
    hint = f"did you mean {near[0]}? It can be {listed}" if near and len(choices) > 1 else f"write {listed}"
    return f"{quoted(value)} is not offered", hint
