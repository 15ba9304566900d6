"""The steps that call the API: their fields as sent, price, lane, limits, and what the answer must look like."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import ClassVar, Self

from pydantic import JsonValue

from venice_batch.imaging import API_MIN_PIXELS, EDIT_MAX_PIXELS, MAX_FILE_BYTES, UPSCALE_CAP, Facts, Limits
from venice_batch.steps.answer_checks.expectations import Expect, ExpectFields
from venice_batch.steps.canonical_json import digest
from venice_batch.steps.conditions import Condition, Known
from venice_batch.steps.input_key import InputKey
from venice_batch.steps.references import Current, ImageRef
from venice_batch.venice import Answer, Catalogue, Client, Url, prices

Input = Path | Url

#: The API's own scale where a job writes none.
_DOUBLE = 2


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
    #: What the API refuses in an input (published API file, 2026-08-21).
    limits: ClassVar[Limits] = Limits(min_pixels=API_MIN_PIXELS, max_bytes=MAX_FILE_BYTES)

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

    @abstractmethod
    def price(self, catalogue: Catalogue) -> Decimal:
        """Return what one call costs at most, in US dollars, by the live catalogue.

        Raises:
            CatalogueError: the catalogue has no price for it. An unknown price is never zero.
        """

    def problems(self, catalogue: Catalogue) -> list[prices.InvalidField]:
        """Return what the catalogue says the API will refuse in these fields.

        Raises:
            CatalogueError: there is no such model.
        """
        entry = catalogue.find(self.lane(catalogue))
        if self.kind in {"", entry.type}:
            return []
        return [prices.InvalidField("model", f"{entry.id} is no model for {self.name}: its type is {entry.type}")]

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
    """Enlarge 2 or 4 times; always a PNG."""

    endpoint: ClassVar[str] = "/image/upscale"

    @property
    def scale(self) -> int:
        """The factor: as set, 2 where the user left it to the API."""
        return int(str(self.sent.get("scale", _DOUBLE)))

    def lane(self, catalogue: Catalogue) -> str:
        """Return the catalogue's upscaler."""
        return catalogue.upscaler().id

    def price(self, catalogue: Catalogue) -> Decimal:
        """Return the catalogue's price for the factor; 1 (enhance only) is priced as 2."""
        return prices.upscale(catalogue, self.scale)

    def after(self, known: Known) -> Known:
        """Return the enlarged size, which the API caps at 16,777,216 pixels."""
        if known.width is None or known.height is None:
            return Known(format="PNG")
        width, height = enlarged(known.width, known.height, self.scale)
        return replace(known, width=width, height=height, format="PNG", bytes=None)

    def expect(self, sent: Facts | None) -> Expect:
        """Promise the exact size, except where the cap rounds it in ways the API does not document."""
        if sent is None or sent.width * sent.height * self.scale**2 > UPSCALE_CAP:
            return Expect()
        return Expect(size=(sent.width * self.scale, sent.height * self.scale))

    def send(self, client: Client, inputs: Sequence[Input], into: Sequence[Path], lane: str) -> Answer:
        """Make the call (see `PaidStep.send`)."""
        return client.upscale(_file(inputs[0]), self.sent, into=into[0], lane=lane)


@dataclass(frozen=True)
class BackgroundRemove(PaidStep):
    """Cut the subject out; always a PNG with alpha, of the size that was sent."""

    endpoint: ClassVar[str] = "/image/background-remove"
    takes_url: ClassVar[bool] = True

    def lane(self, catalogue: Catalogue) -> str:
        """Return the catalogue's background remover."""
        return catalogue.background_remover().id

    def price(self, catalogue: Catalogue) -> Decimal:
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
        return client.background_remove(inputs[0], into=into[0], lane=lane)


@dataclass(frozen=True)
class Edit(PaidStep):
    """Change the picture by a prompt; the size of the answer depends on the model."""

    endpoint: ClassVar[str] = "/image/edit"
    endpoint_name: ClassVar[prices.Endpoint] = "edit"
    takes_url: ClassVar[bool] = True
    kind: ClassVar[str] = "inpaint"
    limits: ClassVar[Limits] = Limits(min_pixels=API_MIN_PIXELS, max_pixels=EDIT_MAX_PIXELS, max_bytes=MAX_FILE_BYTES)

    def lane(self, catalogue: Catalogue) -> str:
        """Return the chosen model, else the API's present default, which is never sent."""
        return self.model or catalogue.default_edit_model().id

    def price(self, catalogue: Catalogue) -> Decimal:
        """Return the price by tier, quality and extra images."""
        return prices.edit(catalogue, self.lane(catalogue), self.sent)

    def problems(self, catalogue: Catalogue) -> list[prices.InvalidField]:
        """Return what the catalogue says against model, ratio, tier, quality or the length of the prompt."""
        entry = catalogue.find(self.lane(catalogue))
        return super().problems(catalogue) or prices.check(entry, self.endpoint_name, self.sent, len(self.images))

    def extension(self, catalogue: Catalogue) -> str:
        """Return the format asked for, else PNG at 1K and JPEG above (the API's rule)."""
        chosen = self.sent.get("output_format")
        if chosen is not None:
            return _extension(chosen)
        return "png" if self.tier(catalogue) == "1K" else "jpg"

    def tier(self, catalogue: Catalogue) -> str:
        """Return the resolution tier that the call ends up with."""
        entry = catalogue.find(self.lane(catalogue))
        return str(self.sent.get("resolution") or entry.spec.constraints.default_resolution or "1K")

    def send(self, client: Client, inputs: Sequence[Input], into: Sequence[Path], lane: str) -> Answer:
        """Make the call (see `PaidStep.send`)."""
        return client.edit(inputs[0], self.sent, into=into[0], lane=lane)


@dataclass(frozen=True)
class MultiEdit(Edit):
    """Combine several pictures by a prompt: the first is the base, the rest are layers, masks or references."""

    endpoint: ClassVar[str] = "/image/multi-edit"
    endpoint_name: ClassVar[prices.Endpoint] = "multi-edit"
    model_field: ClassVar[str] = "modelId"

    def price(self, catalogue: Catalogue) -> Decimal:
        """Return the price by tier, quality and the number of pictures."""
        return prices.edit(catalogue, self.lane(catalogue), self.sent, len(self.images))

    def send(self, client: Client, inputs: Sequence[Input], into: Sequence[Path], lane: str) -> Answer:
        """Make the call (see `PaidStep.send`)."""
        return client.multi_edit(inputs, self.sent, into=into[0], lane=lane)


@dataclass(frozen=True)
class Generate(PaidStep):
    """Make pictures from a prompt; one call gives all variants.

    Attributes:
        row: the id of the prompts row, part of the key where no seed makes the call repeatable.
    """

    endpoint: ClassVar[str] = "/image/generate"
    kind: ClassVar[str] = "image"
    images: tuple[ImageRef, ...] = ()
    row: str = ""

    @property
    def variants(self) -> int:
        """How many pictures one call gives."""
        return int(str(self.sent.get("variants", 1)))

    def lane(self, catalogue: Catalogue) -> str:  # noqa: ARG002 - the user always names it
        """Return the chosen model: the endpoint requires one."""
        return str(self.sent["model"])

    def price(self, catalogue: Catalogue) -> Decimal:
        """Return the price of one call with all its variants."""
        return prices.generate(catalogue, self.lane(catalogue), self.sent)

    def problems(self, catalogue: Catalogue) -> list[prices.InvalidField]:
        """Return what the catalogue says against model, ratio, tier, quality or the length of the prompt."""
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

    def send(self, client: Client, inputs: Sequence[Input], into: Sequence[Path], lane: str) -> Answer:  # noqa: ARG002
        """Make the call (see `PaidStep.send`); there are no inputs."""
        return client.generate(self.sent, into=into, lane=lane)


def _extension(chosen: JsonValue) -> str:
    return "jpg" if chosen == "jpeg" else str(chosen)


def enlarged(width: int, height: int, scale: int) -> tuple[int, int]:
    """Return the size of an upscaled picture: the API shrinks what would exceed 16,777,216 pixels."""
    factor = min(float(scale), math.sqrt(UPSCALE_CAP / (width * height)))
    return round(width * factor), round(height * factor)


def _file(picture: Input) -> Path:
    if isinstance(picture, Url):
        raise TypeError("this endpoint takes files only")
    return picture
