"""The fields of the local steps, and the operation that each of them stands for."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, PlainValidator, ValidationInfo, WithJsonSchema, model_validator

from venice_batch import imaging
from venice_batch.imaging import Limits
from venice_batch.imaging.local_ops import (
    FORMATS,
    Convert,
    Crop,
    Fit,
    Flatten,
    Operation,
    Orient,
    Overlay,
    Pad,
    Resize,
    ToSrgb,
    Trim,
)
from venice_batch.steps.references import job_folder, local_path
from venice_batch.steps.scalars import TEXT, Bytes, Count, FileFormat, Flag, Shape, Strict, invalid
from venice_batch.steps.units import (
    Anchor,
    Color,
    ColorOrNone,
    Dimensions,
    EncodingQuality,
    Extent,
    Margin,
    Offset,
    Percent,
    Side,
    length,
    pair,
    ratio,
)


class LocalFields(Strict):
    """Base of the field models of local steps."""

    #: Raised when the step makes another picture of the same input and fields than it did before.
    revision: ClassVar[int] = 1

    def operation(self) -> Operation:
        """Return what the step does, as a value."""
        return self._operation()

    @abstractmethod
    def _operation(self) -> Operation: ...

    def _several(self, *names: str) -> list[str]:
        return [name for name in names if getattr(self, name) is not None]


class OrientFields(LocalFields):
    """No fields."""

    def _operation(self) -> Orient:
        return Orient()


class SrgbFields(LocalFields):
    """No fields."""

    def _operation(self) -> ToSrgb:
        return ToSrgb()


class FitFields(LocalFields):
    """Shrinks or re-encodes the picture until it is within the limits; never enlarges."""

    max_side: Count | None = Field(None, description="Longest side, in pixels.")
    max_pixels: Count | None = Field(None, description="Width times height, in pixels.")
    max_bytes: Bytes | None = Field(None, description="Size of the file: bytes, or text such as 500KB or 20MB.")

    @model_validator(mode="after")
    def _some_limit_is_given(self) -> Self:
        if not self.model_fields_set:
            raise invalid("fit has no limit", "write max_side, max_pixels or max_bytes")
        return self

    def _operation(self) -> Fit:
        return Fit(Limits(max_side=self.max_side, max_pixels=self.max_pixels, max_bytes=self.max_bytes))


class ResizeFields(LocalFields):
    """Scales the picture; never enlarges unless asked."""

    width: Side | None = Field(None, description="Pixels per row.")
    height: Side | None = Field(None, description="Rows.")
    max_side: Side | None = Field(None, description="Longest side, in pixels; instead of width and height.")
    mode: Annotated[Literal["fit", "fill", "exact"], TEXT] = Field(
        "fit",
        description="fit: inside width and height, shape kept. fill: cut to that shape. exact: distorted to it.",
    )
    enlarge: Flag = Field(False, description="true: a smaller picture is enlarged; false when absent.")  # noqa: FBT003  # pydantic's default comes first
    gravity: Anchor = Field("center", description="Which part fill keeps; center when absent.")

    @model_validator(mode="after")
    def _size_is_given(self) -> Self:
        sides = self._several("width", "height")
        if not sides and self.max_side is None:
            raise invalid("resize has no size", "write width, height or max_side")
        if sides and self.max_side is not None:
            raise invalid("max_side and width or height exclude each other", "keep one of them", at="max_side")
        if self.mode != "fit" and sides != ["width", "height"]:
            raise invalid(f"mode {self.mode} needs both sides", "write width and height", at="mode")
        if self.mode != "fill" and "gravity" in self.model_fields_set:
            raise invalid("only mode fill cuts anything off", "remove it, or write mode: fill", at="gravity")
        return self

    def _operation(self) -> Resize:
        if self.max_side is not None:
            return Resize(self.max_side, self.max_side, "fit", self.enlarge)
        return Resize(self.width, self.height, self.mode, self.enlarge, self.gravity)


class TrimFields(LocalFields):
    """Cuts off a border that is transparent, or of nearly one colour."""

    tolerance: Percent = Field(
        0.04, description="How far from the border's colour still counts as border: 4% of the range when absent."
    )

    def _operation(self) -> Trim:
        return Trim(self.tolerance)


class PadFields(LocalFields):
    """Puts the picture in the middle of a larger canvas."""

    aspect_ratio: Shape | None = Field(None, description="Shape of the canvas, width:height.")
    size: Dimensions | None = Field(
        None, description="Canvas in pixels, such as 2000x2000; a larger picture is shrunk onto it."
    )
    margin: Margin | None = Field(None, description="Kept free on all sides: pixels, or % of the shorter side.")
    color: ColorOrNone | None = Field(
        None,
        description="Name, #rgb, #rrggbb or transparent; shows through the picture's transparent parts, too. "
        "When absent: transparent where the picture is, otherwise white.",
    )
    enlarge: Flag | None = Field(None, description="With size: enlarge a smaller picture up to the margins.")

    @model_validator(mode="after")
    def _canvas_is_given(self) -> Self:
        if not self._several("aspect_ratio", "size", "margin"):
            raise invalid("pad has no canvas", "write aspect_ratio, size or margin")
        if self.aspect_ratio is not None and self.size is not None:
            raise invalid("aspect_ratio and size exclude each other", "keep one of them", at="aspect_ratio")
        if self.enlarge is not None and self.size is None:
            raise invalid("without size nothing can be enlarged", "remove it, or write size", at="enlarge")
        return self

    def _operation(self) -> Pad:
        color = self.color
        return Pad(
            size=None if self.size is None else pair(self.size),
            ratio=None if self.aspect_ratio is None else ratio(self.aspect_ratio),
            margin=length(self.margin or 0),
            color="transparent" if color == "transparent" else None if color is None else imaging.rgb(color),
            enlarge=bool(self.enlarge),
        )


class FlattenFields(LocalFields):
    """Lays a transparent picture on a colour."""

    color: Color = Field("white", description="Name, #rgb or #rrggbb; white when absent.")

    def _operation(self) -> Flatten:
        return Flatten(imaging.rgb(self.color))


class CropFields(LocalFields):
    """Keeps a part of the picture."""

    aspect_ratio: Shape | None = Field(None, description="The largest part of this shape, width:height.")
    width: Extent | None = Field(None, description="Pixels, or % of the picture's width.")
    height: Extent | None = Field(None, description="Pixels, or % of the picture's height.")
    left: Offset | None = Field(None, description="From the left edge: pixels, or % of the width.")
    top: Offset | None = Field(None, description="From the upper edge: pixels, or % of the height.")
    gravity: Anchor | None = Field(None, description="Where the part lies when left and top are absent: center.")

    @model_validator(mode="after")
    def _part_is_given(self) -> Self:
        box = self._several("width", "height", "left", "top")
        if not box and self.aspect_ratio is None:
            raise invalid("crop keeps everything", "write aspect_ratio, or width and height")
        if box and self.aspect_ratio is not None:
            raise invalid(f"aspect_ratio and {box[0]} exclude each other", "keep one of them", at="aspect_ratio")
        if self.gravity is not None and self._several("left", "top"):
            raise invalid("gravity and left or top exclude each other", "keep one of them", at="gravity")
        return self

    def _operation(self) -> Crop:
        sides = (self.width, self.height, self.left, self.top)
        width, height, left, top = (None if side is None else length(side) for side in sides)
        shape = None if self.aspect_ratio is None else ratio(self.aspect_ratio)
        return Crop(width, height, left, top, shape, self.gravity or "center")


def _file(value: object, info: ValidationInfo) -> Path:
    return local_path(value, job_folder(info))


class OverlayFields(LocalFields):
    """Lays another picture, such as a logo, on top."""

    file: Annotated[Path, PlainValidator(_file), WithJsonSchema({"type": "string", "minLength": 1})] = Field(
        description="A local file, relative to the job file; PNG or WebP with transparency looks best."
    )
    position: Anchor = Field("bottom-right", description="Where it lies; bottom-right when absent.")
    size: Extent | None = Field(None, description="Its width: pixels, or % of the picture's width.")
    opacity: Percent = Field(1.0, description="0 to 1, or 0% to 100%; 1 when absent.")
    margin: Margin | None = Field(None, description="Kept free towards the edges: pixels, or % of the shorter side.")

    def _operation(self) -> Overlay:
        size = None if self.size is None else length(self.size)
        return Overlay(self.file, self.position, size, self.opacity, length(self.margin or 0))


class ConvertFields(LocalFields):
    """Encodes the picture as a format."""

    format: FileFormat = Field(description="Format of the file.")
    quality: EncodingQuality | None = Field(
        None, description="1 to 100. When absent: webp without loss, jpeg and avif at 95. png has none."
    )

    @model_validator(mode="after")
    def _quality_means_something(self) -> Self:
        if self.format == "png" and self.quality is not None:
            raise invalid("png loses nothing and has no quality", "remove it, or write webp or jpeg", at="quality")
        return self

    def _operation(self) -> Convert:
        return Convert(FORMATS[self.format][0], self.quality)
