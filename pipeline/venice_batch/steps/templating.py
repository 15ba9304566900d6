"""``{column}`` in texts and file names of a job: which columns a step asks for, and the step with an item's values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from pydantic import JsonValue

from venice_batch.errors import ItemError
from venice_batch.imaging.local_ops import Overlay
from venice_batch.steps.canonical_json import canonical
from venice_batch.steps.chain import Step
from venice_batch.steps.local import LocalStep
from venice_batch.steps.paid import Generate, PaidStep
from venice_batch.steps.references import STYLE_REFERENCES, BesideRef, FileRef, ImageRef, UrlRef

#: What every item has, whatever the job's metadata: its key, and the folder and the stem of it.
BUILT_IN = ("key", "dir", "stem")

_MARK = re.compile(r"\{\{|\}\}|\{(?P<name>[^{}]*)\}")
_DOUBLED = {"{{": "{", "}}": "}"}

#: Gives an item's value of a column.
Value = Callable[[str], str]
#: Where a placeholder stands, below the step's own fields.
Place = tuple[str | int, ...]

#: Fields that hold free text; whatever else a step sends is chosen from a list, and the same for all items.
TEXTS = ("prompt", "negative_prompt", "enhancePrompt", "style_preset")
_LONGEST_TEXT = 32_768


def names(text: str) -> tuple[str, ...]:
    """Return the names that stand between braces in `text`, each once, in order; ``{{`` and ``}}`` are plain braces."""
    found = (match["name"] for match in _MARK.finditer(text) if match["name"] is not None)
    return tuple(dict.fromkeys(found))


def substitute(text: str, value: Value) -> str:
    """Return `text` with each ``{name}`` replaced by what `value` gives for it.

    What a value holds is never looked at again, so braces in a catalogue are only letters. A brace without its partner
    stays as it is.
    """

    def one(match: re.Match[str]) -> str:
        name = match["name"]
        return _DOUBLED[match[0]] if name is None else value(name)

    return _MARK.sub(one, text)


def placeholders(step: Step, folder: Path) -> Iterator[tuple[Place, str]]:
    """Yield every placeholder of a step: where it stands, and its name.

    Args:
        step: as the job file has it.
        folder: the job file's; braces in its own path are no placeholders.
    """
    if isinstance(step, LocalStep):
        if isinstance(step.operation, Overlay):
            yield from ((("file",), name) for name in names(_relative(step.operation.file, folder)))
        return
    for field in TEXTS:
        yield from (((field,), name) for name in names(str(step.sent.get(field, ""))))
    for number, reference in enumerate(_style_references(step)):
        yield from (((STYLE_REFERENCES, number), name) for name in names(str(reference["image"])))
    for place, ref in zip(_image_places(step), step.images, strict=True):
        yield from ((place, name) for name in names(_template(ref, folder)))


def render(step: Step, value: Value, folder: Path, fixed: Mapping[str, str] | None = None) -> Step:
    """Return the step with the values of one item.

    Args:
        step: as the job file has it.
        value: gives the item's value of a column.
        folder: the job file's, where relative paths start.
        fixed: texts that the item brings along whole; braces in them are only letters.

    Raises:
        ItemError: a value cannot stand where it is wanted: it leads out of a folder, or the text grows too long.
    """
    if isinstance(step, LocalStep):
        return _render_local(step, value, folder)
    sent: dict[str, JsonValue] = dict(step.sent)
    fixed = fixed or {}
    for field in TEXTS:
        if field in sent and field not in fixed:
            sent[field] = _bounded(field, substitute(str(sent[field]), value))
    if _style_references(step):
        sent[STYLE_REFERENCES] = [
            {**reference, "image": _render_url(str(reference["image"]), value)} for reference in _style_references(step)
        ]
    sent |= {field: _bounded(field, text) for field, text in fixed.items() if field in TEXTS}
    return replace(step, sent=sent, images=tuple(_render_reference(ref, value, folder) for ref in step.images))


def _bounded(field: str, text: str) -> str:
    if len(text) > _LONGEST_TEXT:
        raise ItemError("prompt", f"{field} has {len(text):,} characters, and {_LONGEST_TEXT:,} are the most")
    return text


def _image_places(step: PaidStep) -> list[Place]:
    """Return where the job has the pictures of a step; those of generate are the style references that are files."""
    if isinstance(step, Generate):
        return [(STYLE_REFERENCES, n) for n, one in enumerate(_style_references(step)) if not one["image"]]
    return [("images", number) for number in range(len(step.images))]


def _style_references(step: PaidStep) -> list[dict[str, JsonValue]]:
    listed = step.sent.get(STYLE_REFERENCES)
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def _render_local(step: LocalStep, value: Value, folder: Path) -> LocalStep:
    operation = step.operation
    if not isinstance(operation, Overlay) or not names(_relative(operation.file, folder)):
        return step
    file = _render_path(operation.file, value, folder)
    parameters = {**json.loads(step.parameters), "file": str(file)}
    return replace(step, operation=replace(operation, file=file), parameters=canonical(parameters), unpinned=(file,))


def _template(ref: ImageRef, folder: Path) -> str:
    match ref:
        case FileRef(path):
            return _relative(path, folder)
        case UrlRef(url):
            return url
        case BesideRef(name):
            return name
        case _:
            return ""


def _render_reference(ref: ImageRef, value: Value, folder: Path) -> ImageRef:
    match ref:
        case FileRef(path):
            return FileRef(_render_path(path, value, folder))
        case UrlRef(url):
            return UrlRef(_render_url(url, value))
        case BesideRef(name):
            return BesideRef(substitute(name, lambda column: one_part(column, value(column))))
        case _:
            return ref


def is_open(path: Path, folder: Path) -> bool:
    """Whether the name of a file still has placeholders."""
    return bool(names(_relative(path, folder)))


def one_part(column: str, text: str) -> str:
    """Return a value that is to be a part of a name.

    Raises:
        ItemError: it has a slash, so that it would name another folder.
    """
    if "/" in text or "\\" in text:
        raise ItemError("name", f"column {column!r} holds {text!r}: a slash cannot be a part of a name")
    return text


def _relative(path: Path, folder: Path) -> str:
    """Return a path as the job file has it: without the job's own folder."""
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _render_path(path: Path, value: Value, folder: Path) -> Path:
    """Return the file that a path with placeholders means for an item; it cannot leave the part that is fixed."""
    text = _relative(path, folder)
    if not names(text):
        return path
    parts = Path(text).parts
    first = next(number for number, part in enumerate(parts) if names(part))
    fixed, made = folder.joinpath(*parts[:first]), folder / substitute(text, value)
    # Links are followed: what a catalogue names is not to be trusted with all that this machine holds.
    if "\0" in str(made) or not made.resolve().is_relative_to(fixed.resolve()):
        raise ItemError("reference", f"{text!r} is filled to {str(made)!r}, which leads out of {fixed}")
    return made


def _render_url(url: str, value: Value) -> str:
    return substitute(url, lambda column: quote(value(column), safe="/"))
