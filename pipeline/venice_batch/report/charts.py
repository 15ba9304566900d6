"""Throughput and spend over time, as geometry for inline SVG: shares of the plot, so that a page may be any width."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from venice_batch.report.report_data import CHARGED
from venice_batch.state import CallRow

#: Bars a chart may have; more would be thinner than a pixel or two on a phone.
_MOST_BARS = 48
#: Widths of a bar in seconds that people can read.
_WIDTHS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200)
_DAY = 86_400
_TICKS = 4
#: A line through at most so many points: ten thousand calls draw the same picture as a few hundred.
_MOST_POINTS = 400


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis: where, in percent from the left or the top, and what to write there."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One span of time: percent from the left and of the width, heights in percent, and words for the pointer."""

    left: float
    width: float
    good: float
    bad: float
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One drawing.

    Attributes:
        title: what it shows.
        unit: of the vertical axis.
        summary: the same in words, for those who do not see it.
        bars: of a bar chart.
        area: SVG path of the lower line (100 x 100) with what lies below it.
        upper: SVG path of the upper line; empty where both are the same.
        across: marks on the time axis.
        up: marks on the vertical axis.
    """

    title: str
    unit: str
    summary: str
    bars: tuple[Bar, ...] = ()
    area: str = ""
    upper: str = ""
    across: tuple[Tick, ...] = ()
    up: tuple[Tick, ...] = ()


def charts(calls: Sequence[CallRow]) -> tuple[Chart, ...]:
    """Return throughput and spend of a part of the ledger; nothing where no call came to an end."""
    ended = sorted((call for call in calls if call.begun_at is not None and call.ended_at is not None), key=_end)
    if not ended:
        return ()
    start = min(call.begun_at or _end(call) for call in ended)
    span = _Span(start, max(_end(ended[-1]) - start, 1.0))
    return _throughput(ended, span), _spend(ended, span)


@dataclass(frozen=True, slots=True)
class _Span:
    start: float
    seconds: float

    def percent(self, at: float) -> float:
        return round(min(100.0, max(0.0, (at - self.start) / self.seconds * 100)), 3)

    def ticks(self) -> tuple[Tick, ...]:
        form = "%H:%M:%S" if self.seconds < _TICKS * 60 else "%H:%M" if self.seconds < 2 * _DAY else "%-d %b"
        return tuple(
            Tick(part * 100 / _TICKS, _clock(self.start + self.seconds * part / _TICKS, form))
            for part in range(_TICKS + 1)
        )


def _end(call: CallRow) -> float:
    return call.ended_at or 0.0


def _clock(at: float, form: str) -> str:
    return datetime.fromtimestamp(at, UTC).strftime(form)


def _throughput(ended: Sequence[CallRow], span: _Span) -> Chart:
    days = math.ceil(span.seconds / _DAY / _MOST_BARS) * _DAY
    width = next((width for width in _WIDTHS if span.seconds / width <= _MOST_BARS), days)
    count = max(1, math.ceil(span.seconds / width))
    good, bad = [0] * count, [0] * count
    for call in ended:
        place = min(count - 1, int((_end(call) - span.start) / width))
        (good if call.fate == "spent" else bad)[place] += 1
    top, ticks = _scale(max(map(sum, zip(good, bad, strict=True))), lambda value: f"{value:g}", whole=True)
    each = _span_text(width)
    bars = tuple(
        Bar(
            left=span.percent(span.start + place * width),
            width=round(min(width / span.seconds * 100, 100 - span.percent(span.start + place * width)), 3),
            good=round(good[place] / top * 100, 3),
            bad=round(bad[place] / top * 100, 3),
            title=f"{_clock(span.start + place * width, '%-d %b %H:%M:%S')} UTC: {good[place]} answered"
            + (f", {bad[place]} not" if bad[place] else ""),
        )
        for place in range(count)
        if good[place] or bad[place]
    )
    summary = f"{sum(good)} calls answered and {sum(bad)} not, at most {max(good)} answered in {each}"
    return Chart("Throughput", f"calls in {each}", summary, bars, across=span.ticks(), up=ticks)


def _spend(ended: Sequence[CallRow], span: _Span) -> Chart:
    spent, either = [(0.0, 0.0)], [(0.0, 0.0)]
    for call in ended:
        at = span.percent(_end(call))
        spent.append((at, spent[-1][1] + (call.micros if call.fate == "spent" else 0)))
        either.append((at, either[-1][1] + (call.micros if call.fate in CHARGED else 0)))
    top, ticks = _scale(either[-1][1] / 1e6, lambda value: f"${value:,.6g}", whole=False)
    lower, upper = _line(spent, top), _line(either, top)
    summary = f"{spent[-1][1] / 1e6:.2f} US dollars spent, {(either[-1][1] - spent[-1][1]) / 1e6:.2f} uncertain"
    return Chart(
        "Spend",
        "US dollars in total",
        summary,
        area=lower,
        upper="" if upper == lower else upper,
        across=span.ticks(),
        up=ticks,
    )


def _line(points: Sequence[tuple[float, float]], top: float) -> str:
    """Return an SVG path in steps through (percent, millionths); `top` is in dollars."""
    every = max(1, len(points) // _MOST_POINTS)
    chosen = [*points[:-1:every], points[-1]]
    steps = [f"H{x:g}V{100 - y / 1e6 / top * 100:.5g}" for x, y in chosen[1:]]
    return f"M0 100{''.join(steps)}H100"


def _scale(highest: float, write: Callable[[float], str], *, whole: bool) -> tuple[float, tuple[Tick, ...]]:
    """Return the value at the top of the plot and round marks below it, each with its percent from the top."""
    rough = (highest or 1.0) / 3
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    if whole:
        step = max(1.0, step)
    top = max(highest, step) * 1.12
    marks = [step * number for number in range(1, int(top / step) + 1)]
    return top, tuple(Tick(round(100 - mark / top * 100, 3), write(mark)) for mark in marks)


def _span_text(seconds: int) -> str:
    for unit, size in (("day", _DAY), ("hour", 3600), ("minute", 60)):
        if seconds % size == 0 and seconds >= size:
            return f"{seconds // size} {unit}{'s' if seconds > size else ''}"
    return f"{seconds} second{'s' if seconds > 1 else ''}"
