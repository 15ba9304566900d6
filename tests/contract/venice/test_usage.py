"""The account's ledger: pages, filters, and what is wrong with a server that never ends."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from tests.contract.venice.conftest import KEY, Kit, MakeKit, Play, refuse
from venice_batch.emulator.server import Running, serve_in_thread
from venice_batch.emulator.settings import Settings
from venice_batch.errors import Exit
from venice_batch.venice.failures import CallFailed, FailureClass
from venice_batch.venice.usage import UsageRow, stamp

START = datetime(2026, 10, 2, 1, 2, 3, 456000, tzinfo=UTC)
END = START + timedelta(hours=1)
#: A row as the API writes it, with a key that nobody has on_headers of.
ROW = {
    "timestamp": "2026-10-02T01:30:00.250Z",
    "sku": "upscaler-2x",
    "units": 1,
    "pricePerUnitUsd": 0.02,
    "amount": -0.02,
    "currency": "DIEM",
    "notes": "API Inference",
    "inferenceDetails": {"requestId": "ray-1", "inferenceExecutionTime": 9},
    "unheard": {"of": 1},
}


def page(*rows: dict[str, Any], cursor: str | None = None) -> Play:
    return refuse(200, {"data": list(rows), "nextCursor": cursor})


def queries(kit: Kit) -> list[str]:
    return [talk.path.partition("?")[2] for talk in kit.server.talks]


def test_a_row_is_read_exactly(kit: Kit) -> None:
    kit.server.plays = [page(ROW)]
    (row,) = kit.client.usage_history(START, END)
    assert row.timestamp == datetime(2026, 10, 2, 1, 30, 0, 250000, tzinfo=UTC)
    assert (row.sku, row.currency, row.notes) == ("upscaler-2x", "DIEM", "API Inference")
    assert (row.amount, row.charged) == (Decimal("-0.02"), Decimal("0.02"))
    assert row.request_id == "ray-1"


@pytest.mark.parametrize("details", [None, {}, {"requestId": None}])
def test_a_row_without_a_request_or_words_is_read_all_the_same(details: dict[str, Any] | None) -> None:
    bare = {"timestamp": "2026-10-02T01:30:00", "amount": -1, "sku": None, "notes": None, "inferenceDetails": details}
    row = UsageRow.model_validate(bare)
    assert (row.request_id, row.sku, row.notes) == (None, "", "")
    assert row.timestamp == datetime(2026, 10, 2, 1, 30, tzinfo=UTC), "a time without a zone is UTC"


@pytest.mark.parametrize("missing", ["timestamp", "amount"])
def test_a_row_without_time_or_amount_is_no_answer_of_the_api(kit: Kit, missing: str) -> None:
    kit.server.plays = [page({name: value for name, value in ROW.items() if name != missing})]
    with pytest.raises(CallFailed, match="does not speak the Venice API"):
        list(kit.client.usage_history(START, END))


ODD_ROWS: list[Any] = [
    None,
    "text",
    {**ROW, "amount": "contact us"},
    {**ROW, "timestamp": "some day"},
    {**ROW, "amount": None},
]


def test_odd_rows_are_left_out_and_counted(kit: Kit) -> None:
    kit.server.plays = [page(*ODD_ROWS, {**ROW, "inferenceDetails": 7}, ROW)]
    notes: list[str] = []
    rows = list(kit.client.usage_history(START, END, notes=notes))
    assert [row.request_id for row in rows] == [None, "ray-1"]
    assert notes == ["5 rows of the usage history cannot be read, and are left out"]


def test_filters_go_with_the_first_page_and_the_cursor_goes_alone(kit: Kit) -> None:
    kit.server.plays = [page(ROW, cursor="a+b="), page(cursor="c"), page(ROW, ROW)]
    assert len(list(kit.client.usage_history(START, END))) == 3
    assert queries(kit) == [
        "startTimestamp=2026-10-02T01%3A02%3A03.456Z&endTimestamp=2026-10-02T02%3A02%3A03.456Z&pageSize=1000",
        "cursor=a%2Bb%3D",
        "cursor=c",
    ]


def test_a_time_of_another_zone_is_sent_as_utc() -> None:
    assert stamp(datetime.fromisoformat("2026-10-02T01:00:00+02:00")) == "2026-10-01T23:00:00.000Z"


def test_pages_in_a_circle_are_an_error_not_an_endless_wait(kit: Kit) -> None:
    kit.server.plays = [page(ROW, cursor="a"), page(ROW, cursor="b"), page(ROW, cursor="a")]
    with pytest.raises(CallFailed, match="a page that was read already") as caught:
        list(kit.client.usage_history(START, END))
    assert caught.value.code == "not-the-api"
    assert len(kit.server.talks) == 3


def test_pages_without_an_end_are_an_error(kit: Kit) -> None:
    kit.server.plays = [page(ROW, cursor=str(number)) for number in range(50)]
    with pytest.raises(CallFailed, match="does not end after 5 pages"):
        list(kit.client.usage_history(START, END, most_pages=5))
    assert len(kit.server.talks) == 5


def test_an_inference_key_is_refused_with_the_remedy(kit: Kit) -> None:
    kit.server.plays = [refuse(401, {"error": "Admin API key required"})]
    with pytest.raises(CallFailed) as caught:
        list(kit.client.usage_history(START, END))
    assert (caught.value.failure_class, caught.value.code) == (FailureClass.RUN_STOPS, "key-refused")
    assert caught.value.exit_code == Exit.KEY
    assert "needs an ADMIN key" in caught.value.remedy
    assert kit.gate.cause is None
    assert KEY not in str(caught.value)


@pytest.fixture
def emulator() -> Iterator[Running]:
    with serve_in_thread(Settings(rpm=6000, usd=Decimal(5000), pictures="canned")) as running:
        yield running


def bought(make_kit: MakeKit, running: Running, *, times: int) -> list[str | None]:
    """Buy cut-outs and return the names of their requests."""
    kit = make_kit(base_url=running.url, key=running.key)
    drawn = BytesIO()
    Image.new("RGB", (300, 260), "white").save(drawn, "PNG")
    source = kit.source(drawn.getvalue())
    return [
        kit.client.background_remove(source, into=kit.new(str(n)), lane="bria-bg-remover").request_id
        for n in range(times)
    ]


def test_the_emulator_tells_what_was_bought_to_an_admin_only(make_kit: MakeKit, emulator: Running) -> None:
    before = datetime.now(UTC)
    names = bought(make_kit, emulator, times=3)
    after = datetime.now(UTC) + timedelta(seconds=1)
    admin = make_kit(base_url=emulator.url, key=emulator.admin_key).client
    rows = list(admin.usage_history(before, after))
    assert [row.request_id for row in rows] == names
    assert {row.charged for row in rows} == {Decimal("0.03")}
    assert list(admin.usage_history(after, after + timedelta(hours=1))) == []
    with pytest.raises(CallFailed, match="Admin API key required"):
        list(make_kit(base_url=emulator.url, key=emulator.key).client.usage_history(before, after))
