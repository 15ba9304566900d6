"""The finished files of an item: which a job makes, how each is encoded, and a safe name for it."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import PurePosixPath

from pydantic import JsonValue

from venice_batch.errors import ItemError
from venice_batch.imaging import Rendition
from venice_batch.job import Output
from venice_batch.plan.model import NO_COLUMNS
from venice_batch.steps.templating import substitute

#: Names that some systems take for devices, whatever their extension.
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10)}
)
_MAX_BYTES = 255
#: So many characters are never more than `_MAX_BYTES` bytes.
_ALWAYS_FITS = _MAX_BYTES // 4
#: Our own files in the output start so.
_RESERVED = (".vb-", ".venice-batch")


@dataclass(frozen=True, slots=True)
class OutputFile:
    """One of the finished files that a job makes of every item.

    Attributes:
        template: of its name.
        extension: fills ``{ext}``; empty: as the last step leaves it.
        rendition: how it is encoded; None: as its name says, without loss where that can be.
    """

    template: str
    extension: str = ""
    rendition: Rendition | None = None


def output_files(output: Output) -> tuple[OutputFile, ...]:
    """Return the finished files of every item, in order; at least one."""
    specs = tuple(OutputFile(spec.template(output.name), spec.extension, spec.rendition) for spec in output.renditions)
    return specs or (OutputFile(output.name),)


def output_settings(output: Output) -> Mapping[str, JsonValue]:
    """Return what makes other files of the same picture, for fingerprints: equal where the files would be.

    Settings at their defaults are left out, so that an option that comes later changes no old fingerprint.
    """
    if not output.renditions:
        return {"name": output.name}
    listed: list[JsonValue] = [
        {"suffix": spec.suffix, "extension": spec.extension, **_not_default(spec.rendition)}
        for spec in output.renditions
    ]
    return {"name": output.name, "renditions": listed}


def _not_default(rendition: Rendition) -> dict[str, JsonValue]:
    defaults = {field.name: field.default for field in fields(rendition)}
    changed = {name: value for name, value in asdict(rendition).items() if value != defaults[name]}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in changed.items()}


def finished_name(
    template: str, key: str, variant: int, extension: str, columns: Mapping[str, str] = NO_COLUMNS
) -> str:
    """Return the path, relative to the output, of the finished file of an item.

    Args:
        template: ``output.name`` of the job, validated there.
        key: the item's key; its folder and stem fill ``{dir}`` and ``{stem}``.
        variant: 1 and up where one call gives several pictures, else 0.
        extension: without a dot; fills ``{ext}``.
        columns: the item's values of all other placeholders.

    Raises:
        ItemError: the name would leave the output or cannot be a file's name everywhere.
    """
    folder, stem = folder_and_stem(key)
    if not stem.strip(". "):
        raise ItemError("name", f"{key!r} gives the finished file no name", remedy="rename the input")
    if variant:
        stem = f"{stem}-{variant}"
    written = template if folder else _without_folder(template)
    if columns:
        # Not `format`: a column may have any name, and `{a.b}` would be an attribute to it.
        values = {**columns, "dir": folder, "stem": stem, "ext": extension, "variant": str(variant)}
        name = substitute(written, values.__getitem__)
    else:
        name = written.format(dir=folder, stem=stem, ext=extension, variant=variant)
    _refuse_unsafe(name)
    return name


def collision_key(name: str) -> str:
    """Return what two names must not share: they are one file where case or Unicode form does not count."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", name).casefold()


def folder_and_stem(key: str) -> tuple[str, str]:
    """Return folder and stem of a key, as `PurePosixPath` would, which takes far longer for the usual kind of key."""
    folder, _, last = key.rpartition("/")
    if last and not (last.startswith(".") or key.startswith(("/", ".")) or "//" in key or "/./" in key):
        stem, _, suffix = last.rpartition(".")
        return folder, stem if stem and suffix else last
    path = PurePosixPath(key)
    stem = path.stem if "." in path.name.lstrip(".") else path.name
    return "" if str(path.parent) == "." else str(path.parent), stem


@functools.cache
def _without_folder(template: str) -> str:
    # An empty folder takes its slash along, so that "{dir}/{stem}" does not become an absolute path.
    return template.replace("{dir}/", "")


def _refuse_unsafe(name: str) -> None:
    folder, _, last = name.rpartition("/")
    why = (_unsafe_folder(folder) if "/" in name else "") or _unsafe(last)
    if why:
        raise ItemError(
            "name", f"the finished file would be named {name!r}, {why}", remedy="rename the input or `output.name`"
        )


@functools.lru_cache(maxsize=1024)
def _unsafe_folder(folder: str) -> str:
    # Remembered, as a catalogue has far fewer folders than pictures.
    return next(filter(None, map(_unsafe, folder.split("/"))), "")


def _unsafe(part: str) -> str:
    if part in {"", ".", ".."}:
        return "which leaves the output"
    # What is printable has none of these; a look at each character takes 20 times as long.
    if not part.isprintable() and any(unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"} for letter in part):
        return "which has a line break or another control character"
    if len(part) > _ALWAYS_FITS and len(part.encode("utf-8", "surrogatepass")) > _MAX_BYTES:
        return f"longer than the {_MAX_BYTES} bytes a name may have"
    if part.split(".", maxsplit=1)[0].strip().casefold() in _DEVICES:
        return "which some systems take for a device"
    if part.startswith(_RESERVED):
        return "which is kept for this tool's own files"
    return ""
