"""The finished files that a job makes of every item: how each is named, and what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from pydantic import JsonValue

from venice_batch.imaging import Rendition
from venice_batch.job import Output


@dataclass(frozen=True, slots=True)
class FileKind:
    """One of them.

    Attributes:
        template: of its name.
        extension: fills ``{ext}``; empty: as the last step leaves it.
        rendition: how it is encoded; None: as its name says, without loss where that can be.
    """

    template: str
    extension: str = ""
    rendition: Rendition | None = None


def kinds(output: Output) -> tuple[FileKind, ...]:
    """Return the finished files of every item, in order; at least one."""
    asked = tuple(FileKind(spec.template(output.name), spec.extension, spec.rendition) for spec in output.renditions)
    return asked or (FileKind(output.name),)


def described(output: Output) -> Mapping[str, JsonValue]:
    """Return what makes other files of the same picture, for fingerprints: equal where the files would be.

    What is as it would be without a word is left out, so that an option that comes later changes no old fingerprint.
    """
    if not output.renditions:
        return {"name": output.name}
    listed: list[JsonValue] = [
        {"suffix": spec.suffix, "extension": spec.extension, **_written(spec.rendition)} for spec in output.renditions
    ]
    return {"name": output.name, "renditions": listed}


def _written(rendition: Rendition) -> dict[str, JsonValue]:
    usual = {field.name: field.default for field in fields(rendition)}
    told = {name: value for name, value in asdict(rendition).items() if value != usual[name]}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in told.items()}
