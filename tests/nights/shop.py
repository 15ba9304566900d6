"""The simulated shop: its pictures, rows and recipe, and what happens to them and around them, night after night.

Every event is a small function of the shop that changes something and returns a line for the diary, or None where it
does not apply tonight. All chance comes from one seed.

Left out, as each takes minutes of real time or a second machine and has tests of its own: an API that is away for good,
a job that another run holds.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from tests.nights import pictures
from tests.nights.model import DEFAULT_MODEL, ENDPOINTS, OTHER_MODEL, Item, Recipe
from tests.nights.places import ShopPlace

_WORDS = ("cup", "mug", "pot", "vase", "lamp", "stool", "plate", "jug")
_GROUNDS = ("marble", "oak", "slate", "linen", "sand", "glass", "paper", "moss")
_MOST_PICTURES = 24
_GC_EVERY = 7


@dataclass
class Tonight:
    """What is out of the ordinary tonight.

    Attributes:
        refused: the exit code that the start must end with; None where it may go ahead.
        bad_key: the key is not known to the API.
        bad_model: the job names a model that nobody has.
        balance: what the wallet holds, in USD; None is plenty.
        rules: faults of the API.
        stopped: a paid call will meet a 402 (exit 5).
        lost: a charged answer will be lost on its way.
        kill_at: the run is killed when so large a share of its calls has begun; None lets it live.
        gc: results are freed after the run.
        state_from: where the state lies that is to be copied to its new place before anything else.
    """

    refused: int | None = None
    bad_key: bool = False
    bad_model: bool = False
    balance: str | None = None
    rules: tuple[dict[str, object], ...] = ()
    stopped: bool = False
    lost: bool = False
    kill_at: float | None = None
    gc: bool = False
    state_from: str = ""


@dataclass
class Shop:
    """The shop.

    Attributes:
        pictures: number by key; None where the file is broken.
        titles: the metadata rows.
        removed: pictures that were taken out and may come back: (key, number, title).
        edited: finished files that somebody changed by hand.
        prices: what the API asks for an edit by model, in USD.
        finished: names of the finished files as they were found last.
    """

    chance: random.Random
    place: ShopPlace
    night: int = 0
    recipe: Recipe = field(default_factory=Recipe)
    pictures: dict[str, int | None] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    removed: list[tuple[str, int | None, str]] = field(default_factory=list)
    edited: set[str] = field(default_factory=set)
    prices: dict[str, str] = field(default_factory=lambda: {DEFAULT_MODEL: "0.04", OTHER_MODEL: "0.05"})
    finished: list[str] = field(default_factory=list)
    tonight: Tonight = field(default_factory=Tonight)
    _numbers: int = 0
    _names: int = 0

    def items(self) -> list[Item]:
        return [Item(key, self.pictures[key], self.titles.get(key)) for key in sorted(self.pictures)]

    def open(self, count: int) -> list[str]:
        """Begin with so many pictures."""
        return [line for _ in range(count) if (line := new(self))]

    def next_night(self) -> list[str]:
        """Let tonight's events happen and return them as lines."""
        self.night += 1
        self.tonight = Tonight(gc=self.night % _GC_EVERY == 0)
        drawn = self.chance.choices(list(_DAILY), weights=list(_DAILY.values()), k=self.chance.randint(0, 3))
        drawn += [event for event, odds in _SOMETIMES.items() if self.chance.random() < odds]
        lines = [line for event in drawn if (line := event(self))]
        if self.chance.random() < _TROUBLE:
            line = self.chance.choices(list(_TROUBLES), weights=list(_TROUBLES.values()))[0](self)
            lines += [line] if line else []
        return lines

    def content(self, key: str) -> bytes:
        """Return the bytes of a source; a broken one is cut off in the middle."""
        number = self.pictures[key]
        suffix = PurePosixPath(key).suffix
        if number is None:
            whole = pictures.draw(sum(key.encode()) % pictures.NUMBERS, suffix)
            return whole[: len(whole) // 3]
        return pictures.draw(number, suffix)

    def any_key(self, *, broken: bool = False) -> str | None:
        keys = [key for key in sorted(self.pictures) if (self.pictures[key] is None) == broken]
        return self.chance.choice(keys) if keys else None

    def new_number(self) -> int:
        """Return a number that no picture had before."""
        self._numbers += 1
        number: int = (self._numbers * 7 + 11) % pictures.NUMBERS
        return number

    def new_key(self, suffix: str) -> str:
        self._names += 1
        folder = self.chance.choice(("", "", "spring/", "autumn/"))
        return f"{folder}p{self._names:03d}{suffix}"

    def word(self) -> str:
        return self.chance.choice(_WORDS)

    def take_out(self, key: str) -> tuple[int | None, str]:
        return self.pictures.pop(key), self.titles.pop(key, "")

    def put_in(self, key: str, number: int | None, title: str) -> None:
        self.pictures[key] = number
        if title:
            self.titles[key] = title


Event = Callable[[Shop], str | None]

# Pictures


def new(shop: Shop) -> str | None:
    if len(shop.pictures) >= _MOST_PICTURES:
        return remove(shop)
    key = shop.new_key(shop.chance.choice((".jpg", ".png")))
    shop.put_in(key, shop.new_number(), shop.word())
    return f"new {key}"


def change(shop: Shop) -> str | None:
    key = shop.any_key()
    if key is None:
        return None
    shop.pictures[key] = shop.new_number()
    return f"another picture under {key}"


def rename(shop: Shop) -> str | None:
    key = shop.any_key()
    if key is None:
        return None
    to = shop.new_key(PurePosixPath(key).suffix)
    shop.put_in(to, *shop.take_out(key))
    return f"{key} renamed to {to}"


def rename_and_replace(shop: Shop) -> str | None:
    """The old name goes to a new picture, as when a series is numbered anew."""
    key = shop.any_key()
    if key is None:
        return None
    to = shop.new_key(PurePosixPath(key).suffix)
    number, title = shop.take_out(key)
    shop.put_in(to, number, title)
    shop.put_in(key, shop.new_number(), shop.word())
    return f"{key} renamed to {to}, a new picture as {key}"


def copy(shop: Shop) -> str | None:
    key = shop.any_key()
    if key is None or len(shop.pictures) >= _MOST_PICTURES:
        return None
    to = shop.new_key(PurePosixPath(key).suffix)
    title = shop.titles.get(key, "") if shop.chance.random() < 0.5 else shop.word()
    shop.put_in(to, shop.pictures[key], title)
    return f"{key} copied to {to} ({title})"


def move(shop: Shop) -> str | None:
    key = shop.any_key()
    if key is None:
        return None
    to = f"{shop.chance.choice(('winter', 'spring'))}/{PurePosixPath(key).name}"
    if to in shop.pictures:
        return None
    shop.put_in(to, *shop.take_out(key))
    return f"{key} moved to {to}"


def remove(shop: Shop) -> str | None:
    key = shop.any_key()
    if key is None or len(shop.pictures) < 4:
        return None
    number, title = shop.take_out(key)
    shop.removed.append((key, number, title))
    return f"{key} removed"


def bring_back(shop: Shop) -> str | None:
    if not shop.removed:
        return None
    key, number, title = shop.removed.pop(shop.chance.randrange(len(shop.removed)))
    if key in shop.pictures:
        return None
    shop.put_in(key, number, title)
    return f"{key} is back"


def break_file(shop: Shop) -> str | None:
    key = shop.any_key()
    if key is None:
        return None
    shop.pictures[key] = None
    return f"{key} is broken"


def repair(shop: Shop) -> str | None:
    key = shop.any_key(broken=True)
    if key is None:
        return None
    shop.pictures[key] = shop.new_number()
    return f"{key} is whole again"


# Rows and recipe


def edit_row(shop: Shop) -> str | None:
    key = shop.any_key()
    if key is None:
        return None
    shop.titles[key] = shop.word()
    return f"{key} is a {shop.titles[key]} now"


def lose_row(shop: Shop) -> str | None:
    key = shop.any_key()
    if key is None or key not in shop.titles:
        return None
    del shop.titles[key]
    return f"{key} has no row"


def edit_prompt(shop: Shop) -> str | None:
    ground = shop.chance.choice(_GROUNDS)
    prompt = f"the {{title}} on {ground}" if shop.chance.random() < 0.8 else f"on {ground}"
    shop.recipe = replace(shop.recipe, prompt=prompt)
    return f"prompt: {prompt}"


def change_steps(shop: Shop) -> str | None:
    cut, scale = shop.chance.choice(((True, 0), (False, 2), (True, 2), (False, 0), (True, 4)))
    if not (cut or scale or shop.recipe.prompt):
        return None
    shop.recipe = replace(shop.recipe, cut=cut, scale=scale)
    return f"steps: cut {cut}, scale {scale}"


def drop_or_add_edit(shop: Shop) -> str | None:
    recipe = shop.recipe
    if recipe.preset or not (recipe.cut or recipe.scale):
        return None
    shop.recipe = replace(recipe, prompt="" if recipe.prompt else "the {title} on oak")
    return "no edit" if recipe.prompt else "an edit again"


def change_renditions(shop: Shop) -> str | None:
    shop.recipe = replace(shop.recipe, thumbnail=not shop.recipe.thumbnail)
    return f"thumbnails: {shop.recipe.thumbnail}"


def change_preset(shop: Shop) -> str | None:
    if not shop.recipe.prompt:
        return None
    shop.recipe = replace(shop.recipe, preset="" if shop.recipe.preset else "ebay")
    return f"preset: {shop.recipe.preset or 'none'}"


def change_model(shop: Shop) -> str | None:
    shop.recipe = replace(shop.recipe, model="" if shop.recipe.model else OTHER_MODEL)
    return f"model: {shop.recipe.model or 'none written'}"


def change_price(shop: Shop) -> str | None:
    model = shop.chance.choice((DEFAULT_MODEL, OTHER_MODEL))
    shop.prices[model] = shop.chance.choice(("0.03", "0.04", "0.05", "0.06"))
    return f"{model} costs {shop.prices[model]}"


def change_rule(shop: Shop) -> str | None:
    shop.recipe = replace(shop.recipe, deletes=not shop.recipe.deletes)
    return f"on_vanished: {'delete' if shop.recipe.deletes else 'keep'}"


# Finished files


def _finished(shop: Shop) -> str | None:
    names = [name for name in shop.finished if name not in shop.edited]
    return shop.chance.choice(names) if names else None


def _delete(shop: Shop, name: str) -> None:
    if name in shop.finished:
        shop.finished.remove(name)
        shop.place.delete_output(name)


def hand_edit(shop: Shop) -> str | None:
    name = _finished(shop)
    if name is None:
        return None
    shop.place.write_output(name, pictures.draw(3, ".jpg"))
    shop.edited.add(name)
    return f"{name} edited by hand"


def undo_edit(shop: Shop) -> str | None:
    if not shop.edited:
        return None
    name = shop.chance.choice(sorted(shop.edited))
    shop.edited.discard(name)
    _delete(shop, name)
    return f"the edited {name} deleted"


def delete_finished(shop: Shop) -> str | None:
    name = _finished(shop)
    if name is None:
        return None
    _delete(shop, name)
    return f"finished {name} deleted"


def restore_output(shop: Shop) -> str | None:
    for name in shop.finished:
        shop.place.restore_output(name)
    return "the output restored from a copy, with new times"


def move_state(shop: Shop) -> str | None:
    if not shop.finished:
        return None
    shop.tonight.state_from = shop.place.move_state()
    return "the state moves"


# Trouble


def kill(shop: Shop) -> str | None:
    shop.tonight.kill_at = shop.chance.random()
    return f"the run is killed at {shop.tonight.kill_at:.0%}"


def empty_wallet(shop: Shop) -> str | None:
    shop.tonight.balance = "0.01"
    shop.tonight.refused = 5
    return "the wallet holds 0.01 USD"


def small_budget(shop: Shop) -> str | None:
    shop.recipe = replace(shop.recipe, budget="0.01")
    shop.tonight.refused = 5
    return "max_usd_per_day: 0.01, tonight"


def bad_key(shop: Shop) -> str | None:
    shop.tonight.bad_key, shop.tonight.refused = True, 4
    return "the key is not known"


def bad_model(shop: Shop) -> str | None:
    if not shop.recipe.prompt:
        return None
    shop.tonight.bad_model, shop.tonight.refused = True, 2
    return "the job names a model that is gone"


def _steps(shop: Shop) -> list[str]:
    return [ENDPOINTS[step] for step, _ in shop.recipe.steps("")]


def wallet_runs_dry(shop: Shop) -> str | None:
    path, nth = shop.chance.choice(_steps(shop)), shop.chance.randint(1, 3)
    body = {"error": "Insufficient USD or Diem balance to complete request"}
    shop.tonight.rules = ({"match": {"path": path, "nth": nth}, "do": {"status": 402, "body": body}},)
    shop.tonight.stopped = True
    return f"402 at call {nth} of {path}"


def brown_out(shop: Shop) -> str | None:
    shop.tonight.rules = tuple(
        {"match": {"path": path, "every": 3, "times": 1}, "do": {"status": 503, "body": {"error": "overloaded"}}}
        for path in _steps(shop)
    )
    return "503 here and there"


def lose_answer(shop: Shop) -> str | None:
    path = shop.chance.choice(_steps(shop))
    shop.tonight.rules = ({"match": {"path": path, "nth": 2}, "do": {"kind": "lost"}},)
    shop.tonight.lost = True
    return f"a charged answer of {path} is lost"


_DAILY: dict[Event, float] = {
    new: 5, change: 3, rename: 3, rename_and_replace: 1, copy: 2, move: 2, remove: 3, bring_back: 3,
    break_file: 1, repair: 2, edit_row: 3, lose_row: 1,
}  # fmt: skip
_SOMETIMES: dict[Event, float] = {
    edit_prompt: 0.08, change_steps: 0.06, drop_or_add_edit: 0.05, change_renditions: 0.1, change_preset: 0.05,
    change_model: 0.05, change_price: 0.1, change_rule: 0.06, hand_edit: 0.1, undo_edit: 0.15, delete_finished: 0.15,
    restore_output: 0.08, move_state: 0.04,
}  # fmt: skip
_TROUBLE = 0.4
_TROUBLES: dict[Event, float] = {
    kill: 6, empty_wallet: 1, small_budget: 1, bad_key: 1, bad_model: 1, wallet_runs_dry: 2, brown_out: 1,
    lose_answer: 1,
}  # fmt: skip
