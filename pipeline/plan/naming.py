"""Names of finished files: made from the job's template, refused where they are unsafe or collide."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

from pipeline.errors import ItemError

#: Names that some systems take for devices, whatever their extension.
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10)}
)
_LONGEST = 255
#: Our own files in the output start so.
_RESERVED = (".vb-", ".venice-batch")


def finished_name(template: str, key: str, variant: int, extension: str) -> str:
    """Return the path, relative to the output, of the finished file of an item.

    Args:
        template: ``output.name`` of the job, validated there.
        key: the item's key; its folder and stem fill ``{dir}`` and ``{stem}``.
        variant: 1 and up where one call gives several pictures, else 0.
        extension: without a dot; fills ``{ext}``.

    Raises:
        ItemError: the name would leave the output or cannot be a file's name everywhere.
    """
    path = PurePosixPath(key)
    folder = "" if str(path.parent) == "." else str(path.parent)
    stem = path.stem if "." in path.name.lstrip(".") else path.name
    if not stem.strip(". "):
        raise ItemError("name", f"{key!r} gives the finished file no name", remedy="rename the input")
    if variant:
        stem = f"{stem}-{variant}"
    # An empty folder takes its slash along, so that "{dir}/{stem}" does not become an absolute path.
    written = template if folder else template.replace("{dir}/", "")
    name = written.format(dir=folder, stem=stem, ext=extension, variant=variant)
    _refuse_unsafe(name)
    return name


def collision_key(name: str) -> str:
    """Return what two names must not share: they are one file where case or Unicode form does not count."""
    return unicodedata.normalize("NFC", name).casefold()


def _refuse_unsafe(name: str) -> None:
    for part in name.split("/"):
        why = _unsafe(part)
        if why:
            raise ItemError(
                "name", f"the finished file would be named {name!r}, {why}", remedy="rename the input or `output.name`"
            )


def _unsafe(part: str) -> str:
    if part in {"", ".", ".."}:
        return "which leaves the output"
    if any(unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"} for letter in part):
        return "which has a line break or another control character"
    if len(part.encode("utf-8", "surrogatepass")) > _LONGEST:
        return f"longer than the {_LONGEST} bytes a name may have"
    if part.split(".", maxsplit=1)[0].strip().casefold() in _DEVICES:
        return "which some systems take for a device"
    if part.startswith(_RESERVED):
        return "which is kept for this tool's own files"
    return ""
