"""Which further pictures a call takes: of the chain, of this machine, of the source, and from https addresses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias
from urllib.parse import urlsplit

from pydantic import JsonValue, PlainValidator, ValidationInfo, WithJsonSchema

from venice_batch.steps.scalars import as_number, as_text, invalid, quoted


def local_path(value: object, folder: Path) -> Path:
    """Turn a path of the job file into an absolute one; relative paths start at ``folder``.

    Raises:
        PydanticCustomError: The path is empty, an address, or starts with a tilde.
    """
    text = as_text(value)
    if not text.strip():
        raise invalid("the path is empty", "write the path of a file or folder")
    if text.lower().startswith("s3:"):
        raise invalid(f"{quoted(text)} lies in a bucket, and this has to be a file of this machine", "use a local path")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text):
        raise invalid(f"{quoted(text)} is an address, not a path", "write a local path")
    if text == "~" or text.startswith("~/"):
        # Taken literally it would quietly become a folder named "~" next to the job file.
        raise invalid("~ is not expanded", "write ${HOME} instead (a folder named ~ is ./~)")
    return folder.absolute() / text


def job_folder(info: ValidationInfo) -> Path:
    """The folder that relative paths start at: ``folder`` of the validation context, else the current one."""
    context = info.context
    folder = context.get("folder") if isinstance(context, dict) else None
    return folder if isinstance(folder, Path) else Path.cwd()


def https_url(value: object) -> str:
    """Take an https address that a server can fetch.

    Raises:
        PydanticCustomError: The address is not https, has no host, or carries a name and password.
    """
    text = as_text(value)
    if text.lower().startswith("s3:"):
        raise invalid(
            f"{quoted(text)} lies in a bucket, which the API cannot read", "use an https address or {file: PATH}"
        )
    if not re.fullmatch(r"https://[^\s/?#@\\]+(?:[/?#][^\s]*)?", text, re.IGNORECASE) or not _host(text):
        raise invalid(f"{quoted(text)} is not an https address", "write https://HOST/PATH")
    return text


def _host(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for a port that is not a number from 0 to 65535
    except ValueError:
        return None
    return parts.hostname


@dataclass(frozen=True, slots=True)
class Current:
    """The picture as the previous step left it."""


@dataclass(frozen=True, slots=True)
class Source:
    """The item's original picture."""


@dataclass(frozen=True, slots=True)
class StepRef:
    """What an earlier step made; ``id`` is that step's id."""

    id: str


@dataclass(frozen=True, slots=True)
class FileRef:
    """A file on this machine.

    Attributes:
        path: absolute.
        sha256: of its bytes, in hex, as the plan saw them; empty in a job, known for a purchase.
    """

    path: Path
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class UrlRef:
    """An https address that the API fetches itself."""

    url: str


@dataclass(frozen=True, slots=True)
class BesideRef:
    """A file of the source that lies next to the item's own picture, such as a mask.

    Attributes:
        name: as the job file has it, with its placeholders, relative to the folder of the picture.
        key: in the source; empty until it is known for an item.
        version: of the file as it was listed, etag and size or size and mtime.
        sha256: of its bytes, in hex; empty for an object of a bucket, whose version tells its content.
    """

    name: str
    key: str = ""
    version: str = ""
    sha256: str = ""


#: What is sent beside the pictures of the chain.
Outside: TypeAlias = FileRef | UrlRef | BesideRef
ImageRef: TypeAlias = Current | Source | StepRef | Outside


@dataclass(frozen=True, slots=True)
class StyleReference:
    """A picture whose style ``generate`` follows, and how strongly (0.1 to 1; None: the API's default)."""

    image: UrlRef | FileRef
    strength: float | None = None

    def as_sent(self) -> dict[str, JsonValue]:
        """Return the reference as ``/image/generate`` takes it; a file's bytes are still to be put in."""
        strength: dict[str, JsonValue] = {} if self.strength is None else {"strength": self.strength}
        return {"image": self.image.url if isinstance(self.image, UrlRef) else "", **strength}


_REFERENCES = "write current, source, {step: ID}, {file: PATH}, {beside: NAME} or {url: https://...}"


def _image_ref(value: object, info: ValidationInfo) -> ImageRef:
    if value == "current":
        return Current()
    if value == "source":
        return Source()
    if isinstance(value, Mapping) and len(value) == 1:
        if "step" in value:
            return StepRef(as_text(value["step"]))
        if {"file", "url", "beside"} & set(value):
            return _outside_ref(value, info)
    if isinstance(value, Current | Source | StepRef | FileRef | UrlRef | BesideRef):
        return value
    raise invalid(f"{quoted(value)} does not name a picture", _REFERENCES)


def _outside_ref(value: Mapping[object, object], info: ValidationInfo) -> Outside:
    if "file" in value:
        return FileRef(local_path(value["file"], job_folder(info)))
    if "beside" in value:
        return BesideRef(_beside(value["beside"]))
    return UrlRef(https_url(value["url"]))


def _beside(value: object) -> str:
    text = as_text(value)
    if not text.strip() or "\\" in text or {"", ".", ".."} & set(text.split("/")):
        raise invalid(f"{quoted(text)} names no file beside the picture", 'write a name such as "{stem}_mask.png"')
    if "{" not in text:
        raise invalid(
            f"{quoted(text)} would be the same file for every picture of a folder",
            "write {stem} in it, or {file: PATH} for one file",
        )
    return text


#: The field of generate that names pictures whose style is followed.
STYLE_REFERENCES = "style_references"
_WEAKEST, _STRONGEST = 0.1, 1


def _style_reference(value: object, info: ValidationInfo) -> StyleReference:
    if isinstance(value, StyleReference):
        return value
    if not isinstance(value, Mapping) or not {"image"} <= set(value) <= {"image", "strength"}:
        raise invalid(
            f"{quoted(value)} where a style reference is expected", "write {image: {file: PATH}, strength: 0.5}"
        )
    image = _style_image(value["image"], info)
    if "strength" not in value:
        return StyleReference(image)
    strength = as_number(value["strength"])
    if not _WEAKEST <= strength <= _STRONGEST:
        raise invalid(f"strength {quoted(value['strength'])} is out of range", "write 0.1 to 1")
    return StyleReference(image, float(strength))


def _style_image(value: object, info: ValidationInfo) -> UrlRef | FileRef:
    if not isinstance(value, Mapping):
        return UrlRef(https_url(value))
    if set(value) == {"url"}:
        return UrlRef(https_url(value["url"]))
    if set(value) == {"file"}:
        return FileRef(local_path(value["file"], job_folder(info)))
    raise invalid(f"{quoted(value)} does not name a picture", "write {file: PATH} or an https address")


def _one_key(key: str, description: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {key: {"type": "string", "description": description}},
        "required": [key],
        "additionalProperties": False,
    }


_ANY_REFERENCE: dict[str, Any] = {
    "anyOf": [
        {"enum": ["current", "source"]},
        _one_key("step", "The id of an earlier step."),
        _one_key("file", "A local file, relative to the job file."),
        _one_key("beside", "A file of the source next to the item's own picture, such as {stem}_mask.png."),
        _one_key("url", "An https address."),
    ]
}
_STYLE_REFERENCE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "image": {
            "anyOf": [
                {"type": "string"},
                _one_key("url", "An https address."),
                _one_key("file", "A local file, relative to the job file."),
            ],
            "description": "The picture whose style is followed: {file: PATH} or an https address.",
        },
        "strength": {"type": "number", "minimum": _WEAKEST, "maximum": _STRONGEST, "description": "How strongly."},
    },
    "required": ["image"],
    "additionalProperties": False,
}

ImageRefs: TypeAlias = tuple[
    Annotated[
        Current | Source | StepRef | FileRef | UrlRef | BesideRef,
        PlainValidator(_image_ref),
        WithJsonSchema(_ANY_REFERENCE),
    ],
    ...,
]
StyleReferences: TypeAlias = tuple[
    Annotated[StyleReference, PlainValidator(_style_reference), WithJsonSchema(_STYLE_REFERENCE)], ...
]
