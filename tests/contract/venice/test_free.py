from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.contract.venice.conftest import KEY, PNG, Kit, Play, picture, refuse, reply
from venice_batch.errors import CatalogueError, Exit, KeyRefused, SourceError, UsageError
from venice_batch.venice import prices
from venice_batch.venice.account import Account, BillingBalance, RateLimits
from venice_batch.venice.address import OFFICIAL_URL, Api, Secret, host_id, is_loopback, is_official
from venice_batch.venice.catalogue import Catalogue, Model
from venice_batch.venice.failures import CallFailed, FailureClass
from venice_batch.venice.fields import Fields

LIMITS = {
    "accessPermitted": True,
    "apiTier": {"id": "paid", "isCharged": True},
    "balances": {"USD": 50.23, "DIEM": None, "NEW": 1},
    "keyExpiration": None,
    "nextEpochBegins": "2026-10-03T00:00:00.000Z",
    "rateLimits": [
        {"apiModelId": "a", "rateLimits": [{"type": "RPM", "amount": 20}, {"type": "TPM", "amount": 5}]},
        {"apiModelId": "b", "rateLimits": []},
    ],
    "unheard": {"of": 1},
}


def price(usd: float) -> dict[str, float]:
    return {"usd": usd, "diem": usd}


def model(name: str, kind: str, pricing: dict[str, Any], **spec: Any) -> Model:
    return Model.model_validate({"id": name, "type": kind, "model_spec": {"pricing": pricing, **spec}})


CATALOGUE = Catalogue(
    {
        each.id: each
        for each in (
            model("upscaler", "upscale", {"upscale": {"2x": price(0.02), "4x": price(0.08)}}),
            model("bria-bg-remover", "image", {"generation": price(0.03)}),
            model("firered-image-edit", "inpaint", {"inpaint": price(0.04)}),
            model(
                "qwen-image-3-edit",
                "inpaint",
                {"inpaint": price(0.04), "inputImages": {"included": 0, "additional": price(0.00345)}},
            ),
            model(
                "nano-banana-pro-edit",
                "inpaint",
                {"inpaint": price(0.18), "resolutions": {"1K": price(0.18), "2K": price(0.23), "4K": price(0.35)}},
                constraints={
                    "aspectRatios": ["1:1", "4:5"],
                    "resolutions": ["1K", "2K", "4K"],
                    "defaultResolution": "1K",
                    "promptCharacterLimit": 10,
                    "combineImages": True,
                    "maxInputImages": 4,
                },
            ),
            model(
                "gpt-image-2-edit",
                "inpaint",
                {"quality": {"1K": {"low": price(0.03), "high": price(0.34)}}},
                constraints={"defaultQuality": "low", "combineImages": False},
            ),
            model("free-lunch", "inpaint", {}),
            model("asleep", "inpaint", {"inpaint": price(1)}, offline=True, deprecation={"replacementModelId": "new"}),
            model("painter", "image", {"generation": price(0.01)}),
        )
    },
    {"default": "firered-image-edit"},
)


def test_the_pre_check_reads_limits_and_balances(kit: Kit) -> None:
    kit.server.plays = [refuse(200, {"data": LIMITS})]
    limits = kit.client.rate_limits()
    account = Account.of(limits)
    assert kit.server.talks[0].path == "/api/v1/api_keys/rate_limits"
    assert (account.permitted, account.rpm) == (True, {"a": 20})
    assert account.balances == {"USD": Decimal("50.23"), "NEW": Decimal(1)}
    assert account.next_epoch is not None


def test_the_billing_balance_only_lowers_what_the_key_may_spend() -> None:
    limits = RateLimits.model_validate({"accessPermitted": True, "balances": {"USD": 5, "DIEM": 9}})
    billing = BillingBalance.model_validate(
        {"canConsume": True, "balances": {"usd": 50, "diem": 3.5, "bundledCredits": 8, "earnedCredits": None}}
    )
    assert Account.of(limits, billing).balances == {"USD": Decimal(5), "DIEM": Decimal("3.5")}


def test_lists_are_read_from_their_envelopes(kit: Kit) -> None:
    entry = {"id": "m", "type": "brand-new", "model_spec": {"offline": None, "pricing": None, "constraints": None}}
    kit.server.plays = [
        refuse(200, {"object": "list", "data": ["3D Model", "Anime"]}),
        refuse(200, {"object": "list", "data": [entry]}),
        refuse(200, {"object": "list", "data": {"default": "m"}}),
    ]
    assert kit.client.styles() == ("3D Model", "Anime")
    listed, notes = kit.client.models("inpaint")
    assert ([each.id for each in listed], notes) == (["m"], [])
    assert kit.client.traits("inpaint") == {"default": "m"}
    assert [talk.path for talk in kit.server.talks[1:]] == [
        "/api/v1/models?type=inpaint",
        "/api/v1/models/traits?type=inpaint",
    ]


@pytest.mark.parametrize("answer", [reply(404), reply(410), reply(200, "<html>"), refuse(200, {"data": None})])
def test_an_api_without_a_list_of_older_ids_has_none(kit: Kit, answer: Play) -> None:
    kit.server.plays = [answer]
    assert kit.client.aliases("inpaint") == {}


def test_odd_names_are_left_out(kit: Kit) -> None:
    kit.server.plays = [
        refuse(200, {"data": ["Anime", None, 3]}),
        refuse(200, {"data": {"old": "new", "odd": None, "other": ["x"]}}),
    ]
    assert kit.client.styles() == ("Anime",)
    assert kit.client.aliases("image") == {"old": "new"}


@pytest.mark.parametrize("body", ["<html>hello</html>", "{}", "[]", '{"data": 3}', '{"data": {}}', "[" * 99_999])
def test_a_server_that_does_not_speak_the_api_is_named(kit: Kit, body: str) -> None:
    kit.server.plays = [reply(200, body, {"content-type": "text/html"})]
    with pytest.raises(CallFailed, match=r"does not speak the Venice API: 127\.0\.0\.1:\d+ answered 200"):
        kit.client.rate_limits()


def test_a_free_401_stops_the_run_but_leaves_the_gate_open(kit: Kit) -> None:
    kit.server.plays = [refuse(401, {"error": "Admin API key required"}), picture()]
    with pytest.raises(CallFailed) as caught:
        kit.client.billing_balance()
    assert (caught.value.failure_class, caught.value.exit_code) == (FailureClass.RUN_STOPS, Exit.KEY)
    assert kit.gate.cause is None
    kit.client.upscale(kit.source(), {}, into=kit.new(), lane="u")


def test_free_calls_repeat_lost_answers(kit: Kit) -> None:
    def cut(talk: Any) -> None:
        talk.reset()

    kit.server.plays = [cut, reply(503), refuse(200, {"data": ["A"]})]
    assert kit.client.styles() == ("A",)


def test_a_source_picture_is_fetched_without_the_key(kit: Kit) -> None:
    kit.client.fetch(f"{kit.server.url}/a.png", kit.new())
    assert kit.new().read_bytes() == PNG
    assert "authorization" not in kit.server.talks[0].headers
    assert KEY.encode() not in kit.server.talks[0].body
    with pytest.raises(SourceError):
        kit.client.fetch("http://example.com/a.png", kit.new("b"))


@pytest.mark.parametrize("status", [301, 401, 402, 403, 404, 410, 415])
def test_a_source_that_refuses_fails_its_item_alone(kit: Kit, status: int) -> None:
    kit.server.plays = [reply(status)]
    with pytest.raises(CallFailed) as caught:
        kit.client.fetch(f"{kit.server.url}/a.png", kit.new())
    assert (caught.value.failure_class, caught.value.code) == (FailureClass.ITEM_FAILS, "source-unreadable")
    assert kit.gate.cause is None
    assert not kit.new().exists()


def edit(model: str, fields: Fields, images: int = 1) -> str:
    low, high = prices.edit(CATALOGUE, model, fields, images)
    assert low == high
    return str(high)


def test_prices_are_exact_and_follow_tiers_images_and_variants() -> None:
    cheap, expensive = Decimal("0.02"), Decimal("0.08")
    assert prices.upscale(CATALOGUE, ["2x"]) == (cheap, cheap)
    assert prices.upscale(CATALOGUE, ["4x"]) == (expensive, expensive)
    assert prices.upscale(CATALOGUE, ["2x", "4x"]) == (cheap, expensive)
    assert prices.background_remove(CATALOGUE) == (Decimal("0.03"), Decimal("0.03"))
    assert edit("firered-image-edit", {"prompt": "x"}) == "0.04"
    assert edit("firered-image-edit", {"enhance_prompt": True}) == "0.08"
    assert edit("nano-banana-pro-edit", {}) == "0.18"
    assert edit("nano-banana-pro-edit", {"resolution": "2K"}) == "0.23"
    assert edit("qwen-image-3-edit", {}, 3) == "0.05035"
    assert edit("gpt-image-2-edit", {"quality": "high"}, 1) == "0.34"
    assert edit("gpt-image-2-edit", {}) == "0.03"
    assert prices.generate(CATALOGUE, "painter", {"variants": 4}).high == Decimal("0.04")


def test_an_unknown_price_is_an_error_and_never_zero() -> None:
    calls: list[Callable[[], prices.CallPrice]] = [
        lambda: prices.upscale(CATALOGUE, ["3x"]),
        lambda: prices.edit(CATALOGUE, "free-lunch", {}),
        lambda: prices.edit(CATALOGUE, "nano-banana-pro-edit", {"resolution": "8K"}),
        lambda: prices.edit(CATALOGUE, "gpt-image-2-edit", {"quality": "superb"}),
        lambda: prices.edit(CATALOGUE, "asleep", {}),
        lambda: prices.generate(CATALOGUE, "unknown", {}),
    ]
    for call in calls:
        with pytest.raises(CatalogueError):
            call()


def test_a_model_that_is_not_there_is_refused_with_its_replacement_and_a_reason_why_it_may_be_hidden() -> None:
    with pytest.raises(CatalogueError) as caught:
        CATALOGUE.find("qwen-edit", "inpaint")
    assert caught.value.remedy.startswith("write firered-image-edit instead")
    assert "privacy setting may hide" in caught.value.remedy
    with pytest.raises(CatalogueError) as caught:
        CATALOGUE.find("asleep")
    assert caught.value.remedy == "write new instead"


def test_a_slip_in_a_models_id_is_told_among_models_of_its_kind() -> None:
    with pytest.raises(CatalogueError) as caught:
        CATALOGUE.find("paintre", "image")
    assert caught.value.remedy.startswith("did you mean painter?")
    assert "firered-image-edit" not in caught.value.remedy


def test_no_default_edit_model_asks_for_a_name() -> None:
    bare = Catalogue({"painter": CATALOGUE.models["painter"]}, {"default": "vanished"})
    with pytest.raises(CatalogueError, match="does not say"):
        bare.default_edit_model()
    assert Catalogue(CATALOGUE.models, {}).default_edit_model().id == "firered-image-edit"


def test_constraints_are_checked_before_anything_is_sent() -> None:
    nano = CATALOGUE.models["nano-banana-pro-edit"]
    fields = {"aspect_ratio": "16:9", "resolution": "8K", "prompt": "x" * 11}
    problems = prices.check(nano, "multi-edit", fields, images=5)
    assert len(problems) == 4
    assert problems[0].field == "aspect_ratio"
    assert "it offers 1:1, 4:5" in problems[0].text
    assert prices.check(nano, "multi-edit", {"aspect_ratio": "4:5", "prompt": "x" * 10}, images=4) == []
    assert prices.check(CATALOGUE.models["gpt-image-2-edit"], "multi-edit", {}, images=2) != []
    assert prices.check(CATALOGUE.models["firered-image-edit"], "multi-edit", {}, images=3) == []
    assert prices.check(CATALOGUE.models["firered-image-edit"], "multi-edit", {}, images=4) != []


@pytest.mark.parametrize("key", ["", " \n", "a b", "a\nb", "a\x00b", "kéy"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_printed(key: str) -> None:
    with pytest.raises(KeyRefused) as caught:
        Secret(key)
    assert len(key) < 2 or key not in str(caught.value)


def test_a_key_shows_itself_only_when_asked() -> None:
    secret = Secret(f" {KEY}\n")
    api = Api(OFFICIAL_URL + "/", secret)
    assert secret.reveal() == KEY
    assert KEY not in f"{secret} {secret!r} {api} {api!r}"
    assert not api.is_admin
    assert Api(OFFICIAL_URL, Secret("VENICE_ADMIN_KEY_x")).is_admin
    assert (api.base_url, api.host) == (OFFICIAL_URL, "api.venice.ai")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://127.0.0.1:8080/api/v1", "loopback"),
        ("http://localhost:1", "loopback"),
        ("http://[::1]:9/x", "loopback"),
        ("https://API.Venice.ai:443/api/v1", "api.venice.ai"),
        ("https://proxy.example:8443/api", "proxy.example:8443"),
        ("http://127.0.0.1.example.com", "127.0.0.1.example.com"),
    ],
)
def test_servers_are_told_apart_by_host(url: str, host: str) -> None:
    assert host_id(url) == host
    assert is_loopback(url) == (host == "loopback")
    assert is_official(url) == (host == "api.venice.ai")


@pytest.mark.parametrize(
    "url", ["", "api.venice.ai", "ftp://x", "https://u:pw@x", "https://x?a=1", "http://api.venice.ai", "http://x:99999"]
)
def test_an_address_that_cannot_be_called_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        Api(url)
    assert "pw" not in str(caught.value)


def test_the_emulators_host_is_given_by_the_caller() -> None:
    assert Api("http://127.0.0.1:5/api/v1", host="emulator").host == "emulator"


def test_the_catalogue_is_fetched_by_four_free_calls(kit: Kit) -> None:
    def entries(kind: str) -> str:
        listed = [each for each in CATALOGUE.models.values() if each.type == kind]
        return json.dumps({"data": [{"id": each.id, "type": kind} for each in listed]})

    kit.server.plays = [reply(200, entries(kind)) for kind in ("image", "inpaint", "upscale")]
    kit.server.plays.append(refuse(200, {"data": {"default": "painter"}}))
    found = Catalogue.fetch(kit.client)
    assert set(found.models) == set(CATALOGUE.models)
    assert found.default_edit_model().id == "painter"


def test_the_modules_use_no_file_of_the_user(tmp_path: Path, kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    # A netrc entry would replace the key for this host.
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login u password p\n")
    monkeypatch.setenv("NETRC", str(netrc))
    kit.server.plays = [refuse(200, {"data": []})]
    kit.client.styles()
    assert kit.server.talks[0].headers["authorization"] == f"Bearer {KEY}"
