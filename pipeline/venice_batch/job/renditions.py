"""Finished files: ``output.renditions``, and the rules between its entries and the output's name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from venice_batch import imaging
from venice_batch.imaging.local_ops import FORMATS, Rendition
from venice_batch.job.positions import Path
from venice_batch.job.problems import Problems
from venice_batch.steps.scalars import TEXT, Bytes, FileFormat, Flag, Strict, as_text, invalid, quoted
from venice_batch.steps.units import Color, EncodingQuality, Side

#: Far more than anybody's shop; each is one more file of every item.
MOST = 20
_SUFFIX = "^[A-Za-z0-9._@+=-]{0,64}$"
#: The extension in the template of a name; a dot inside braces begins none.
_ENDING = re.compile(r"\.(?:[^./{}]|\{[^{}]*\})*$")
_LOSES_ALPHA = frozenset({"jpeg"})
#: What a name may end with, and the format that then has to be in the file.
_FORMAT_OF = {"jpg": "jpeg", "jpeg": "jpeg", "png": "png", "webp": "webp", "avif": "avif"}


def _suffix(value: object) -> str:
    text = as_text(value)
    if not re.fullmatch(_SUFFIX[1:-1], text):
        raise invalid(
            f"{quoted(value)} cannot be part of a file's name", "write up to 64 of a-z, A-Z, 0-9 and . _ @ + = -"
        )
    return text


class RenditionSpec(Strict):
    """One finished file of each item."""

    suffix: Annotated[str, BeforeValidator(_suffix), WithJsonSchema({"type": "string", "pattern": _SUFFIX})] = Field(
        "", description="Stands in the file's name before the extension, such as -thumb."
    )
    format: FileFormat = Field(description="Format of the file.")
    quality: EncodingQuality | None = Field(
        None, description="1 to 100; jpeg 90, webp 85, avif 75 when absent. png has none."
    )
    max_side: Side | None = Field(None, description="Longest side in pixels; a smaller picture stays as it is.")
    max_bytes: Bytes | None = Field(
        None, description="Most bytes of the file, such as 500KB: met by lower quality, then by fewer pixels."
    )
    progressive: Flag | None = Field(None, description="jpeg only: whether it appears coarse first; when absent it is.")
    metadata: Annotated[Literal["strip", "keep"], TEXT] = Field(
        "strip", description="strip: nothing but the colour profile stays. keep: EXIF and XMP, too."
    )
    background: Color | None = Field(
        None, description="jpeg only: the colour that shows through what is transparent; without it that is an error."
    )

    @model_validator(mode="after")
    def _options_suit_the_format(self) -> Self:
        if self.format == "png" and self.quality is not None:
            raise invalid("png loses nothing and has no quality", "remove it, or write webp or jpeg", at="quality")
        if self.format != "jpeg" and self.progressive is not None:
            raise invalid(f"only jpeg can be progressive, not {self.format}", "remove it", at="progressive")
        if self.format not in _LOSES_ALPHA and self.background is not None:
            hint = "remove it, or add a step - flatten: {color: ...}"
            raise invalid(f"{self.format} keeps transparency, so no background shows", hint, at="background")
        return self

    @property
    def extension(self) -> str:
        """Of its format, without a dot."""
        return FORMATS[self.format][1]

    @property
    def rendition(self) -> Rendition:
        """How it is encoded."""
        return Rendition(
            FORMATS[self.format][0],
            self.quality,
            self.max_side,
            self.max_bytes,
            self.progressive,
            keep_metadata=self.metadata == "keep",
            background=None if self.background is None else imaging.rgb(self.background),
        )

    def template(self, name: str) -> str:
        """Return the template of this file's name, given the output's: the suffix stands before the last extension."""
        ending = _ENDING.search(name)
        place = len(name) if ending is None else ending.start()
        return f"{name[:place]}{self.suffix}{name[place:]}"


def report(specs: Sequence[RenditionSpec], name: str, path: Path, problems: Problems) -> None:
    """Report what is wrong between the finished files of one item.

    Args:
        specs: the entries of ``output.renditions``.
        name: ``output.name``.
        path: where the list stands.
        problems: receives the problems.
    """
    met: dict[str, int] = {}
    for number, spec in enumerate(specs):
        _report_format(spec, name, (*path, number, "format"), problems)
        file = spec.template(name).replace("{ext}", spec.extension)
        first = met.setdefault(file.casefold(), number)
        if first != number:
            problems.about_value(
                (*path, number),
                f"{file} is the name of rendition {first}, too (counted from 0)",
                "give one of them a suffix, such as -small"
                if "{ext}" in name
                else "add a suffix, or {ext} to the name",
            )


def _report_format(spec: RenditionSpec, name: str, path: Path, problems: Problems) -> None:
    ending = name.rpartition(".")[2].lower()
    promised = _FORMAT_OF.get(ending, spec.format)
    if promised != spec.format:
        problems.about_value(path, f"the output's name ends in .{ending}, and this is {spec.format}", "write .{ext}")
    # Asked only where it can be missing: the answer takes loading Pillow.
    elif spec.format in {"avif", "webp"} and FORMATS[spec.format][0] not in imaging.writable_formats():
        what = f"the Pillow of this machine cannot write {spec.format}"
        problems.about_value(path, what, "install a Pillow that can (its wheels on PyPI do), or write jpeg or png")
