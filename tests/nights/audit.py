"""What must be true of every night; each check yields a sentence for everything that is not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import PurePosixPath

from tests.nights import pictures, places
from tests.nights.model import Item, Purchase, as_sent, chain, names, needed, repeated
from tests.nights.night import UNUSED_FOR, Night, purchase_of

#: Nights on which a run was refused or stopped are no use that a state can know of.
_SLACK = 2
_CENT = Decimal("0.01")
_EMPTY = Decimal(0)
_SPENT = re.compile(r"spent: (\d+\.\d+) USD(?:, and (\d+\.\d+) uncertain)?")
_NEW = re.compile(r"^new: \w+: ([^:]+): ", re.MULTILINE)
_NAMED = 10
_TOLD = re.compile(r"money: (\d+\.\d+) USD spent(?:, (\d+\.\d+) uncertain)?")

#: (night, what the model calls each result) -> sentences.
Check = Callable[[Night, Mapping[str, Purchase]], Iterator[str]]


# Exit and purchases


def ends_as_expected(night: Night, _: Mapping[str, Purchase]) -> Iterator[str]:
    code, tonight = night.ended.code, night.tonight
    if tonight.refused == 5 and not night.expected:
        # Nothing to buy; but a plan prices a picture that is newly broken as if it were whole.
        wanted = _usual_codes(night) | ({5} if any(item.number is None for item in night.items) else set())
    elif tonight.refused is not None:
        wanted = {tonight.refused}
    else:
        wanted = _usual_codes(night) | ({5} if tonight.stopped else set()) | ({3} if tonight.lost else set())
    if code not in wanted:
        yield f"exit code {code}, expected {sorted(wanted)}: {night.ended.err[-300:]}"


def _usual_codes(night: Night) -> set[int]:
    return {0} if len(night.workable) == len(night.items) else {3}


def buys_what_is_needed(night: Night, _: Mapping[str, Purchase]) -> Iterator[str]:
    bought = [purchase_of(row, night) for row in night.fresh if row["fate"] == "spent"]
    known = [purchase for purchase in bought if purchase is not None]
    if len(known) < len(bought):
        yield f"{len(bought) - len(known)} calls were bought for items that nobody knows"
    for purchase in repeated(known):
        yield f"bought twice: {purchase}"
    for purchase in set(known) - set(night.expected):
        yield f"bought without need: {purchase}"
    if night.whole:
        for purchase in set(night.expected) - set(known):
            yield f"not bought: {purchase}"


def lost_only_in_flight(night: Night, _: Mapping[str, Purchase]) -> Iterator[str]:
    """What was charged without a result was in flight at a kill, or lost by a fault, and is marked uncertain."""
    spent = {row["request_id"] for row in night.fresh if row["fate"] == "spent"}
    lost = Counter(entry["path"] for entry in night.billed if entry["request_id"] not in spent)
    marked = Counter(row["endpoint"] for row in night.fresh if row["fate"] == "uncertain")
    if marked and not (night.killed or night.tonight.lost):
        yield f"uncertain without a kill or a lost answer: {dict(marked)}"
    for path, count in (lost - marked).items():
        yield f"{count} charged calls of {path} stand nowhere in the ledger"


def sends_what_the_job_says(night: Night, _: Mapping[str, Purchase]) -> Iterator[str]:
    by_request = {row["request_id"]: row for row in night.fresh if row["fate"] == "spent"}
    for entry in night.billed:
        row = by_request.get(entry["request_id"])
        purchase = None if row is None else purchase_of(row, night)
        if purchase is not None and (entry["path"], as_sent(entry["params"])) != purchase[:2]:
            yield f"sent {as_sent(entry['params'])} to {entry['path']}, wanted {purchase[:2]}"


def ledger_is_the_books(night: Night, _: Mapping[str, Purchase]) -> Iterator[str]:
    billed = {entry["request_id"]: Decimal(entry["billed"]) for entry in night.billed}
    for row in night.fresh:
        if row["fate"] == "spent" and billed.get(row["request_id"]) != Decimal(row["usd"]):
            yield f"call {row['id']}: {row['usd']} in the ledger, {billed.get(row['request_id'])} charged"
    for row in night.fresh:
        if row["fate"] in {"reserved", "begun"}:
            yield f"call {row['id']} is still {row['fate']}"


def plan_is_the_bill(night: Night, _: Mapping[str, Purchase]) -> Iterator[str]:
    if not night.whole or night.killed or night.tonight.rules or night.plan is None:
        return
    bill = sum((Decimal(entry["billed"]) for entry in night.billed), _EMPTY)
    low, high = (Decimal(night.plan["cost"][end]) for end in ("low", "high"))
    # A plan reads heads only: a picture that is broken further down is priced as if it were whole.
    broken = any(item.number is None for item in night.items)
    if not (broken or low <= bill) or bill > high:
        yield f"planned {low}..{high}, charged {bill}"
    elif low != high and not _open(night):
        yield f"planned {low}..{high} where nothing is open, charged {bill}"


def _open(night: Night) -> bool:
    """Whether a plan need not be exact: two new pictures may turn out to be the same."""
    chains = [chain(item, night.recipe) for item in night.workable]
    firsts = [found[0] for found in chains if found and set(found) & set(night.expected)]
    return bool(repeated(firsts))


# Finished files


def outputs_are_right(night: Night, _: Mapping[str, Purchase]) -> Iterator[str]:
    if not night.whole:
        return
    for item in night.workable:
        for name in names(item, night.recipe):
            yield from _output_is_right(night, item, name)


def _output_is_right(night: Night, item: Item, name: str) -> Iterator[str]:
    content = night.outputs.get(name)
    if content is None:
        yield f"{name} is missing"
        return
    seen = pictures.read(content)
    if seen.number != item.number:
        yield f"{name} shows {seen.number}, not {item.number}"
    prompt = night.recipe.prompt.format(title=item.title)
    if prompt and not pictures.shows_prompt(seen, prompt):
        yield f"{name} does not show '{prompt}'"
    if not prompt and name.endswith(".jpg") and seen.size[0] != pictures.SIZE[0] * max(night.recipe.scale, 1):
        yield f"{name} is {seen.size[0]} pixels wide at scale {night.recipe.scale}"


def hand_edits_stay(night: Night, _: Mapping[str, Purchase]) -> Iterator[str]:
    for name in night.edited:
        if night.outputs.get(name) != pictures.draw(3, ".jpg"):
            yield f"{name}, edited by hand, was replaced or deleted"


def output_holds_nothing_else(night: Night, _: Mapping[str, Purchase]) -> Iterator[str]:
    if not night.whole:
        return
    stems = {str(PurePosixPath(item.key).with_suffix("")) for item in night.items}
    for name in night.outputs.keys() - night.edited:
        stem = name.removesuffix(".jpg").removesuffix("-thumb.webp")
        if (PurePosixPath(name).name.startswith(".") or ".vb-" in name) or (night.recipe.deletes and stem not in stems):
            yield f"{name} in the output belongs to nobody"


# What is told


def money_told_is_true(night: Night, _: Mapping[str, Purchase]) -> Iterator[str]:
    if night.ended.code not in {0, 3, 5} or "spent: " not in night.ended.out:
        return
    run = night.ledger_run
    rows = [row for row in night.ledger if row["run"] == run]
    spent = sum((Decimal(row["usd"]) for row in rows if row["fate"] == "spent"), _EMPTY)
    unsure = sum((Decimal(row["usd"]) for row in rows if row["fate"] == "uncertain"), _EMPTY)
    told = {"last line": _SPENT.findall(night.ended.out), "webhook": _TOLD.findall("\n".join(night.hooks))}
    for where, found in told.items():
        yield from _told(where, found[-1] if found else None, spent, unsure)
    summary = (night.summary or {}).get("run") or {}
    if (Decimal(summary.get("spent_usd", -1)), Decimal(summary.get("uncertain_usd", -1))) != (spent, unsure):
        yield f"summary.json: {summary.get('spent_usd')} and {summary.get('uncertain_usd')}, true {spent} and {unsure}"


def _told(where: str, found: tuple[str, str] | None, spent: Decimal, unsure: Decimal) -> Iterator[str]:
    if found is None:
        yield f"{where}: no money told"
    elif abs(Decimal(found[0]) - spent) >= _CENT or abs(Decimal(found[1] or 0) - unsure) >= _CENT:
        yield f"{where}: told {found[0]} and {found[1] or 0} uncertain, true {spent} and {unsure}"


def status_adds_up(night: Night, _: Mapping[str, Purchase]) -> Iterator[str]:
    for fate, key in (("spent", "spent_usd"), ("uncertain", "uncertain_usd")):
        true = sum((Decimal(row["usd"]) for row in night.ledger if row["fate"] == fate), _EMPTY)
        told = sum((Decimal(row[key]) for row in night.status["spending"]), _EMPTY)
        if told != true:
            yield f"status: {told} {fate}, true {true}"


def morning_hears_of_tonight(night: Night, _: Mapping[str, Purchase]) -> Iterator[str]:
    """Status and webhook tell the exit code of tonight, of a refused start, too."""
    run = night.status["run"]
    if run is None or run["exit_code"] != night.ended.code:
        yield f"status tells exit code {run and run['exit_code']} after {night.ended.code}"
    if not any(f"(exit code {night.ended.code})" in text for text in night.hooks):
        yield f"the webhook does not tell exit code {night.ended.code}"


def news_is_told_apart(night: Night, _: Mapping[str, Purchase]) -> Iterator[str]:
    """The webhook names the first ten problems that are new, and none that the last night had told of."""
    if not night.whole or night.killed:
        return
    problems, named = night.problems(), set(_NEW.findall("\n".join(night.hooks)))
    for key in named:
        if night.told_before.get(key) == problems.get(key):
            yield f"{key} is told as new, and is not"
    new = problems.keys() - night.told_before.keys()
    if len(named) < _NAMED and (missing := new - named):
        yield f"new problems of {sorted(missing)} are not named"


def counts_are_true(night: Night, _: Mapping[str, Purchase]) -> Iterator[str]:
    if night.whole:
        good, told = len(night.workable), night.status["items"]
        if told["done"] != good or told["failed"] + told["invalid"] != len(night.items) - good:
            yield f"status tells {told}, true {good} done and {len(night.items) - good} that cannot be"


# Results and leftovers


def gc_spares_the_living(night: Night, known: Mapping[str, Purchase]) -> Iterator[str]:
    living = needed(night.items, night.recipe)
    for key in night.freed & known.keys():
        if known[key] in living:
            yield f"gc freed {known[key]}, which a live picture rests on"


def gc_counts_from_last_use(night: Night, known: Mapping[str, Purchase]) -> Iterator[str]:
    """Age is counted from the last run that worked over an item in need of it, to the day."""
    for key in night.freed & known.keys():
        last = night.used.get(known[key], 0)
        if night.number - last < UNUSED_FOR:
            yield f"gc freed {known[key]}, in use until night {last} of {night.number}"
    if night.gc and not any(item.number is None for item in night.items):
        for key in places.results(night.files) & known.keys():
            last = night.used.get(known[key], 0)
            if night.number - last > UNUSED_FOR + _SLACK:
                yield f"gc kept {known[key]}, unused since night {last} of {night.number}"


def gc_does_what_it_shows(night: Night, _: Mapping[str, Purchase]) -> Iterator[str]:
    if night.gc:
        dry, real = night.gc
        if dry["freed"]:
            yield "a dry gc says that it freed something"
        if any(dry[name] != real[name] for name in dry if name not in {"freed", "dry_run"}):
            yield f"gc shows {dry} and does {real}"
        if real["results"] != len(night.freed):
            yield f"gc tells {real['results']} results and freed {len(night.freed)}"


def nothing_is_left_over(night: Night, _: Mapping[str, Purchase]) -> Iterator[str]:
    files = [name for name in night.scratch if name]
    if files:
        yield f"TMPDIR holds {files[:3]}"
    if unowned := places.unowned(night.files):
        yield f"the state holds {unowned[:3]}"
    bought = {row["result"] for row in night.ledger}
    if strange := places.results(night.files) - bought:
        yield f"{len(strange)} results that no call names"


CHECKS: tuple[Check, ...] = (
    ends_as_expected, buys_what_is_needed, lost_only_in_flight, sends_what_the_job_says, ledger_is_the_books,
    plan_is_the_bill, outputs_are_right, hand_edits_stay, output_holds_nothing_else, money_told_is_true,
    status_adds_up, news_is_told_apart, morning_hears_of_tonight, counts_are_true, gc_spares_the_living,
    gc_counts_from_last_use, gc_does_what_it_shows, nothing_is_left_over,
)  # fmt: skip


def findings(night: Night, known: Mapping[str, Purchase]) -> list[str]:
    """Return everything that is not as it must be, each with the name of its check."""
    return [f"{check.__name__}: {sentence}" for check in CHECKS for sentence in check(night, known)]
