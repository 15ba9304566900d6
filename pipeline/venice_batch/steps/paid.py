"""The steps that call the API: their fields as sent, price, lane, limits, and what the answer must look like."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

from pydantic import JsonValue

from venice_batch.imaging import (
    API_MIN_PIXELS,
    API_MIN_SIDE,
    EDIT_MAX_PIXELS,
    MAX_FILE_BYTES,
    UPSCALE_CAP,
    Facts,
    Limits,
)
from venice_batch.steps.answer_checks.expectations import Expect, ExpectFields
from venice_batch.steps.canonical_json import digest
from venice_batch.steps.conditions import Condition, Known
from venice_batch.steps.input_key import InputKey
from venice_batch.steps.references import STYLE_REFERENCES, Current, ImageRef
from venice_batch.venice import Answer, Catalogue, Client, Url, prices
from venice_batch.venice.fields import Fields
from venice_batch.venice.prices import CallPrice, FieldProblem

Input = Path | Url

#: The API's own scale where a job writes none, and the largest that has the price of 2x.
_DOUBLE = 2
#: The tier at which an edit is a PNG unless another format is asked for; also where a model has no tiers.
_SMALLEST = "1K"
#: A style reference must be smaller than this many bytes (facts of 2026-10-02).
_MAX_STYLE_BYTES = 8_000_000


_UNKNOWN = Known()


@dataclass(frozen=True)
class PaidStep(ABC):
    """One call of the API for each item.

    Attributes:
        id: unique within the job.
        name: the step's name in a job file.
        sent: the fields exactly as they are sent: what the user set, nothing else.
        when: the step is left out where this does not hold.
        images: the pictures that are sent, base first.
        expects: what the job asks of the answer, beyond what the API promises.
    """

    id: str
    name: str
    sent: Mapping[str, JsonValue]
    when: Condition | None = None
    images: tuple[ImageRef, ...] = (Current(),)
    expects: ExpectFields | None = None

    endpoint: ClassVar[str]
    #: The field that names the model.
    model_field: ClassVar[str] = "model"
    takes_url: ClassVar[bool] = False
    #: The catalogue's type of the models it takes; empty where the user names none.
    kind: ClassVar[str] = ""
    #: What the API refuses in an input (published API file, 2026-08-21, and facts of 2026-10-02).
    limits: ClassVar[Limits]
    #: Whether the answer is the first of the pictures that are sent, changed.
    changes_base: ClassVar[bool] = True

    @property
    def variants(self) -> int:
        """How many pictures one call gives, each billed and each a permit of the lane."""
        return 1

    @property
    def model(self) -> str | None:
        """The model that the user chose; None leaves the choice to the API."""
        model = self.sent.get(self.model_field)
        return None if model is None else str(model)

    def with_model(self, model: str) -> Self:
        """Return the same step with another model."""
        return replace(self, sent={**self.sent, self.model_field: model})

    @abstractmethod
    def lane(self, catalogue: Catalogue) -> str:
        """Return the id of the model whose rate limit the call uses up.

        Raises:
            CatalogueError: the catalogue names no such model.
        """

    def factors(self, known: Known) -> tuple[str, ...]:  # noqa: ARG002 - only an enlargement is priced by its size
        """Return the names of the prices that a picture of which so much is known may have; one where it is certain."""
        return ()

    @abstractmethod
    def price(self, catalogue: Catalogue, known: Known = _UNKNOWN) -> CallPrice:
        """Return what one call costs in US dollars, by the live catalogue.

        Args:
            catalogue: of now.
            known: what is known of the base picture.

        Raises:
            CatalogueError: the catalogue has no price for it. An unknown price is never zero.
        """

    def problems(self, catalogue: Catalogue) -> list[FieldProblem]:
        """Return what the catalogue says the API will refuse in these fields, and what it will leave out of account.

        Raises:
            CatalogueError: there is no such model.
        """
        entry = catalogue.find(self.lane(catalogue))
        if self.kind in {"", entry.type}:
            return []
        return [FieldProblem("model", f"{entry.id} is no model for {self.name}: its type is {entry.type}")]

    def key(self, host: str, inputs: Sequence[InputKey]) -> str:
        """Return the name of what is bought: the same inputs and fields give the same key in any run, item or job."""
        described: list[JsonValue] = [dict(input_key.described()) for input_key in inputs]
        return digest({"host": host, "endpoint": self.endpoint, "parameters": dict(self.sent), "input": described})

    def after(self, known: Known) -> Known:  # noqa: ARG002 - size and alpha are mostly the model's choice
        """Return what is known of the answer before it is bought."""
        return Known()

    def expect(self, sent: Facts | None) -> Expect:  # noqa: ARG002 - most answers promise nothing
        """Return what the answer must look like, given the facts of the base picture that was sent."""
        return Expect()

    def extension(self, catalogue: Catalogue) -> str:  # noqa: ARG002 - the same for every model
        """Return the file extension of the answer: ``png``, where neither fields nor model choose another format."""
        return "png"

    @abstractmethod
    def send(self, client: Client, inputs: Sequence[Input], into: Sequence[Path], lane: str) -> Answer:
        """Make the call and stream the answer to `into`, one path a variant.

        Raises:
            CallFailed: with its failure class.
        """


@dataclass(frozen=True)
class Upscale(PaidStep):
    """Enlarge 2 to 4 times; always a PNG."""

    endpoint: ClassVar[str] = "/image/upscale"
    # From the cap on nothing can be enlarged: the API answers 400.
    limits: ClassVar[Limits] = Limits(
        min_pixels=API_MIN_PIXELS, min_side=API_MIN_SIDE, max_bytes=MAX_FILE_BYTES, enlarged_within=UPSCALE_CAP
    )

    @property
    def scale(self) -> float:
        """The factor: as set, 2 where the user left it to the API."""
        return float(str(self.sent.get("scale", _DOUBLE)))

    def factors(self, known: Known) -> tuple[str, ...]:
        """Return ``2x`` or ``4x``, by the scale that is left below the cap; both where the size is not known."""
        if self.scale <= _DOUBLE:
            return ("2x",)
        if known.width is None or known.height is None:
            return ("2x", "4x")
        return ("2x",) if known.width * known.height * _DOUBLE**2 >= UPSCALE_CAP else ("4x",)

    def lane(self, catalogue: Catalogue) -> str:
        """Return the catalogue's upscaler."""
        return catalogue.upscaler().id

    def price(self, catalogue: Catalogue, known: Known = _UNKNOWN) -> CallPrice:
        """Return the catalogue's price for the factor; 1 (enhance only) is priced as 2."""
        return prices.upscale(catalogue, self.factors(known))

    def after(self, known: Known) -> Known:
        """Return the enlarged size, which the API caps at 16,777,216 pixels."""
        if known.width is None or known.height is None:
            return Known(format="PNG")
        width, height = enlarged(known.width, known.height, self.scale)
        return replace(known, width=width, height=height, format="PNG", bytes=None)

    def expect(self, sent: Facts | None) -> Expect:
        """Promise the exact size, except where cap or fraction round it in ways the API does not document."""
        if sent is None or sent.width * sent.height * self.scale**2 > UPSCALE_CAP or self.scale % 1:
            return Expect()
        return Expect(size=(sent.width * int(self.scale), sent.height * int(self.scale)))

    def send(self, client: Client, inputs: Sequence[Input], into: Sequence[Path], lane: str) -> Answer:
        """Make the call (see `PaidStep.send`)."""
        return client.upscale(_file(inputs[0]), self.sent, into=into[0], lane=lane)


@dataclass(frozen=True)
class BackgroundRemove(PaidStep):
    """Cut the subject out; always a PNG with alpha, of the size that was sent."""

    endpoint: ClassVar[str] = "/image/background-remove"
    takes_url: ClassVar[bool] = True
    limits: ClassVar[Limits] = Limits(max_bytes=MAX_FILE_BYTES)

    def lane(self, catalogue: Catalogue) -> str:
        """Return the catalogue's background remover."""
        return catalogue.background_remover().id

    def price(self, catalogue: Catalogue, known: Known = _UNKNOWN) -> CallPrice:  # noqa: ARG002 - the same for all
        """Return the catalogue's price of one cut-out."""
        return prices.background_remove(catalogue)

    def after(self, known: Known) -> Known:
        """Return the same size, with alpha."""
        return replace(known, has_alpha=True, format="PNG", bytes=None)

    def expect(self, sent: Facts | None) -> Expect:
        """Promise alpha, and the size that was sent."""
        return Expect(size=None if sent is None else (sent.width, sent.height), alpha=True)

    def send(self, client: Client, inputs: Sequence[Input], into: Sequence[Path], lane: str) -> Answer:
        """Make the call (see `PaidStep.send`)."""
        return client.background_remove(inputs[0], self.sent, into=into[0], lane=lane)


@dataclass(frozen=True)
class Edit(PaidStep):
    """Change the picture by a prompt; the size of the answer depends on the model."""

    endpoint: ClassVar[str] = "/image/edit"
    endpoint_name: ClassVar[prices.Endpoint] = "edit"
    takes_url: ClassVar[bool] = True
    kind: ClassVar[str] = "inpaint"
    limits: ClassVar[Limits] = Limits(
        min_pixels=API_MIN_PIXELS, min_side=API_MIN_SIDE, max_pixels=EDIT_MAX_PIXELS, max_bytes=MAX_FILE_BYTES
    )

    def lane(self, catalogue: Catalogue) -> str:
        """Return the model that serves the call: the chosen one, else the API's present default, which is not sent."""
        return (catalogue.default_edit_model() if self.model is None else catalogue.find(self.model, self.kind)).id

    def price(self, catalogue: Catalogue, known: Known = _UNKNOWN) -> CallPrice:  # noqa: ARG002 - the same for all
        """Return the price by tier, quality and the number of pictures."""
        return prices.edit(catalogue, self.lane(catalogue), self.sent, len(self.images))

    def problems(self, catalogue: Catalogue) -> list[FieldProblem]:
        """Hold ratio, tier, quality, pictures and the length of the prompt against the model's limits."""
        entry = catalogue.find(self.lane(catalogue))
        return super().problems(catalogue) or prices.check(entry, self.endpoint_name, self.sent, len(self.images))

    def extension(self, catalogue: Catalogue) -> str:
        """Return the format asked for, else PNG at 1K or with transparency, and JPEG above (the API's rule)."""
        chosen = self.sent.get("output_format")
        if chosen is not None:
            return _extension(chosen)
        return "png" if self.sent.get("transparent_background") or self.tier(catalogue) == _SMALLEST else "jpg"

    def tier(self, catalogue: Catalogue) -> str:
        """Return the resolution tier that the call ends up with."""
        entry = catalogue.find(self.lane(catalogue))
        if not entry.resolutions:
            return _SMALLEST
        return str(self.sent.get("resolution") or entry.default_resolution)

    def send(self, client: Client, inputs: Sequence[Input], into: Sequence[Path], lane: str) -> Answer:
        """Make the call (see `PaidStep.send`)."""
        return client.edit(inputs[0], self.sent, into=into[0], lane=lane)


@dataclass(frozen=True)
class MultiEdit(Edit):
    """Combine several pictures by a prompt: the first is the base, the rest are layers, masks or references."""

    endpoint: ClassVar[str] = "/image/multi-edit"
    endpoint_name: ClassVar[prices.Endpoint] = "multi-edit"
    model_field: ClassVar[str] = "modelId"

    def send(self, client: Client, inputs: Sequence[Input], into: Sequence[Path], lane: str) -> Answer:
        """Make the call (see `PaidStep.send`)."""
        return client.multi_edit(inputs, self.sent, into=into[0], lane=lane)


@dataclass(frozen=True)
class Generate(PaidStep):
    """Make pictures from a prompt; one call gives all variants. Its `images` are the style references that are files.

    Attributes:
        row: the id of the prompts row, part of the key where no seed makes the call repeatable.
    """

    endpoint: ClassVar[str] = "/image/generate"
    kind: ClassVar[str] = "image"
    limits: ClassVar[Limits] = Limits(max_bytes=_MAX_STYLE_BYTES)
    changes_base: ClassVar[bool] = False
    images: tuple[ImageRef, ...] = ()
    row: str = ""

    @property
    def variants(self) -> int:
        """How many pictures one call gives."""
        return int(str(self.sent.get("variants", 1)))

    def lane(self, catalogue: Catalogue) -> str:
        """Return the chosen model: the endpoint requires one."""
        return catalogue.find(str(self.sent["model"]), self.kind).id

    def price(self, catalogue: Catalogue, known: Known = _UNKNOWN) -> CallPrice:  # noqa: ARG002 - the same for all
        """Return the price of one call with all its variants."""
        return prices.generate(catalogue, self.lane(catalogue), self.sent)

    def problems(self, catalogue: Catalogue) -> list[FieldProblem]:
        """Hold ratio, tier, quality, steps, style and the length of the prompts against the model's limits."""
        entry = catalogue.find(self.lane(catalogue))
        return super().problems(catalogue) or [
            *prices.check(entry, "generate", self.sent),
            *prices.check_style(catalogue, self.sent),
        ]

    def key(self, host: str, inputs: Sequence[InputKey]) -> str:
        """Return the key of the call; variant n of its answer is the result ``<key>.<n>``, from 0."""
        origin = [] if "seed" in self.sent else [InputKey("row", self.row)]
        return super().key(host, [*inputs, *origin])

    def extension(self, catalogue: Catalogue) -> str:  # noqa: ARG002 - the same for every model
        """Return the format asked for; the API's own default is WebP."""
        return _extension(self.sent.get("format", "webp"))

    def send(self, client: Client, inputs: Sequence[Input], into: Sequence[Path], lane: str) -> Answer:
        """Make the call (see `PaidStep.send`); the inputs are the files among the style references, in order."""
        return client.generate(self._with_files(map(_file, inputs)), into=into, lane=lane)

    def _with_files(self, files: Iterator[Path]) -> Fields:
        references = self.sent.get(STYLE_REFERENCES)
        if not isinstance(references, list):
            return self.sent
        filled = [
            {**one, "image": one["image"] or next(files)} if isinstance(one, Mapping) else one for one in references
        ]
        return {**self.sent, STYLE_REFERENCES: filled}


def _extension(chosen: JsonValue) -> str:
    return "jpg" if chosen == "jpeg" else str(chosen)


def enlarged(width: int, height: int, scale: float) -> tuple[int, int]:
    """Return the size of an upscaled picture: the API shrinks what would exceed 16,777,216 pixels."""
    factor = min(scale, math.sqrt(UPSCALE_CAP / (width * height)))
    return round(width * factor), round(height * factor)


def _file(picture: Input) -> Path:
    if isinstance(picture, Url):
        raise TypeError("this endpoint takes files only")
    return picture
