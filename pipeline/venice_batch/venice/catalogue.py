"""The live catalogue: which models there are, what they accept, and what replaces those that go."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from pydantic import AliasChoices, Field, field_validator

from venice_batch.errors import CatalogueError
from venice_batch.venice.account import Amount, Lenient

#: The entry whose price and rate limit count for background removal (listed under type ``image``).
BACKGROUND_REMOVER = "bria-bg-remover"
#: Where the traits name no default edit model; the API's own default since 2026.
_FALLBACK_EDIT_MODEL = "firered-image-edit"
#: Ids whose catalogue entry is gone, and with it the hint: they are replaced by the current default.
_REPLACED_BY_DEFAULT = frozenset({"qwen-edit"})
TYPES = ("image", "inpaint", "upscale")


class Price(Lenient):
    """One amount; the catalogue has it in DIEM, too, one to one."""

    usd: Amount | None = None


class InputImages(Lenient):
    """How many input images a price covers, and what each further one adds."""

    included: int = 1
    additional: Price | None = None


class Pricing(Lenient):
    """Every form of price that an image model may have; each may be absent."""

    inpaint: Price | None = None
    generation: Price | None = None
    resolutions: Mapping[str, Price] = Field(default_factory=dict)
    quality: Mapping[str, Mapping[str, Price]] = Field(default_factory=dict)
    upscale: Mapping[str, Price] = Field(default_factory=dict)
    input_images: InputImages | None = Field(default=None, validation_alias=AliasChoices("inputImages", "input_images"))


class Constraints(Lenient):
    """What a model accepts; empty or None where the catalogue is silent."""

    aspect_ratios: tuple[str, ...] = Field(default=(), validation_alias="aspectRatios")
    prompt_limit: int | None = Field(default=None, validation_alias="promptCharacterLimit")
    combine_images: bool | None = Field(default=None, validation_alias="combineImages")
    max_input_images: int | None = Field(default=None, validation_alias="maxInputImages")
    resolutions: tuple[str, ...] = ()
    default_resolution: str | None = Field(default=None, validation_alias="defaultResolution")
    qualities: tuple[str, ...] = ()
    default_quality: str | None = Field(default=None, validation_alias="defaultQuality")
    max_style_references: int | None = Field(default=None, validation_alias="maxStyleReferences")

    @field_validator("aspect_ratios", "resolutions", "qualities", mode="before")
    @classmethod
    def _null_is_empty(cls, value: object) -> object:
        return () if value is None else value


class Deprecation(Lenient):
    """When a model goes, and what comes instead."""

    date: str | None = None
    removes_at: str | None = Field(default=None, validation_alias="removesAt")
    replacement: str | None = Field(default=None, validation_alias="replacementModelId")

    def removed_on(self) -> dt.date | None:
        """Return the day from which the model is gone, or None where it is not known."""
        for text in (self.removes_at, self.date):
            try:
                return dt.datetime.fromisoformat(text).date() if text else None
            except ValueError:
                continue
        return None


class Spec(Lenient):
    """The ``model_spec`` of an entry."""

    name: str = ""
    offline: bool = False
    traits: tuple[str, ...] = ()
    deprecation: Deprecation | None = None
    constraints: Constraints = Constraints()
    pricing: Pricing = Pricing()

    @field_validator("constraints", "pricing", "traits", "name", "offline", mode="before")
    @classmethod
    def _null_is_absent(cls, value: object, info: object) -> object:
        if value is not None:
            return value
        name = getattr(info, "field_name", "")
        return cls.model_fields[name].default


class Model(Lenient):
    """One catalogue entry."""

    id: str
    type: str = ""
    spec: Spec = Field(default=Spec(), validation_alias=AliasChoices("model_spec", "spec"))

    def prices(self) -> list[str]:
        """Return every price in US dollars with what it is for, such as ``2K 0.23``; the base price stands alone."""
        pricing = self.spec.pricing
        named = [("", pricing.inpaint), ("", pricing.generation)]
        named += [*pricing.upscale.items(), *pricing.resolutions.items()]
        named += [
            (f"{tier}/{level}", price) for tier, levels in pricing.quality.items() for level, price in levels.items()
        ]
        if pricing.input_images is not None:
            named.append(("further image", pricing.input_images.additional))
        return [f"{name} {price.usd}".strip() for name, price in named if price is not None and price.usd is not None]


class CatalogueSource(Protocol):
    """The two free calls that a catalogue is read with; the client has them."""

    def models(self, type: str) -> list[Model]:  # noqa: A002 - the API's own word
        """List the entries of one type."""
        ...

    def traits(self, type: str) -> dict[str, str]:  # noqa: A002 - the API's own word
        """Return trait name -> model id of one type."""
        ...


@dataclass(frozen=True)
class Catalogue:
    """The image models of one moment.

    Attributes:
        models: by id, of the types image, inpaint and upscale.
        edit_traits: trait name -> model id of the edit models.
        styles: the names that ``style_preset`` of generate takes; empty: not asked for.
    """

    models: Mapping[str, Model]
    edit_traits: Mapping[str, str]
    styles: tuple[str, ...] = ()

    @classmethod
    def fetch(cls, client: CatalogueSource) -> Catalogue:
        """Read the catalogue; four free calls.

        Raises:
            CallFailed: the API cannot be read.
        """
        models = {model.id: model for kind in TYPES for model in client.models(kind)}
        return cls(models, client.traits("inpaint"))

    def find(self, model_id: str) -> Model:
        """Return an entry.

        Raises:
            CatalogueError: there is none, or it is offline; the remedy names the replacement, or the
                models there are.
        """
        model = self.models.get(model_id)
        if model is None:
            raise CatalogueError(f"the API has no model {model_id!r}", remedy=self._instead(model_id))
        if model.spec.offline:
            raise CatalogueError(f"the model {model_id!r} is offline", remedy=self._instead(model_id))
        return model

    def of_type(self, kind: str) -> tuple[Model, ...]:
        """Return the entries of one type (``image``, ``inpaint``, ``upscale``), by id."""
        return tuple(sorted((model for model in self.models.values() if model.type == kind), key=_by_id))

    def default_edit_model(self) -> Model:
        """Return the model that the API takes when a job names none.

        Raises:
            CatalogueError: neither the traits nor the list name one.
        """
        for model_id in (self.edit_traits.get("default"), _FALLBACK_EDIT_MODEL):
            if model_id is not None and model_id in self.models:
                return self.find(model_id)
        raise CatalogueError(
            "the API does not say which edit model is its default",
            remedy=f"name a model in the step: {_listed(self.of_type('inpaint'))}",
        )

    def replacement(self, model_id: str) -> str | None:
        """Return what to use instead of a model that goes or is gone, where that is known."""
        model = self.models.get(model_id)
        if model is not None:
            return model.spec.deprecation.replacement if model.spec.deprecation else None
        if model_id in _REPLACED_BY_DEFAULT:
            return self.default_edit_model().id
        return None

    def upscaler(self) -> Model:
        """Return the entry whose price and lane count for upscale: the one of type ``upscale``.

        Raises:
            CatalogueError: there is none.
        """
        entries = self.of_type("upscale")
        if not entries:
            raise CatalogueError("the API's catalogue lists no upscaler, so its price is unknown")
        return next((entry for entry in entries if entry.id == "upscaler"), entries[0])

    def background_remover(self) -> Model:
        """Return the entry whose price and lane count for background-remove.

        Raises:
            CatalogueError: there is none.
        """
        return self.find(BACKGROUND_REMOVER)

    def _instead(self, model_id: str) -> str:
        try:
            replacement = self.replacement(model_id)
        except CatalogueError:
            replacement = None
        if replacement:
            return f"write {replacement} instead"
        kind = self.models[model_id].type if model_id in self.models else "inpaint"
        return f"see `venice-batch models`; {kind} models: {_listed(self.of_type(kind))}"


def _by_id(model: Model) -> str:
    return model.id


def _listed(models: Iterable[Model]) -> str:
    return ", ".join(model.id for model in models if not model.spec.offline) or "none"
