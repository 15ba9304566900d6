"""The list of steps: what each one is, and the rules between them and the source."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from venice_batch.job.model import StepHead, StepSpec
from venice_batch.job.overrides import STEP_KEYS
from venice_batch.job.positions import Path
from venice_batch.job.problems import Problems, unknown_key, validate
from venice_batch.steps.answer_checks.expectations import ExpectFields
from venice_batch.steps.conditions import BadCondition, Condition, parse
from venice_batch.steps.fields import MultiEditFields, known_fields
from venice_batch.steps.references import BesideRef, Source, StepRef
from venice_batch.steps.row_conditions import columns_of
from venice_batch.steps.scalars import quoted
from venice_batch.steps.table import STEPS

#: Far more than a picture survives; keeps the checks between steps quick.
MAX_STEPS = 100

_EXAMPLE = "write - edit: {prompt: ...}"


@dataclass(frozen=True, slots=True)
class _Item:
    """One item of the list, taken apart: name (empty: no step, and reported), fields, and the keys around them."""

    path: Path
    name: str = ""
    fields: object = None
    options: Mapping[str, object] = field(default_factory=dict)


def read(value: object, kind: str, problems: Problems, context: Mapping[str, Any]) -> tuple[StepSpec, ...]:
    """Read the steps.

    Args:
        value: the plain value of ``steps``.
        kind: what the source is: ``path``, ``prompts``, ``urls``, or empty when that is not known.
        problems: receives every problem.
        context: pydantic's validation context (`folder`).

    Returns:
        The steps that could be read; all of them, if nothing was reported.
    """
    path: Path = ("steps",)
    if not isinstance(value, list):
        problems.about_value(path, f"{quoted(value)} where a list of steps is expected", _EXAMPLE)
        return ()
    if len(value) > MAX_STEPS:
        what = f"{len(value):,} steps, more than {MAX_STEPS}"
        problems.about_key(path, what, "split the work into several jobs")
        return ()
    if not value:
        problems.about_value(path, "there is no step", _EXAMPLE)
    reader = _Reader(problems, context)
    items = [reader.item(each, (*path, number)) for number, each in enumerate(value)]
    ids = reader.ids(items)
    specs = [reader.spec(item, step_id) for item, step_id in zip(items, ids, strict=True)]
    _check_order(items, kind, problems)
    _check_references(items, specs, ids, kind, problems)
    return tuple(spec for spec in specs if spec is not None)


class _Reader:
    """Reads items one by one, so that a mistake in one does not hide those in the others."""

    def __init__(self, problems: Problems, context: Mapping[str, Any]) -> None:
        self._problems = problems
        self._context = context

    def item(self, value: object, path: Path) -> _Item:
        """Take an item apart; what cannot be a step is reported."""
        item = {value: None} if isinstance(value, str) else value
        if not isinstance(item, dict) or not item:
            self._problems.about_value(path, f"{quoted(value)} is not a step", _EXAMPLE)
            return _Item(path)
        names = [key for key in item if key in STEPS]
        if len(names) > 1:
            what = f"two steps in one item: {names[0]} and {names[1]}"
            self._problems.about_key((*path, names[1]), what, "begin each step with its own -")
            return _Item(path)
        name = names[0] if names else ""
        for key in item:
            if key not in STEPS and key not in STEP_KEYS:
                self._report_unknown(key, name, path, alone=isinstance(value, str))
        if not name and all(key in STEP_KEYS for key in item):
            self._problems.about_value(path, "no step is named here", f"known: {', '.join(STEPS)}")
        options = {key: item[key] for key in item if key in STEP_KEYS}
        return _Item(path, name, _with_misplaced(item, name), options)

    def _report_unknown(self, key: str, name: str, path: Path, *, alone: bool) -> None:
        if not name:
            self._problems.about_key(path if alone else (*path, key), f"unknown step {quoted(key)}", _nearest_step(key))
        elif key in known_fields(STEPS[name].fields):
            hint = f"indent it further than {name}, or write {name}: {{{key}: ...}}"
            self._problems.about_key((*path, key), f"{key} stands beside {name}, not inside it", hint)
        else:
            known = (*STEP_KEYS, *known_fields(STEPS[name].fields))
            self._problems.about_key((*path, key), *unknown_key(key, known, path))

    def ids(self, items: Sequence[_Item]) -> list[str]:
        """Give every step an id: the chosen one, else the step's name with -2, -3 … where that is taken."""
        chosen = [self._chosen_id(item) for item in items]
        taken: set[str] = set()
        for item, step_id in zip(items, chosen, strict=True):
            if step_id and step_id in taken:
                what = f"{step_id} names an earlier step too"
                self._problems.about_value((*item.path, "id"), what, "choose another id")
            taken.add(step_id)
        return [step_id or _free(item.name or "step", taken) for item, step_id in zip(items, chosen, strict=True)]

    def _chosen_id(self, item: _Item) -> str:
        if "id" not in item.options:
            return ""
        head = validate(StepHead, {"id": item.options["id"]}, item.path, self._problems, context={})
        return "" if head is None else head.id or ""

    def spec(self, item: _Item, step_id: str) -> StepSpec | None:
        """Validate fields, condition and expectations."""
        when, expect = self._when(item), self._expect(item)
        columns = columns_of(when)
        if columns and not self._context.get("columns"):
            what = f"there is no metadata whose column {quoted(columns[0])} could be looked at"
            hint = "add source.metadata, or test the picture only"
            self._problems.about_value((*item.path, "when"), what, hint)
        if not item.name:
            return None
        fields = validate(
            STEPS[item.name].fields,
            item.fields,
            (*item.path, item.name),
            self._problems,
            context=self._context,
            unknown=_picture_field,
        )
        return None if fields is None else StepSpec(step_id, item.name, fields, when, expect)

    def _expect(self, item: _Item) -> ExpectFields | None:
        if "expect" not in item.options or not item.name:
            return None
        path = (*item.path, "expect")
        if not STEPS[item.name].paid:
            what = f"{item.name} is done on this machine: there is no answer to expect anything of"
            self._problems.about_key(path, what, "move expect to a paid step, or remove it")
            return None
        expect = validate(ExpectFields, item.options["expect"], path, self._problems, context=self._context)
        if expect is not None and expect.aspect_within is not None and item.name == "generate":
            what = "generate is sent no picture whose shape could be kept"
            hint = "remove it; min_width and min_height ask for a size"
            self._problems.about_key((*path, "aspect_within"), what, hint)
        return expect

    def _when(self, item: _Item) -> Condition | None:
        if "when" not in item.options:
            return None
        try:
            return parse(item.options["when"])
        except BadCondition as bad:
            for fault in bad.faults:
                report = self._problems.about_key if fault.about_key else self._problems.about_value
                report((*item.path, "when", *fault.path), fault.what, fault.instead)
        return None


def _with_misplaced(item: Mapping[str, object], name: str) -> object:
    """Return the fields, with those that stand beside the step by mistake: they are reported, but not missing."""
    fields = item.get(name)
    known = known_fields(STEPS[name].fields) if name else ()
    misplaced = {key: value for key, value in item.items() if key in known}
    return {**misplaced, **(fields or {})} if misplaced and isinstance(fields, dict | None) else fields


def _nearest_step(key: str) -> str:
    near = difflib.get_close_matches(key.lower().replace("_", "-"), STEPS, n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(STEPS)}"


def _picture_field(key: str) -> tuple[str, str] | None:
    if key in {"image", "image_url", "images"}:
        return f"{key} is not written in a job file", "remove it: the picture comes from the chain"
    return None


def _free(name: str, taken: set[str]) -> str:
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}-{number}"
    taken.add(candidate)
    return candidate


def _check_order(items: Sequence[_Item], kind: str, problems: Problems) -> None:
    for number, item in enumerate(items):
        if item.name != "generate":
            continue
        path = (*item.path, item.name)
        if number > 0:
            problems.about_key(path, "generate can only be the first step", "move it to the top")
        elif kind not in {"prompts", ""}:
            what = "generate starts from prompts, not from pictures"
            problems.about_key(path, what, "write source: {prompts: FILE}")
        if number == 0 and "when" in item.options:
            problems.about_key((*item.path, "when"), "there is no picture before the first step", "remove when")
    if kind == "prompts" and items and items[0].name not in {"generate", ""}:
        what = "a job that starts from prompts begins with generate"
        problems.about_value(items[0].path, what, "begin with - generate: {model: ...}")


def _check_references(
    items: Sequence[_Item], specs: Sequence[StepSpec | None], ids: Sequence[str], kind: str, problems: Problems
) -> None:
    for number, spec in enumerate(specs):
        if spec is None or not isinstance(spec.fields, MultiEditFields):
            continue
        for place, ref in enumerate(spec.fields.images):
            path = (*items[number].path, "multi-edit", "images", place)
            if isinstance(ref, Source) and kind == "prompts":
                what = "there is no source picture in a job that starts from prompts"
                problems.about_value(path, what, "write current")
            if isinstance(ref, BesideRef) and kind in {"prompts", "urls"}:
                what = "only pictures of a folder or bucket have files beside them"
                problems.about_value(path, what, "write {file: PATH}, or a source with a path")
            if isinstance(ref, StepRef) and ref.id not in ids[:number]:
                problems.about_value(path, *_no_such_step(ref.id, ids, number))


def _no_such_step(wanted: str, ids: Sequence[str], number: int) -> tuple[str, str]:
    earlier = ids[:number]
    hint = f"earlier steps: {', '.join(earlier)}" if earlier else "write current"
    if wanted in ids:
        return f"step {quoted(wanted)} is not done yet at this point", hint
    return f"no step has the id {quoted(wanted)}", hint
