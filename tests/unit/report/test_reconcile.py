"""What a reconciliation finds: each charge and each call in exactly one place, by name, or by amount and time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from venice_batch.report.json_models import document
from venice_batch.report.reconcile import Reconciliation, match, reconciliation_text
from venice_batch.state import CallRow
from venice_batch.venice.usage import UsageRow

START = 1_790_000_000.0
WINDOW = 10.0
PRICE = 20_000


def call(
    id: int,  # noqa: A002 - the ledger's own word
    fate: str = "spent",
    begun: float = 0.0,
    ended: float | None = None,
    *,
    request: str | None = None,
    micros: int = PRICE,
    attempts: int = 1,
    step: str = "upscale",
) -> CallRow:
    """A call that began `begun` seconds after the start and took five, unless `ended` says otherwise."""
    return CallRow(
        id=id,
        run=1,
        key=f"{id}.png",
        variant=0,
        step=step,
        endpoint="image/upscale",
        model=None,
        micros=micros,
        fate=fate,
        outcome="",
        result=None,
        reserved_at=START + begun,
        begun_at=START + begun,
        ended_at=None if fate == "begun" else START + (begun + 5 if ended is None else ended),
        status=None,
        attempts=attempts,
        request_id=request,
        model_served=None,
        balance_usd=None,
        balance_diem=None,
    )


def row(at: float, request: str | None = None, usd: str = "0.02", sku: str = "upscaler-2x", **more: Any) -> UsageRow:
    moment = datetime.fromtimestamp(START + at, UTC)
    return UsageRow(timestamp=moment, sku=sku, amount=-Decimal(usd), currency="USD", request_id=request, **more)


def found(calls: Sequence[CallRow], *rows: UsageRow) -> Reconciliation:
    return match(calls, rows, WINDOW)


def ids(problems_found: Sequence[Any]) -> list[int]:
    return [finding.call.id for finding in problems_found]


# One by one


def test_a_request_id_counts_more_than_time() -> None:
    late, near = row(5000.0, "a"), row(4.0, "b")
    seen = found([call(1, request="a")], late, near)
    assert [(one.rows, one.by) for one in seen.matched] == [((late,), "request id")]
    assert seen.unmatched == (near,)
    assert seen.clean


def test_without_a_request_id_amount_and_time_make_the_match() -> None:
    seen = found([call(1)], row(4.0, usd="0.03"), row(4.5), row(5000.0))
    assert [one.by for one in seen.matched] == ["amount and time"]
    assert [one.charged for one in seen.matched] == [Decimal("0.02")]
    assert len(seen.unmatched) == 2


def test_names_that_the_two_ledgers_do_not_share_do_not_keep_a_call_from_its_charge() -> None:
    seen = found([call(1, request="ray-1"), call(2, begun=100, request="ray-2")], row(5, "req-1"), row(105, "req-2"))
    assert ids(seen.matched) == [1, 2]
    assert seen.clean


def test_once_the_ledgers_share_names_a_charge_under_another_name_is_another_call() -> None:
    calls = [call(1, request="a"), call(2, request="b"), call(3, "uncertain")]
    seen = found(calls, row(5, "a"), row(5, "c"))
    assert ids(seen.matched) == [1]
    assert ids(seen.charged_without_answer) == [3]
    assert ids(seen.not_charged) == [2]


def test_the_window_is_where_it_is_said_to_be() -> None:
    for at, charged in ((-10.01, 0), (-10.0, 1), (15.0, 1), (15.01, 0)):
        assert len(found([call(1)], row(at)).matched) == charged, at


def test_an_amount_of_another_currency_counts_its_number_as_dollars_and_the_noise_of_floats_is_no_difference() -> None:
    seen = found([call(1, micros=60_000)], UsageRow(timestamp=moment(), amount=Decimal("-0.06000000000000001")))
    assert ids(seen.matched) == [1]
    diem = UsageRow(timestamp=moment(), amount=Decimal("-0.02"), currency="DIEM")
    assert ids(found([call(1)], diem).matched) == [1]


def test_a_price_below_a_millionth_is_rounded_as_the_reservation_was() -> None:
    assert ids(found([call(1, micros=43_451)], row(1.0, usd="0.0434505")).matched) == [1]


def moment() -> datetime:
    return datetime.fromtimestamp(START + 1, UTC)


def test_two_charges_for_one_request_are_charged_twice() -> None:
    first, second = row(4.0, "a"), row(4.1, "a")
    seen = found([call(1, request="a")], second, first)
    assert [one.rows for one in seen.matched] == [(first,)]
    assert [(one.call.id, one.row, one.by) for one in seen.charged_twice] == [(1, second, "request id")]
    assert not seen.clean


def test_a_second_charge_for_one_request_is_never_taken_for_another_call() -> None:
    seen = found([call(1, request="a"), call(2, "uncertain")], row(4.0, "a"), row(4.1, "a"))
    assert [one.by for one in seen.charged_twice] == ["request id"]
    assert ids(seen.not_charged) == [2]


def test_the_charge_of_an_answer_is_the_nearest_to_its_end_and_that_of_a_lost_one_to_its_begin() -> None:
    early, late = row(1.0, "early", sku="x"), row(58.0, "late", sku="y")
    assert [one.rows for one in found([call(1, ended=60)], early, late).matched] == [(late,)]
    lost = found([call(1, "uncertain", ended=60)], early, late)
    assert [one.rows for one in lost.charged_without_answer] == [(early,)]


def test_what_others_bought_while_a_killed_run_lay_still_is_not_laid_at_its_door() -> None:
    night = 36_000.0
    killed = call(1, "uncertain", ended=night, attempts=0)
    assert ids(found([killed], row(5000.0)).not_charged) == [1]
    seen = found([killed], row(2.0, "a"), row(900.0, "b"), row(5000.0, "c"))
    assert [one.rows[0].request_id for one in seen.charged_without_answer] == ["a"]
    assert [one.request_id for one in seen.unmatched] == ["b", "c"]
    kept = call(1, ended=night, attempts=0)
    assert [one.rows[0].request_id for one in found([kept], row(2.0, "a"), row(3000.0, "b")).matched] == ["a"]


def test_a_request_booked_in_parts_of_its_price_is_charged_once() -> None:
    parts = (row(4.0, "a"), row(4.1, "a", usd="0.04", sku="prompt-enhancement"))
    seen = found([call(1, request="a", micros=60_000)], *parts)
    assert [one.rows for one in seen.matched] == [parts]
    assert seen.clean


def test_parts_of_a_price_under_a_name_that_only_the_account_knows_are_one_charge() -> None:
    parts = row(4.0, "v", "0.18", sku="edit"), row(4.0, "v", "0.0092", sku="edit-input")
    twin = row(6.0, "w", "0.18", sku="edit")
    seen = found([call(1, request="cf-1", micros=189_200), call(2, request="cf-2", micros=180_000)], *parts, twin)
    assert {one.call.id: set(one.rows) for one in seen.matched} == {1: set(parts), 2: {twin}}
    assert seen.clean
    assert not seen.unmatched


def test_parts_that_lie_outside_the_time_of_a_call_are_a_strangers() -> None:
    parts = row(4000.0, "v", "0.015"), row(4000.0, "v", "0.005", sku="extra")
    seen = found([call(1, request="cf-1")], *parts)
    assert set(seen.unmatched) == set(parts)
    assert ids(seen.not_charged) == [1]


def test_a_repeated_request_may_have_been_charged_each_time() -> None:
    first, second = row(4.0, "x"), row(2.0, "y")
    seen = found([call(1, request="x", attempts=2)], first, second)
    assert [(one.row, one.by) for one in seen.charged_twice] == [(second, "amount and time")]
    once = found([call(1, request="x", attempts=1)], first, second)
    assert once.clean
    assert once.unmatched == (second,)


def test_a_second_charge_of_another_sku_or_time_is_a_strangers() -> None:
    seen = found([call(1)], row(4.0), row(4.0, sku="other"), row(60.0))
    assert seen.clean
    assert len(seen.unmatched) == 2


def test_a_second_charge_that_fits_several_calls_names_them_all() -> None:
    seen = found([call(1), call(2), call(3)], *(row(5.0) for _ in range(4)))
    (further,) = seen.charged_twice
    assert sorted([further.call.id, *further.instead]) == [1, 2, 3]


def test_a_lost_call_with_a_charge_was_charged_without_an_answer_and_one_without_was_not_charged() -> None:
    seen = found([call(1, "uncertain"), call(2, "uncertain", begun=100)], row(3.0, "new"))
    assert [(one.call.id, one.by, one.instead) for one in seen.charged_without_answer] == [(1, "amount and time", ())]
    assert [(one.call.id, one.instead) for one in seen.not_charged] == [(2, ())]


def test_which_of_two_lost_calls_was_charged_is_not_decided_in_silence() -> None:
    seen = found([call(1, "uncertain"), call(2, "uncertain", begun=2)], row(0.5))
    assert [(one.call.id, one.instead) for one in seen.charged_without_answer] == [(1, (2,))]
    assert [(one.call.id, one.instead) for one in seen.not_charged] == [(2, (1,))]


def test_an_answered_call_has_the_first_claim_on_a_charge() -> None:
    seen = found([call(1, "uncertain", begun=3, ended=3), call(2, begun=0, ended=8)], row(3.0))
    assert ids(seen.matched) == [2]
    assert ids(seen.not_charged) == [1]


def test_a_refused_call_that_was_charged_by_name_is_charged_without_an_answer() -> None:
    seen = found([call(1, "released", request="a"), call(2, "released")], row(3.0, "a"), row(3.0, "b"))
    assert ids(seen.charged_without_answer) == [1]
    assert len(seen.unmatched) == 1
    assert seen.not_charged == ()


def test_a_call_of_a_run_under_way_is_neither_good_nor_bad() -> None:
    seen = found([call(1, "begun"), call(2, "begun", begun=500)], row(300.0))
    assert [len(one.rows) for one in seen.still_open] == [1, 0]
    assert seen.clean
    assert (seen.not_charged, seen.unmatched) == ((), ())


def test_a_call_that_moves_on_to_another_charge_makes_room_for_one_that_has_no_other() -> None:
    # The first call's nearest charge is the only one in reach of the second.
    first, second = call(1, begun=0, ended=20), call(2, begun=25, ended=40)
    seen = found([first, second], row(16.0), row(14.0))
    assert ids(seen.matched) == [1, 2]
    assert seen.unmatched == ()


def test_a_call_without_hope_does_not_keep_a_later_one_from_its_charge() -> None:
    rivals = [call(1), call(2)]
    sidecars = [call(3, begun=100, ended=120), call(4, begun=125, ended=140)]
    seen = found([*rivals, *sidecars], row(2.0), row(114.0), row(116.0))
    assert ids(seen.matched) == [1, 3, 4]
    assert ids(seen.not_charged) == [2]


def test_charges_of_one_moment_are_told_apart_the_same_way_in_any_order() -> None:
    rows = [row(2.0, sku="x"), row(2.0, sku="x"), row(2.0, sku="y")]
    assert found([call(1)], *rows) == found([call(1)], *reversed(rows))


def test_a_lost_call_takes_only_what_is_sold_under_the_name_that_its_step_goes_by() -> None:
    calls = [call(1, request="a"), call(2, "uncertain")]
    seen = found(calls, row(5.0, "a"), row(1.0, "b", sku="chat"))
    assert ids(seen.not_charged) == [2]
    assert len(seen.unmatched) == 1


def test_a_credit_is_matched_with_nothing() -> None:
    seen = found([call(1, request="a")], row(5.0, "a"), row(6.0, "a", usd="-0.02"))
    assert ids(seen.matched) == [1]
    assert seen.clean
    assert seen.sums["credits"] == Decimal("0.02")


# Whatever the two ledgers hold

NAMES = st.sampled_from([None, "a", "b", "c", "d"])
FATES = st.sampled_from(["spent", "uncertain", "begun", "released", "reserved"])
MICROS = st.sampled_from([20_000, 30_000])
TIMES = st.integers(0, 60)


@st.composite
def ledgers(draw: st.DrawFn, fates: st.SearchStrategy[str] = FATES, names: st.SearchStrategy[Any] = NAMES) -> Any:
    calls = [
        call(
            number,
            draw(fates),
            draw(TIMES),
            request=draw(names),
            micros=draw(MICROS),
            attempts=draw(st.integers(0, 2)),
        )
        for number in range(draw(st.integers(0, 6)))
    ]
    rows = [
        row(draw(TIMES), draw(names), draw(st.sampled_from(["0.02", "0.03", "-0.02"])), draw(st.sampled_from("xy")))
        for _ in range(draw(st.integers(0, 6)))
    ]
    return calls, rows


@given(ledgers())
def test_every_row_and_every_call_is_in_exactly_one_place(ledger: tuple[list[CallRow], list[UsageRow]]) -> None:
    calls, rows = ledger
    seen = found(calls, *rows)
    placed = [one for part in (seen.matched, seen.charged_without_answer, seen.still_open) for one in part]
    shown = [charge for one in placed for charge in one.rows]
    shown += [one.row for one in seen.charged_twice] + [*seen.unmatched, *seen.credits]
    assert Counter(shown) == Counter(rows)
    expected = [one.id for one in calls if one.fate in {"spent", "uncertain", "begun"}]
    refused = {one.id for one in calls if one.fate == "released"}
    assert sorted(set(ids(placed) + ids(seen.not_charged)) - refused) == expected
    assert len(ids(placed) + ids(seen.not_charged)) == len(set(ids(placed) + ids(seen.not_charged)))


@given(ledgers())
def test_the_sums_are_what_the_account_was_charged(ledger: tuple[list[CallRow], list[UsageRow]]) -> None:
    calls, rows = ledger
    sums = found(calls, *rows).sums
    charged = sum((one.charged for one in rows if one.charged > 0), Decimal(0))
    parts = ("matched", "charged_twice", "charged_without_answer", "still_open", "unmatched")
    assert sum(sums[part] for part in parts) == charged
    assert sums["credits"] == sum((one.amount for one in rows if one.amount >= 0), Decimal(0))


@given(ledgers())
def test_the_order_in_which_the_account_tells_its_rows_changes_no_sum(ledger: Any) -> None:
    calls, rows = ledger
    assert found(calls, *rows).sums == found(calls, *reversed(rows)).sums


@given(ledgers(st.sampled_from(["spent", "uncertain"]), st.none()))
def test_no_other_pairing_explains_more_charges_of_answered_calls_or_of_all(ledger: Any) -> None:
    calls, rows = ledger
    seen = found(calls, *rows)
    spent = [one for one in calls if one.fate == "spent"]
    assert len(seen.matched) == most_pairs(spent, rows)
    assert len(seen.matched) + len(seen.charged_without_answer) == most_pairs(calls, rows)


def most_pairs(calls: Sequence[CallRow], rows: Sequence[UsageRow]) -> int:
    """Try every way of pairing."""
    if not calls:
        return 0
    first, *others = calls
    best = most_pairs(others, rows)
    for place, charge in enumerate(rows):
        if fits(first, charge):
            best = max(best, 1 + most_pairs(others, [*rows[:place], *rows[place + 1 :]]))
    return best


def fits(one: CallRow, charge: UsageRow) -> bool:
    assert one.begun_at is not None
    assert one.ended_at is not None
    at = charge.timestamp.timestamp()
    in_time = one.begun_at - WINDOW <= at <= one.ended_at + WINDOW
    return in_time and charge.charged == Decimal(one.micros) / 1_000_000


@given(ledgers())
def test_text_and_json_can_be_made_of_everything(ledger: Any) -> None:
    calls, rows = ledger
    seen = found(calls, *rows)
    shown = json.loads(json.dumps(document("reconcile", seen)))
    assert shown["clean"] is seen.clean
    assert len(shown["unmatched"]) == len(seen.unmatched)
    assert ("need a look" in reconciliation_text("job", seen)) is not seen.clean


# What people see


def test_the_text_names_call_amount_and_doubt() -> None:
    seen = found([call(1, "uncertain"), call(2, "uncertain", begun=2)], row(0.5, "ray"), row(900.0, usd="0.5"))
    text = reconciliation_text("nightly", seen)
    assert text.splitlines()[0] == "nightly: charges that need a look"
    assert "charged without an answer:" in text
    (line,) = [line for line in text.splitlines() if "ray" in line]
    assert line.split()[-5:] == ["ray", "amount", "and", "time", "2"]
    assert "not charged, or not booked yet:" in text
    assert "of no call of this job" in text
    assert "0.50" in text


def test_a_charge_of_another_amount_than_expected_is_shown() -> None:
    text = reconciliation_text("job", found([call(1, request="a")], row(5.0, "a", usd="0.05")))
    assert "charged another amount:" in text
    assert "0.05" in text


def test_a_long_list_of_strangers_is_cut_for_people_only() -> None:
    seen = found([call(1)], *(row(float(at), usd="0.5") for at in range(30)))
    assert "and 10 more; --json lists them" in reconciliation_text("job", seen)
    assert len(document("reconcile", seen)["unmatched"]) == 30


def test_what_the_account_writes_cannot_control_the_terminal() -> None:
    text = reconciliation_text("job", found([call(1)], row(5000.0, "\x1b[2J", sku="a\nb")))
    assert "\x1b" not in text
    assert "a\\nb" in text
