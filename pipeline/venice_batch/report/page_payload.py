"""The items of the review page as compact JSON: lists instead of objects, and words by number, for 10,000 items."""

from __future__ import annotations

import json
from typing import Any

from venice_batch.plan.money import usd
from venice_batch.report.report_data import Picture, ReportData, ReportItem
from venice_batch.report.text import model_of
from venice_batch.state import CallRow


class _Words:
    """Numbers for words that occur again and again."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, word: str) -> int:
        return self._numbers.setdefault(word, len(self._numbers))

    def listed(self) -> list[str]:
        return list(self._numbers)


def page_payload(data: ReportData) -> str:
    """Return the items as JSON that may stand inside a script element.

    ``{"words": [...], "items": [...]}``, an item being ``[name, state, code, reason, updated at, micros, before, after,
    steps, calls, files]``; state, code, step, model, fate and outcome are numbers into ``words``. A picture is ``[file,
    width, height]`` or 0, a step ``[step, picture, flags]``, a file ``[path, href]``, a call ``[step, model, usd, fate,
    outcome, status, attempts, request id, begun at, seconds, run]``. The script of the page reads exactly this.
    """
    words = _Words()
    items = [_item(item, words) for item in data.items]
    return embedded({"words": words.listed(), "items": items})


def embedded(value: Any) -> str:
    """Return JSON in which no text can end the script element or open a comment there."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _item(item: ReportItem, words: _Words) -> list[Any]:
    return [
        item.name,
        words.number(item.row.state),
        words.number(item.row.code),
        item.row.reason,
        round(item.row.updated_at),
        item.micros,
        _picture(item.before),
        _picture(item.after),
        [[words.number(step.step), _picture(step.picture), list(step.flags)] for step in item.steps],
        [_call(call, words) for call in item.calls],
        [[file.path, file.href] for file in item.files],
    ]


def _picture(picture: Picture | None) -> list[Any] | int:
    return 0 if picture is None else [picture.file, picture.width, picture.height]


def _call(call: CallRow, words: _Words) -> list[Any]:
    took = None if call.begun_at is None or call.ended_at is None else round(call.ended_at - call.begun_at, 1)
    return [
        words.number(call.step),
        words.number(model_of(call)),
        usd(call.micros),
        words.number(call.fate),
        words.number(call.outcome),
        call.status,
        call.attempts,
        call.request_id,
        round(call.begun_at or call.reserved_at),
        took,
        call.run,
    ]
