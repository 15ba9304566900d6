"""Every endpoint against the emulator, which refuses unknown fields and wrong names as the API does."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.contract.venice.conftest import Kit, MakeKit
from venice_batch.emulator.server import Running, serve_in_thread
from venice_batch.emulator.settings import Settings
from venice_batch.errors import CatalogueError, Exit
from venice_batch.venice import prices
from venice_batch.venice.account import Account
from venice_batch.venice.catalogue import BACKGROUND_REMOVER, Catalogue, Model
from venice_batch.venice.failures import CallFailed, FailureClass
from venice_batch.venice.fields import Fields

Connect = Callable[..., Kit]


@pytest.fixture
def emulator() -> Iterator[Running]:
    with serve_in_thread(Settings(rpm=6000)) as running:
        yield running


@pytest.fixture
def connect(make_kit: MakeKit) -> Connect:
    def connected(running: Running, prefer: str = "multipart", key: str | None = None) -> Kit:
        return make_kit(
            base_url=running.url, prefer=prefer, key=key or running.key, timeout=20.0, max_answer_bytes=50_000_000
        )

    return connected


def photo(folder: Path, name: str = "photo.png", colour: str = "red") -> Path:
    picture = Image.new("RGB", (300, 260), "white")
    picture.paste(Image.new("RGB", (120, 120), colour), (90, 70))
    picture.save(folder / name)
    return folder / name


@pytest.mark.parametrize("prefer", ["multipart", "json"])
def test_every_paid_endpoint_accepts_what_the_client_sends(emulator: Running, connect: Connect, prefer: str) -> None:
    kit = connect(emulator, prefer)
    image, client = photo(kit.folder), kit.client
    fields: Fields = {"prompt": "make it blue", "model": "nano-banana-pro-edit", "resolution": "1K", "safe_mode": False}
    joint = {"prompt": "join them", "modelId": "nano-banana-pro-edit", "output_format": "png"}
    answers = [
        client.upscale(image, {"scale": 2, "creativity": 0.01}, into=kit.new("1"), lane="upscaler"),
        client.background_remove(image, into=kit.new("2"), lane="bria-bg-remover"),
        client.edit(image, fields, into=kit.new("3"), lane="nano-banana-pro-edit"),
        client.multi_edit([image, image], joint, into=kit.new("4"), lane="nano-banana-pro-edit"),
    ]
    with Image.open(kit.new("1")) as enlarged:
        assert enlarged.size == (600, 520)
    with Image.open(kit.new("2")) as cut:
        assert cut.mode == "RGBA"
    for answer in answers:
        assert answer.transport == prefer
        assert answer.attempts == 1
        assert answer.content_type == "image/png"
        assert answer.balance_usd is not None
        assert answer.request_id


def test_generate_gives_one_file_per_variant(emulator: Running, connect: Connect) -> None:
    kit = connect(emulator, "multipart")
    catalogue = Catalogue.fetch(kit.client)
    model = next(each.id for each in catalogue.of_type("image") if each.id != "bria-bg-remover")
    into = [kit.new(str(n)) for n in range(3)]
    fields: Fields = {"model": model, "prompt": "a red cube", "variants": 3}
    answer = kit.client.generate(fields, into=into, lane=model)
    assert answer.paths == tuple(into)
    for path in into:
        with Image.open(path) as picture:
            assert picture.format == "WEBP"
    assert answer.content_type == "image/webp"
    assert kit.lanes.lane(model).in_flight == 0


def test_a_price_from_the_catalogue_is_what_the_account_pays(emulator: Running, connect: Connect) -> None:
    kit = connect(emulator, "multipart")
    catalogue = Catalogue.fetch(kit.client)
    before = Account.of(kit.client.rate_limits()).balances["USD"]
    image = photo(kit.folder)
    kit.client.upscale(image, {"scale": 4}, into=kit.new("1"), lane="upscaler")
    kit.client.background_remove(image, into=kit.new("2"), lane="bria-bg-remover")
    edit = {"prompt": "p", "model": "nano-banana-pro-edit", "resolution": "2K"}
    kit.client.edit(image, edit, into=kit.new("3"), lane="nano-banana-pro-edit")
    paid = before - Account.of(kit.client.rate_limits()).balances["USD"]
    sold = (prices.upscale(catalogue, ["4x"]), prices.background_remove(catalogue))
    assert paid == sum(price.high for price in (*sold, prices.edit(catalogue, "nano-banana-pro-edit", edit)))
    assert paid > Decimal(0)


@pytest.fixture(scope="module")
def market() -> Iterator[Running]:
    """A vendor whose pictures cost no time, so that every price of its list can be tried."""
    settings = Settings(rpm=100_000, usd=Decimal(100_000), error_budget=100_000, pictures="canned")
    with serve_in_thread(settings) as running:
        yield running


def calls_of(entry: Model) -> Iterator[tuple[prices.Endpoint, dict[str, Any], int]]:
    """Every tier and quality of a model, one that it lacks, and none: endpoint, fields and number of pictures."""
    tiers, levels = ("", *entry.resolutions, "1K", "99K"), ("", *entry.qualities, "high", "superb")
    for tier, level in dict.fromkeys(itertools.product(tiers, levels)):
        chosen = {name: value for name, value in (("resolution", tier), ("quality", level)) if value}
        if entry.type == "image":
            yield "generate", {"model": entry.id, "prompt": "p", "return_binary": True, **chosen}, 0
            continue
        yield "multi-edit", {"modelId": entry.id, "prompt": "p", **chosen}, 2
        if not level:
            yield "edit", {"model": entry.id, "prompt": "p", **chosen}, 1


def test_every_price_and_every_refusal_of_the_catalogue_is_the_vendors(market: Running, make_kit: MakeKit) -> None:
    kit = make_kit(base_url=market.url, key=market.key, timeout=20.0, max_answer_bytes=50_000_000, most_errors=10**6)
    catalogue, image, client = Catalogue.fetch(kit.client), photo(kit.folder), kit.client
    numbers = itertools.count()
    outcomes: Counter[str] = Counter()
    for entry in (*catalogue.of_type("image"), *catalogue.of_type("inpaint")):
        for endpoint, fields, pictures in calls_of(entry) if entry.id != BACKGROUND_REMOVER else ():
            problems = prices.check(entry, endpoint, fields, pictures)
            refused = any(not problem.dropped for problem in problems)
            into, before = kit.new(str(next(numbers))), market.books.billed()
            status = 200
            try:
                if endpoint == "generate":
                    client.generate(fields, into=[into], lane=entry.id)
                elif endpoint == "edit":
                    client.edit(image, fields, into=into, lane=entry.id)
                else:
                    client.multi_edit([image] * pictures, fields, into=into, lane=entry.id)
            except CallFailed as failure:
                status = failure.status or 0
            assert status == (400 if refused else 200), (entry.id, fields)
            if not refused:
                drawn = endpoint == "generate"
                price = (
                    prices.generate(catalogue, entry.id, fields)
                    if drawn
                    else prices.edit(catalogue, entry.id, fields, pictures)
                )
                assert market.books.billed() - before == price.high, (entry.id, fields)
            outcomes["refused" if refused else "dropped" if problems else "priced"] += 1
    assert min(outcomes.values()) > 10
    assert outcomes.keys() == {"refused", "dropped", "priced"}


def test_the_free_calls_answer(emulator: Running, connect: Connect) -> None:
    kit = connect(emulator, "multipart")
    catalogue = Catalogue.fetch(kit.client)
    assert "Anime" in kit.client.styles()
    assert catalogue.default_edit_model().type == "inpaint"
    limits = kit.client.rate_limits()
    assert limits.access_permitted
    assert limits.rpm["upscaler"] == 6000
    with pytest.raises(CallFailed) as caught:
        kit.client.billing_balance()
    assert caught.value.exit_code == Exit.KEY
    admin = connect(emulator, "multipart", emulator.admin_key)
    assert admin.client.api.is_admin
    assert admin.client.billing_balance().can_consume


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"prompt": "p", "model": "no-such-model"}, "bad-model"),
        ({"prompt": "p", "colour": "red"}, "bad-parameter"),
        ({"prompt": "p", "enhance_prompt": "perhaps"}, "bad-parameter"),
    ],
)
def test_a_bad_job_is_told_from_a_bad_picture(
    emulator: Running, connect: Connect, fields: dict[str, str], code: str
) -> None:
    kit = connect(emulator, "multipart")
    with pytest.raises(CallFailed) as caught:
        kit.client.edit(photo(kit.folder), fields, into=kit.new(), lane="m")
    assert (caught.value.failure_class, caught.value.code) == (FailureClass.ITEM_FAILS, code)
    if code == "bad-parameter":
        assert caught.value.fields
        assert caught.value.fields <= fields.keys()
    assert isinstance(caught.value.as_run_error(), CatalogueError)
    tiny = kit.folder / "tiny.png"
    Image.new("RGB", (10, 10)).save(tiny)
    for image in (tiny, kit.source(b"no picture at all", "text.jpg")):
        with pytest.raises(CallFailed) as caught:
            kit.client.upscale(image, {"scale": 2}, into=kit.new(), lane="upscaler")
        assert caught.value.failure_class is FailureClass.ITEM_FAILS


def test_three_lanes_run_near_their_ceiling_without_a_429(make_kit: MakeKit) -> None:
    # 1,200 a minute instead of 120, so that three seconds show what a minute would.
    with serve_in_thread(Settings(rpm=1200, latency=0.2, pictures="canned", usd=Decimal(5000))) as running:
        kit = make_kit(base_url=running.url, key=running.key, rpm=1200, max_answer_bytes=50_000_000)
        image = photo(kit.folder)
        ends: list[float] = []
        begun = time.monotonic()

        def work(lane: str, thread: int) -> None:
            for number in range(10):
                into = kit.new(f"{lane}-{thread}-{number}")
                if lane == "upscaler":
                    kit.client.upscale(image, {"scale": 2}, into=into, lane=lane)
                elif lane == "bria-bg-remover":
                    kit.client.background_remove(image, into=into, lane=lane)
                else:
                    kit.client.edit(image, {"prompt": "p", "model": lane}, into=into, lane=lane)
                ends.append(time.monotonic())

        lanes = ("upscaler", "bria-bg-remover", "firered-image-edit")
        threads = [threading.Thread(target=work, args=(lane, n)) for lane in lanes for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(ends) == 180
    assert kit.waits == []
    assert max(ends) - begun <= 180 / 3 / 20 / 0.7 + 0.2
