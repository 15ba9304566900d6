"""The list of steps: what each one is, and the rules between them and the source."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
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

_EXAMPLE = "- edit: {prompt: ...}"


def read(value: object, kind: str, problems_found: Problems, context: Mapping[str, Any]) -> tuple[StepSpec, ...]:
    """Read the steps.

    Args:
        value: the plain value of ``steps``.
        kind: what the source is: ``path``, ``prompts``, ``urls``, or empty when that is not known.
        problems_found: receives every problem.
        context: pydantic's validation context (`folder`).

    Returns:
        The steps that could be read; all of them, if nothing was reported.
    """
    path: Path = ("steps",)
    if not isinstance(value, list):
        problems_found.about_value(path, f"{quoted(value)} where a list of steps is expected", f"write {_EXAMPLE}")
        return ()
    if len(value) > MAX_STEPS:
        problems_found.about_key(
            path, f"{len(value):,} steps, more than {MAX_STEPS}", "split the work into several jobs"
        )
        return ()
    if not value:
        problems_found.about_value(path, "there is no step", f"write {_EXAMPLE}")
    raw = [_Raw.of(item, (*path, number), problems_found) for number, item in enumerate(value)]
    ids = _ids(raw, problems_found)
    specs = [item.spec(item_id, problems_found, context) for item, item_id in zip(raw, ids, strict=True)]
    _check_order(raw, kind, problems_found)
    _check_references(raw, specs, ids, kind, problems_found)
    return tuple(spec for spec in specs if spec is not None)


class _Raw:
    """One item of the list, taken apart: name, fields, and what stands beside them."""

    def __init__(self, path: Path, name: str, fields: object, beside: Mapping[str, object]) -> None:
        self.path = path
        self.name = name  # empty: not a step, reported
        self.fields = fields
        self.beside = beside

    @classmethod
    def of(cls, item: object, path: Path, problems_found: Problems) -> _Raw:
        """Take an item apart; what cannot be a step is reported."""
        if isinstance(item, str):
            item = {item: None}
            bare = True
        else:
            bare = False
        if not isinstance(item, dict) or not item:
            problems_found.about_value(path, f"{quoted(item)} is not a step", f"write {_EXAMPLE}")
            return cls(path, "", None, {})
        names = [key for key in item if key in STEPS]
        if len(names) > 1:
            hint = "begin each step with its own -"
            problems_found.about_key((*path, names[1]), f"two steps in one item: {names[0]} and {names[1]}", hint)
            return cls(path, "", None, {})
        name = names[0] if names else ""
        _report_unknown(item, name, path, problems_found, bare=bare)
        return cls(path, name, _with_strays(item, name), {key: item[key] for key in item if key in STEP_KEYS})

    def spec(self, step_id: str, problems_found: Problems, context: Mapping[str, Any]) -> StepSpec | None:
        """Validate fields, condition and expectations."""
        when, expect = self._when(problems_found), self._expect(problems_found, context)
        if columns_of(when) and not context.get("columns"):
            what = f"there is no metadata whose column {quoted(columns_of(when)[0])} could be looked at"
            problems_found.about_value((*self.path, "when"), what, "add source.metadata, or test the picture only")
        if not self.name:
            return None
        model = STEPS[self.name].fields
        path = (*self.path, self.name)
        fields = validate(model, self.fields, path, problems_found, context=context, unknown=_picture_field)
        return None if fields is None else StepSpec(step_id, self.name, fields, when, expect)

    def _expect(self, problems_found: Problems, context: Mapping[str, Any]) -> ExpectFields | None:
        if "expect" not in self.beside or not self.name:
            return None
        path = (*self.path, "expect")
        if not STEPS[self.name].paid:
            what = f"{self.name} is done on this machine: there is no answer to expect anything of"
            problems_found.about_key(path, what, "move expect to a paid step, or remove it")
            return None
        expect = validate(ExpectFields, self.beside["expect"], path, problems_found, context=context)
        if expect is not None and expect.aspect_within is not None and self.name == "generate":
            what = "generate is sent no picture whose shape could be kept"
            problems_found.about_key(
                (*path, "aspect_within"), what, "remove it; min_width and min_height ask for a size"
            )
        return expect

    def _when(self, problems_found: Problems) -> Condition | None:
        if "when" not in self.beside:
            return None
        path = (*self.path, "when")
        try:
            return parse(self.beside["when"])
        except BadCondition as bad:
            for fault in bad.faults:
                report = problems_found.about_key if fault.about_key else problems_found.about_value
                report((*path, *fault.path), fault.what, fault.instead)
        return None


def _report_unknown(item: Mapping[str, object], name: str, path: Path, problems_found: Problems, *, bare: bool) -> None:
    for key in item:
        if key in STEPS or key in STEP_KEYS:
            continue
        if name and key in known_fields(STEPS[name].fields):
            hint = f"indent it further than {name}, or write {name}: {{{key}: ...}}"
            problems_found.about_key((*path, key), f"{key} stands beside {name}, not inside it", hint)
        elif name:
            problems_found.about_key(
                (*path, key), *unknown_key(key, (*STEP_KEYS, *known_fields(STEPS[name].fields)), path)
            )
        else:
            place = path if bare else (*path, key)
            problems_found.about_key(place, f"unknown step {quoted(key)}", _nearest_step(key))
    if not name and all(key in STEP_KEYS for key in item):
        problems_found.about_value(path, "no step is named here", f"known: {', '.join(STEPS)}")


def _with_strays(item: Mapping[str, object], name: str) -> object:
    """Return the fields, with those that stand beside the step by mistake: they are reported, but not missing."""
    fields = item.get(name)
    known = known_fields(STEPS[name].fields) if name else ()
    strays = {key: value for key, value in item.items() if key in known}
    return {**strays, **(fields or {})} if strays and isinstance(fields, dict | None) else fields


def _nearest_step(key: str) -> str:
    near = difflib.get_close_matches(key.lower().replace("_", "-"), STEPS, n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(STEPS)}"


def _picture_field(key: str) -> tuple[str, str] | None:
    if key in {"image", "image_url", "images"}:
        return f"{key} is not written in a job file", "remove it: the picture comes from the chain"
    return None


def _ids(raw: Sequence[_Raw], problems_found: Problems) -> list[str]:
    """Give every step an id: the chosen one, else the step's name with -2, -3 … where that is taken."""
    chosen = [_chosen_id(item, problems_found) for item in raw]
    taken: set[str] = set()
    for item, written in zip(raw, chosen, strict=True):
        if written and written in taken:
            problems_found.about_value((*item.path, "id"), f"{written} names an earlier step too", "choose another id")
        taken.add(written)
    return [written or _free(item.name or "step", taken) for item, written in zip(raw, chosen, strict=True)]


def _chosen_id(item: _Raw, problems_found: Problems) -> str:
    if "id" not in item.beside:
        return ""
    section = validate(StepHead, {"id": item.beside["id"]}, item.path, problems_found, context={})
    return section.id or "" if section is not None else ""


def _free(name: str, taken: set[str]) -> str:
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}-{number}"
    taken.add(candidate)
    return candidate


def _check_order(raw: Sequence[_Raw], kind: str, problems_found: Problems) -> None:
    for number, item in enumerate(raw):
        if item.name != "generate":
            continue
        if number > 0:
            problems_found.about_key(
                (*item.path, item.name), "generate can only be the first step", "move it to the top"
            )
        elif kind not in {"prompts", ""}:
            hint = "write source: {prompts: FILE}"
            problems_found.about_key((*item.path, item.name), "generate starts from prompts, not from pictures", hint)
        if number == 0 and "when" in item.beside:
            problems_found.about_key((*item.path, "when"), "there is no picture before the first step", "remove when")
    if kind == "prompts" and raw and raw[0].name not in {"generate", ""}:
        hint = "begin with - generate: {model: ...}"
        problems_found.about_value(raw[0].path, "a job that starts from prompts begins with generate", hint)


def _check_references(
    raw: Sequence[_Raw], specs: Sequence[StepSpec | None], ids: Sequence[str], kind: str, problems_found: Problems
) -> None:
    for number, spec in enumerate(specs):
        fields = spec.fields if spec is not None else None
        if not isinstance(fields, MultiEditFields):
            continue
        for place, ref in enumerate(fields.images):
            path = (*raw[number].path, "multi-edit", "images", place)
            if isinstance(ref, Source) and kind == "prompts":
                problems_found.about_value(
                    path, "there is no source picture in a job that starts from prompts", "write current"
                )
            if isinstance(ref, BesideRef) and kind in {"prompts", "urls"}:
                hint = "write {file: PATH}, or a source with a path"
                problems_found.about_value(path, "only pictures of a folder or bucket have files beside them", hint)
            if isinstance(ref, StepRef) and ref.id not in ids[:number]:
                problems_found.about_value(path, *_no_such_step(ref.id, ids, number))


def _no_such_step(wanted: str, ids: Sequence[str], number: int) -> tuple[str, str]:
    earlier = ids[:number]
    hint = f"earlier steps: {', '.join(earlier)}" if earlier else "write current"
    if wanted in ids:
        return f"step {quoted(wanted)} is not done yet at this point", hint
    return f"no step has the id {quoted(wanted)}", hint
