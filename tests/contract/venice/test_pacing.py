from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venice_batch.venice.breaker import Breaker
from venice_batch.venice.lanes import Lane, Lanes
from venice_batch.venice.waits import Cancel, Cancelled, retry_after

NOW = 1_790_000_000.0


class Simulated(Cancel):
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float, check: Callable[[], None] | None = None) -> None:
        del check
        self.now += max(seconds, 0.0)


def starts(lane: Lane, time_of: Simulated, count: int) -> list[float]:
    result = []
    for _ in range(count):
        with lane.permit():
            result.append(time_of.now)
    return result


def most_in_any_minute(times: list[float]) -> int:
    return max(sum(1 for other in times if begin <= other < begin + 60) for begin in times)


@pytest.mark.parametrize("rpm", [1, 7, 20, 60, 120, 500])
def test_no_minute_holds_more_starts_than_the_limit_and_few_are_lost(rpm: int) -> None:
    time_of = Simulated()
    lane = Lanes({"m": rpm}, cancel=time_of, clock=time_of.clock).lane("m")
    times = starts(lane, time_of, 3 * rpm + 2)
    assert most_in_any_minute(times) <= rpm
    assert times[-1] - times[0] <= (len(times) - 1) * 60 / rpm / 0.98


def test_an_idle_lane_saves_up_no_burst() -> None:
    time_of = Simulated()
    lane = Lanes({"m": 20}, cancel=time_of, clock=time_of.clock).lane("m")
    starts(lane, time_of, 1)
    time_of.now += 600
    times = starts(lane, time_of, 3)
    assert [b - a for a, b in itertools.pairwise(times)] == pytest.approx([3.03, 3.03])


def test_variants_take_a_permit_each() -> None:
    time_of = Simulated()
    lane = Lanes({"m": 60}, cancel=time_of, clock=time_of.clock).lane("m")
    begun = time_of.now
    with lane.permit(4):
        assert lane.in_flight == 1
    with lane.permit():
        assert time_of.now - begun == pytest.approx(4.04)
    assert lane.in_flight == 0


def test_sleepers_of_a_held_lane_start_evenly_after_it() -> None:
    cancel = Cancel()
    lane = Lanes({"m": 3000}, cancel=cancel).lane("m")
    times: list[float] = []

    def work() -> None:
        with lane.permit():
            times.append(time.monotonic())

    begun = time.monotonic()
    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    lane.hold(begun + 0.3)
    held = time.monotonic() - begun
    for thread in threads:
        thread.join()
    late = sorted(at - begun for at in times if at - begun > held + 0.05)
    assert len(late) >= 3
    assert late[0] >= 0.3
    assert late[-1] - late[0] >= (len(late) - 1) * 0.018


def test_a_block_of_the_key_holds_lanes_that_are_yet_to_be_used() -> None:
    time_of = Simulated()
    lanes = Lanes({}, cancel=time_of, clock=time_of.clock)
    lanes.hold_all(time_of.now + 30)
    assert starts(lanes.lane("new"), time_of, 1) == [1030.0]


@pytest.mark.parametrize("reset", [str(int((NOW + 7) * 1000)), str(NOW + 7), "7"])
def test_a_used_up_window_holds_the_lane_until_its_reset(reset: str) -> None:
    time_of = Simulated()
    lane = Lanes({"m": 60}, cancel=time_of, clock=time_of.clock).lane("m")
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": reset}
    lane.apply_headers(headers | {"x-ratelimit-limit-requests": "120"}, NOW)
    assert starts(lane, time_of, 1) == [pytest.approx(1007.0)]
    assert lane.rpm == 120


@pytest.mark.parametrize("limit", ["0", "-5", "nan", "inf", "many", ""])
def test_a_senseless_limit_is_ignored(limit: str) -> None:
    lane = Lanes({}, cancel=Cancel()).lane("m")
    lane.apply_headers({"x-ratelimit-limit-requests": limit, "x-ratelimit-remaining-requests": limit}, NOW)
    assert lane.rpm == 20


def test_the_window_follows_rate_and_latency() -> None:
    lane = Lanes({"m": 120}, cancel=Cancel()).lane("m")
    assert lane.window() == 18
    for _ in range(60):
        lane.record_latency(2.0)
    assert lane.window() == 6
    for _ in range(60):
        lane.record_latency(300.0)
    assert lane.window() == 64


@pytest.mark.parametrize("kind", ["lane", "breaker", "sleep"])
def test_every_wait_ends_at_once_on_cancel(kind: str) -> None:
    cancel = Cancel()
    lane = Lanes({"m": 1}, cancel=cancel).lane("m")
    breaker = Breaker(cancel=cancel, limit=1)
    with lane.permit():
        breaker.admit()
    waits: dict[str, Callable[[], object]] = {
        "lane": lambda: lane.permit().__enter__(),
        "breaker": breaker.admit,
        "sleep": lambda: cancel.sleep(60),
    }
    timer = threading.Timer(0.1, cancel.set)
    timer.start()
    begun = time.monotonic()
    with pytest.raises(Cancelled):
        waits[kind]()
    assert time.monotonic() - begun < 10
    timer.join()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "12"}, 12),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": formatdate(NOW + 20, usegmt=True)}, 20),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "86400"}, 600),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"x-ratelimit-reset-requests": str(int((NOW + 8) * 1000))}, 8),
        ({"x-ratelimit-reset-requests": str(NOW + 8)}, 8),
        ({"x-ratelimit-resets": "8"}, 8),
        ({"retry-after": "3", "x-ratelimit-reset-requests": "50"}, 3),
        ({"x-ratelimit-reset-requests": str(NOW - 8)}, 0),
        ({"x-ratelimit-reset-requests": str(NOW + 308), "date": formatdate(NOW + 300, usegmt=True)}, 8),
        ({}, None),
    ],
)
def test_waits_are_read_in_seconds_milliseconds_and_dates(headers: dict[str, str], seconds: float | None) -> None:
    found = retry_after(headers, NOW)
    assert found is None if seconds is None else found == pytest.approx(seconds, abs=0.01)


@given(st.lists(st.tuples(st.floats(0, 5), st.booleans(), st.booleans()), max_size=250))
def test_bad_inputs_alone_never_make_more_than_18_errors_in_30_seconds(
    script: list[tuple[float, bool, bool]],
) -> None:
    time_of = Simulated()
    breaker = Breaker(cancel=time_of, clock=time_of.clock)
    in_flight, errors = 0, []
    for pause, begin, at_once in script:
        time_of.now += 0.0 if at_once else pause
        if begin or not in_flight:
            in_flight += breaker.try_admit() == 0
        else:
            breaker.record(client_error=True)
            in_flight -= 1
            errors.append(time_of.now)
    errors += [time_of.now] * in_flight
    assert all(sum(1 for at in errors if begin <= at < begin + 30) <= 18 for begin in errors)


def test_the_breaker_admits_18_unknown_calls_and_64_after_a_few_good_ones() -> None:
    breaker = Breaker(cancel=Cancel())
    assert sum(breaker.try_admit() == 0 for _ in range(30)) == 18
    for _ in range(5):
        breaker.record(client_error=False)
    assert 13 + sum(breaker.try_admit() == 0 for _ in range(60)) >= 64


def test_the_breaker_opens_again_when_the_errors_are_old() -> None:
    time_of = Simulated()
    breaker = Breaker(cancel=time_of, clock=time_of.clock)
    for _ in range(18):
        assert breaker.try_admit() == 0
        breaker.record(client_error=True)
    assert breaker.try_admit() == pytest.approx(30)
    time_of.now += 30
    assert breaker.try_admit() == 0
