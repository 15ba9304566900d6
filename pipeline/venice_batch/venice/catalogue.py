"""The live catalogue: which models there are, what they accept, and what replaces those that go."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Protocol

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, ValidationError, model_validator

from venice_batch.errors import CatalogueError
from venice_batch.venice.lenient import Amount, Lenient, Maybe, Named, Part, Several, Whole

#: The entry whose price and rate limit count for background removal (listed under type ``image``).
BACKGROUND_REMOVER = "bria-bg-remover"
#: Where the traits name no default edit model; the API's own default since 2026.
_FALLBACK_EDIT_MODEL = "firered-image-edit"
#: The tier of a call that names none, where the catalogue does not say (published API file, 20260821).
_DEFAULT_RESOLUTION = "1K"
TYPES = ("image", "inpaint", "upscale")
#: How alike two ids are where one may be a slip of the other, 0 to 1.
_ALIKE = 0.8
#: Digits behind the point of a price: what binary fractions add beyond (0.0034500000000000004) is noise.
_PLACES = Decimal("1e-9")
#: No picture costs that much: such an amount is a mistake.
_MOST_USD = 10_000


def _price(amount: Decimal) -> Decimal:
    if not 0 <= amount <= _MOST_USD:
        raise ValueError("no price")
    # Adding 0 spells 1E+1 as 10.
    return amount.quantize(_PLACES).normalize() + 0


class Price(Lenient):
    """One amount; the catalogue has it in DIEM, too, one to one."""

    usd: Annotated[Amount, AfterValidator(_price)]


class InputImages(Lenient):
    """How many input images a price covers, and what each further one adds; None: not known."""

    included: Maybe[Whole] = None
    additional: Maybe[Price] = None


class Pricing(Lenient):
    """Every form of price that an image model may have; each may be absent.

    `is_odd`: a list of them cannot be read at all.
    """

    inpaint: Maybe[Price] = None
    generation: Maybe[Price] = None
    resolutions: Named[Price] = Field(default_factory=dict)
    quality: Named[Named[Price]] = Field(default_factory=dict)
    upscale: Named[Price] = Field(default_factory=dict)
    input_images: Part[InputImages] | None = Field(
        default=None, validation_alias=AliasChoices("inputImages", "input_images")
    )
    is_odd: bool = Field(default=False, exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _mark_as_odd(cls, value: object) -> object:
        """Note that a whole list of prices cannot be read: without it any other price would be a guess."""
        if not isinstance(value, Mapping):
            return value
        lists = (value.get(name) for name in ("resolutions", "quality"))
        return {**value, "is_odd": any(one is not None and not isinstance(one, Mapping) for one in lists)}


class Steps(Lenient):
    """Inference steps."""

    max: Maybe[Whole] = None


class Constraints(Lenient):
    """What a model accepts; empty or None where the catalogue is silent: mostly it takes no such field then."""

    aspect_ratios: Several[str] = Field(default=(), validation_alias="aspectRatios")
    prompt_limit: Maybe[Whole] = Field(default=None, validation_alias="promptCharacterLimit")
    combine_images: Maybe[bool] = Field(default=None, validation_alias="combineImages")
    max_input_images: Maybe[Whole] = Field(default=None, validation_alias="maxInputImages")
    resolutions: Several[str] = ()
    default_resolution: Maybe[str] = Field(default=None, validation_alias="defaultResolution")
    qualities: Several[str] = ()
    default_quality: Maybe[str] = Field(default=None, validation_alias="defaultQuality")
    steps: Maybe[Steps] = None
    max_style_references: Maybe[Whole] = Field(default=None, validation_alias="maxStyleReferences")
    style_references: Maybe[bool] = Field(default=None, validation_alias="supportsStyleReferences")
    style_strength: Maybe[bool] = Field(default=None, validation_alias="supportsStyleReferenceStrength")
    transparent_background: Maybe[bool] = Field(default=None, validation_alias="supportsTransparentBackground")


class Deprecation(Lenient):
    """When a model goes, and what comes instead."""

    date: Maybe[str] = None
    removes_at: Maybe[str] = Field(default=None, validation_alias="removesAt")
    replacement: Maybe[str] = Field(default=None, validation_alias="replacementModelId")

    def removed_on(self) -> dt.date | None:
        """Return the day from which the model is gone, or None where it is not known."""
        for text in (self.removes_at, self.date):
            try:
                if text:
                    return dt.datetime.fromisoformat(text).date()
            except ValueError:
                continue
        return None

    def text_for(self, model: str) -> str:
        """Return the notice in a sentence."""
        day = self.removed_on()
        text = f"the API retires {model}{f' on {day}' if day else ''}"
        return f"{text}; use {self.replacement}" if self.replacement else text


class Spec(Lenient):
    """The ``model_spec`` of an entry."""

    name: Maybe[str] = None
    offline: Maybe[bool] = None
    traits: Several[str] = ()
    deprecation: Maybe[Deprecation] = None
    style_references: Maybe[bool] = Field(default=None, validation_alias="supportsStyleReferences")
    constraints: Part[Constraints] = Constraints()
    pricing: Part[Pricing] = Pricing()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


class Model(Lenient):
    """One catalogue entry.

    Attributes:
        id: what a job calls it.
        type: ``image``, ``inpaint`` or ``upscale``.
        spec: what the catalogue says of it.
    """

    id: str = Field(min_length=1, max_length=200)
    type: Annotated[str, BeforeValidator(_text)] = ""
    spec: Part[Spec] = Field(default=Spec(), validation_alias=AliasChoices("model_spec", "spec"))

    @property
    def resolutions(self) -> tuple[str, ...]:
        """The resolution tiers on offer; empty where the model takes none."""
        pricing = self.spec.pricing
        return self.spec.constraints.resolutions or tuple(dict.fromkeys([*pricing.resolutions, *pricing.quality]))

    @property
    def qualities(self) -> tuple[str, ...]:
        """The quality levels on offer; empty where the model takes none."""
        priced = (level for levels in self.spec.pricing.quality.values() for level in levels)
        return self.spec.constraints.qualities or tuple(dict.fromkeys(priced))

    @property
    def default_resolution(self) -> str:
        """The tier of a call that names none."""
        return self.spec.constraints.default_resolution or _DEFAULT_RESOLUTION

    @property
    def style_references(self) -> int | None:
        """How many style references it takes at most; None: as many as one likes."""
        told = self.spec.constraints.style_references
        takes = told if self.spec.style_references is None else self.spec.style_references
        most = self.spec.constraints.max_style_references
        return most if takes else 0 if takes is False else most or 0

    def prices(self) -> list[tuple[str, Decimal]]:
        """Return what is paid for and its price in US dollars, such as (``2K``, 0.23); the base price has no name.

        The block ``upscale`` that every entry carries is the account's, and a price of the upscaler alone.
        """
        pricing = self.spec.pricing
        named = [("", pricing.inpaint), ("", pricing.generation)]
        named += pricing.upscale.items() if self.type == "upscale" else []
        named += pricing.resolutions.items()
        named += [
            (f"{tier}/{level}", price) for tier, levels in pricing.quality.items() for level, price in levels.items()
        ]
        if pricing.input_images is not None:
            named.append(("further image", pricing.input_images.additional))
        return [(name, price.usd) for name, price in named if price is not None]

    def as_json(self) -> dict[str, Any]:
        """Return what is known of it for `json.dumps`, amounts as decimal strings; left out is what `prices` says."""
        not_its_own = {"spec": {"pricing": {"upscale"}}} if self.type != "upscale" else None
        return self.model_dump(mode="json", exclude_none=True, exclude=not_its_own)


def read_models(entries: Sequence[object], kind: str) -> tuple[list[Model], list[str]]:
    """Return the entries of the listing of one type that can be read, and what could not be, a line an entry.

    What cannot be read of an entry is taken for absent: it is a matter for the jobs that need it, and for no others.
    """
    models: list[Model] = []
    notes: list[str] = []
    for number, entry in enumerate(entries, 1):
        odd: list[str] = []
        try:
            model = Model.model_validate(entry, context={"notes": odd})
        except ValidationError:
            notes.append(f"entry {number} of the list is left out: it has no id that can be read")
            continue
        models.append(model if model.type else model.model_copy(update={"type": kind}))
        if odd:
            notes.append(f"{model.id}: not to be read: {', '.join(odd)}")
    return models, notes


class CatalogueSource(Protocol):
    """The free calls that a catalogue is read with; the client has them."""

    def models(self, type: str) -> tuple[list[Model], list[str]]:  # noqa: A002 - the API's own word
        """List the entries of one type, with notes on what cannot be read."""
        ...

    def traits(self, type: str) -> dict[str, str]:  # noqa: A002 - the API's own word
        """Return trait name -> model id of one type."""
        ...

    def aliases(self, type: str) -> dict[str, str]:  # noqa: A002 - the API's own word
        """Return legacy id -> model id of one type."""
        ...


@dataclass(frozen=True)
class Catalogue:
    """The image models of one moment.

    Attributes:
        models: by id, of the types image, inpaint and upscale.
        edit_traits: trait name -> model id of the edit models.
        styles: the names that ``style_preset`` of generate takes; empty: not asked for.
        aliases: ids that the API still takes -> the model that runs.
        notes: what could not be read, a line an entry.
    """

    models: Mapping[str, Model]
    edit_traits: Mapping[str, str]
    styles: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def fetch(cls, client: CatalogueSource) -> Catalogue:
        """Read the catalogue; six free calls.

        Raises:
            CallFailed: the API cannot be read.
        """
        listings = [client.models(kind) for kind in TYPES]
        models = {model.id: model for listed, _ in listings for model in listed}
        notes = tuple(dict.fromkeys(note for _, found in listings for note in found))
        aliases = {old: new for kind in ("image", "inpaint") for old, new in client.aliases(kind).items()}
        return cls(models, client.traits("inpaint"), aliases=aliases, notes=notes)

    def find(self, model_id: str, kind: str = "") -> Model:
        """Return the entry of a model, by its id or by an alias that the API still takes.

        Args:
            model_id: as a job has it.
            kind: the type of model that is wanted, for the remedy.

        Raises:
            CatalogueError: there is none, or it is offline; the remedy names the replacement, or the
                models there are.
        """
        model = self.entry(model_id)
        if model is None:
            raise CatalogueError(
                f"the API has no model {model_id!r} for this key",
                remedy=f"{self._instead(model_id, kind)}; the key's privacy setting may hide a model",
            )
        if model.spec.offline:
            replacement = model.spec.deprecation.replacement if model.spec.deprecation else None
            remedy = f"write {replacement} instead" if replacement else self._instead("", model.type)
            raise CatalogueError(f"the model {model_id!r} is offline", remedy=remedy)
        return model

    def entry(self, model_id: str) -> Model | None:
        """Return the entry of a model by id or alias, on offer or not; None where there is none."""
        return self.models.get(model_id) or self.models.get(self.aliases.get(model_id, ""))

    def of_type(self, kind: str) -> tuple[Model, ...]:
        """Return the entries of one type (``image``, ``inpaint``, ``upscale``), by id."""
        return tuple(sorted((model for model in self.models.values() if model.type == kind), key=_by_id))

    def default_edit_model(self) -> Model:
        """Return the model that the API takes when a job names none.

        Raises:
            CatalogueError: neither the traits nor the list name one.
        """
        for model_id in (self.edit_traits.get("default"), _FALLBACK_EDIT_MODEL):
            if model_id is not None and self.entry(model_id) is not None:
                return self.find(model_id)
        raise CatalogueError(
            "the API does not say which edit model is its default",
            remedy=f"name a model in the step: {_listed(self.of_type('inpaint'))}",
        )

    def upscaler(self) -> Model:
        """Return the entry whose price and lane count for upscale: the one of type ``upscale``.

        Raises:
            CatalogueError: there is none.
        """
        model = self.models.get("upscaler") or next(
            (one for one in self.models.values() if one.type == "upscale"), None
        )
        if model is None:
            raise CatalogueError("the API's catalogue lists no upscaler, so its price is unknown")
        return model

    def background_remover(self) -> Model:
        """Return the entry whose price and lane count for background-remove.

        Raises:
            CatalogueError: there is none.
        """
        return self.find(BACKGROUND_REMOVER)

    def _instead(self, model_id: str, kind: str) -> str:
        """Return what to write for a model that is not there: what it may be a slip of, else the API's default."""
        alike = difflib.get_close_matches(model_id, (one.id for one in self.of_type(kind)), n=1, cutoff=_ALIKE)
        default = self.entry(self.edit_traits.get("default", _FALLBACK_EDIT_MODEL)) if kind == "inpaint" else None
        near = f"did you mean {alike[0]}? " if alike else f"write {default.id} instead, or " if default else ""
        return f"{near}see `venice-batch models`; {kind} models: {_listed(self.of_type(kind))}"


def _by_id(model: Model) -> str:
    return model.id


def _listed(models: Iterable[Model]) -> str:
    return ", ".join(model.id for model in models if not model.spec.offline) or "none"
