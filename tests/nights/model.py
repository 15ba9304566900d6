"""What must be bought, by a model that shares no code with the tool: recipes, keys of purchases, prices.

A purchase is known by endpoint, parameters and what went in (a source's bytes, or the purchase before it), so the same
picture with the same parameters is one purchase, in whatever file it lies and on whatever night.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import PurePosixPath
from typing import TypeAlias

#: (endpoint, parameters as sent, number of the source or the purchase before).
Purchase: TypeAlias = tuple[str, tuple[tuple[str, str], ...], "int | Purchase"]

CUT, ENLARGE, EDIT = "background-remove", "upscale", "edit"
ENDPOINTS = {CUT: "/image/background-remove", ENLARGE: "/image/upscale", EDIT: "/image/edit"}
DEFAULT_MODEL, OTHER_MODEL = "firered-image-edit", "qwen-image-2-edit"
LARGE = 240


@dataclass(frozen=True)
class Recipe:
    """The job's settings that the shop changes.

    Attributes:
        cut: whether the background is removed first.
        scale: of an enlargement; 0 is none.
        prompt: of the edit, with ``{title}`` or without; empty is no edit.
        model: of the edit; empty is not written.
        thumbnail: whether a second, small file is made of every picture.
        preset: a marketplace's rules for the finished files; empty is none.
        deletes: whether finished files of removed pictures are deleted.
        budget: `max_usd_per_day` as written; empty is none.
    """

    cut: bool = True
    scale: int = 0
    prompt: str = "the {title} on marble"
    model: str = ""
    thumbnail: bool = False
    preset: str = ""
    deletes: bool = True
    budget: str = ""

    def steps(self, title: str) -> list[tuple[str, dict[str, str]]]:
        """Return the paid steps and their parameters for an item with this title."""
        found: list[tuple[str, dict[str, str]]] = []
        if self.cut:
            found.append((CUT, {}))
        if self.scale:
            found.append((ENLARGE, {"scale": str(self.scale)}))
        if self.prompt:
            fields = {"prompt": self.prompt.format(title=title), "output_format": "jpeg"}
            found.append((EDIT, fields | ({"model": self.model} if self.model else {})))
        return found

    def suffixes(self) -> list[str]:
        """Return what the names of an item's finished files end in."""
        return [".jpg", "-thumb.webp"] if self.thumbnail and not self.preset else [".jpg"]

    def job_steps(self) -> list[object]:
        """Return the steps as the job file has them."""
        found: list[object] = [CUT] if self.cut else []
        found += [{ENLARGE: {"scale": self.scale}}] if self.scale else []
        if self.prompt:
            fields = {"prompt": self.prompt, "output_format": "jpeg"}
            found.append({EDIT: fields | ({"model": self.model} if self.model else {})})
        return found

    def job_output(self) -> dict[str, object]:
        """Return how finished files are made, as the job file has it."""
        rule: dict[str, object] = {"on_vanished": "delete" if self.deletes else "keep", "max_deleted": "100%"}
        if self.preset:
            return rule
        large: dict[str, object] = {"format": "jpeg", "quality": 90}
        files = [large | ({"max_side": LARGE} if self.prompt else {"background": "white"})]
        if self.thumbnail:
            files.append({"suffix": "-thumb", "format": "webp", "max_side": LARGE // 2})
        return rule | {"renditions": files}


@dataclass(frozen=True)
class Item:
    """A picture as the shop has it tonight.

    Attributes:
        key: its path in the source.
        number: of its pixels; None where the file is broken.
        title: its row; None where it has none.
    """

    key: str
    number: int | None
    title: str | None


@dataclass
class Model:
    """What was bought and is still stored.

    Attributes:
        prices: by step or, for edits, by model; an enlargement also by its scale.
        stored: every purchase whose result is stored.
        used: the last night on which an item needed a purchase.
    """

    prices: dict[str, Decimal] = field(
        default_factory=lambda: {
            CUT: Decimal("0.03"),
            f"{ENLARGE} 2": Decimal("0.02"),
            f"{ENLARGE} 4": Decimal("0.08"),
            DEFAULT_MODEL: Decimal("0.04"),
            OTHER_MODEL: Decimal("0.05"),
        }
    )
    stored: set[Purchase] = field(default_factory=set)
    used: dict[Purchase, int] = field(default_factory=dict)

    def needs(self, items: Iterable[Item], recipe: Recipe) -> list[Purchase]:
        """Return what a run over these items must buy, in order and each once."""
        found: dict[Purchase, None] = {}
        for item in items:
            found |= dict.fromkeys(missing(chain(item, recipe), self.stored))
        return list(found)

    def price(self, purchase: Purchase) -> Decimal:
        """Return what a purchase costs tonight, in USD."""
        endpoint, fields, _ = purchase
        given = dict(fields)
        if endpoint == ENDPOINTS[CUT]:
            return self.prices[CUT]
        if endpoint == ENDPOINTS[ENLARGE]:
            return self.prices[f"{ENLARGE} {given['scale']}"]
        return self.prices[given.get("model", DEFAULT_MODEL)]

    def cost(self, purchases: Iterable[Purchase]) -> Decimal:
        return sum(map(self.price, purchases), Decimal(0))

    def note_use(self, items: Iterable[Item], recipe: Recipe, night: int) -> None:
        """Remember that tonight's items rest on these purchases."""
        for item in items:
            for purchase in chain(item, recipe):
                self.used[purchase] = night


def valid(item: Item, recipe: Recipe) -> bool:
    """Whether an item can be processed: a whole picture, with the row that its prompt wants."""
    return item.number is not None and (item.title is not None or "{" not in recipe.prompt)


def names(item: Item, recipe: Recipe) -> list[str]:
    """Return the names of an item's finished files."""
    return [str(PurePosixPath(item.key).with_suffix("")) + suffix for suffix in recipe.suffixes()]


def chain(item: Item, recipe: Recipe) -> list[Purchase]:
    """Return the purchases that an item's finished files are made of, first step first; none of an invalid item."""
    if item.number is None or not valid(item, recipe):
        return []
    found: list[Purchase] = []
    before: int | Purchase = item.number
    for step, fields in recipe.steps(item.title or ""):
        found.append((ENDPOINTS[step], tuple(sorted(fields.items())), before))
        before = found[-1]
    return found


def missing(wanted: list[Purchase], stored: set[Purchase]) -> list[Purchase]:
    """Return what must be bought for a chain: all behind the last result that is stored."""
    for place in range(len(wanted), 0, -1):
        if wanted[place - 1] in stored:
            return wanted[place:]
    return wanted


def needed(items: Iterable[Item], recipe: Recipe) -> set[Purchase]:
    """Return every purchase that an item rests on."""
    return {purchase for item in items for purchase in chain(item, recipe)}


def repeated(purchases: Iterable[Purchase]) -> list[Purchase]:
    """Return what stands in a list more than once."""
    return [purchase for purchase, times in Counter(purchases).items() if times > 1]


def as_sent(params: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Return the parameters of a logged request in the form of a purchase's."""
    return tuple(sorted((name, str(value)) for name, value in params.items() if name != "image"))
