"""Every request of a wide set of jobs, more than 300, held against the schemas of the API."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.contract.openapi.documents import request_problems
from tests.e2e.conftest import OpenVendor, Work

PHOTOS = ("a.jpg", "b.png", "c.webp", "d.jpg", "e.png", "f.jpg", "g.jpg", "h.png", "i.jpg", "j.jpg")
#: What the pictures show is not looked at here: canned answers are quick.
LOOSE = {"run": {"on_flagged": "publish"}}
TIERED, RATED = "nano-banana-pro-edit", "gpt-image-2-edit"

#: One chain with every field of the steps that take a picture, in several forms and with several models.
CHAIN: tuple[dict[str, Any], ...] = (
    {"upscale": {}},
    {"upscale": {"scale": 2, "creativity": 0.02}},
    {"background-remove": {}},
    {"edit": {"prompt": "on marble"}},
    {"edit": {"prompt": "in oak, für Häuser", "model": "qwen-edit", "aspect_ratio": "4:5"}},
    {"edit": {"prompt": "a", "modelId": TIERED, "resolution": "1K", "output_format": "jpg", "safe_mode": False}},
    {"edit": {"prompt": "b", "model": RATED, "transparent_background": True, "output_format": "png"}},
    {"edit": {"prompt": "c", "enhance_prompt": True, "disable_prompt_optimization_thinking": True}},
    {"edit": {"prompt": "d", "model": "grok-imagine-edit", "resolution": "1K", "anon_user_id": "shop-7"}},
    {"multi-edit": {"prompt": "e"}},
    {"multi-edit": {"prompt": "f", "images": ["current", {"file": "logo.png"}], "model": RATED, "quality": "low"}},
    {"multi-edit": {"prompt": "g", "modelId": TIERED, "resolution": "1K", "aspect_ratio": "1:1", "safe_mode": True}},
)
#: Values of generate's fields, each one in many rows.
DRAWN: Mapping[str, tuple[object, ...]] = {
    "seed": (None, 0, -5),
    "variants": (None, 2),
    "format": (None, "png", "jpg", "webp"),
    "cfg_scale": (None, 7.5, 3),
    "style_preset": (None, "Anime"),
    "safe_mode": (None, False),
    "lora_strength": (None, 50),
    "negative_prompt": (None, "blur"),
    "hide_watermark": (None, True),
    "embed_exif_metadata": (None, True, False),
    "anon_user_id": (None, "user 1"),
}
BY_MODEL: tuple[dict[str, object], ...] = (
    {"model": "z-image-turbo", "width": 512, "height": 504, "steps": 8},
    {"model": "flux-2-pro", "aspect_ratio": "16:9"},
    {"model": "gpt-image-2", "resolution": "1K", "quality": "low"},
    {"model": "krea-2-turbo", "enhance_prompt": True, "disable_prompt_optimization_thinking": False},
    {"model": "grok-imagine-image", "enable_web_search": False, "aspect_ratio": "1:1"},
)


def _rows(count: int) -> Iterator[dict[str, object]]:
    turns = {name: itertools.cycle(values) for name, values in DRAWN.items()}
    for number, own in zip(range(count), itertools.cycle(BY_MODEL), strict=False):
        drawn = {name: next(turn) for name, turn in turns.items()} | own
        given = {name: value for name, value in drawn.items() if value is not None}
        yield {"id": f"row-{number}", "prompt": f"a vase, {number}", **given}


def _recorded(work: Work) -> list[dict[str, Any]]:
    """Run the job and return its requests; every one of them was taken."""
    ended = work.run("--yes")
    assert ended.code in {0, 3}, ended.text
    paid = work.vendor.paid()
    assert {entry["status"] for entry in paid} == {200}, ended.text
    return paid


def _wrong(paid: list[dict[str, Any]]) -> list[str]:
    return [
        problem for one in paid for problem in request_problems(one["path"], one["params"], one["transport"] or "json")
    ]


@pytest.fixture
def shop(tmp_path: Path, open_vendor: OpenVendor) -> Work:
    """A folder with photos, and a quick vendor."""
    work = Work(tmp_path / "work", open_vendor(pictures="canned", usd=1000))
    work.draw(*PHOTOS)
    (work.root / "logo.png").write_bytes((work.photos / "b.png").read_bytes())
    return work


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["multipart", "json"])
def test_every_step_in_both_forms_sends_what_the_api_takes(shop: Work, transport: str) -> None:
    shop.write(*CHAIN, api={"transport": transport}, **LOOSE)
    paid = _recorded(shop)
    assert _wrong(paid) == []
    assert len(paid) == len(CHAIN) * len(PHOTOS)
    assert {one["transport"] for one in paid} == {transport}


@pytest.mark.slow
def test_rows_of_prompts_send_what_the_api_takes(shop: Work) -> None:
    rows = [*_rows(60)]
    (shop.root / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    shop.write({"generate": {"model": "z-image-turbo"}}, source={"prompts": "prompts.jsonl"}, **LOOSE)
    paid = _recorded(shop)
    assert _wrong(paid) == []
    sent = Counter(name for one in paid for name in one["params"])
    assert set(sent) >= {*DRAWN, *(name for own in BY_MODEL for name in own)}
    assert len(paid) == len(rows)


def test_style_references_and_addresses_send_what_the_api_takes(shop: Work) -> None:
    (shop.root / "prompts.csv").write_text("id,prompt\n1,a vase\n2,a cup\n", "utf-8")
    references = [{"image": "https://shop.example/style.png", "strength": 0.4}, {"image": {"file": "logo.png"}}]
    style = {"model": "qwen-image-2", "style_references": references, "return_binary": True}
    shop.write({"generate": style}, source={"prompts": "prompts.csv"}, **LOOSE)
    paid = _recorded(shop)
    (shop.root / "urls.txt").write_text("https://shop.example/a.png\nhttps://shop.example/b.png\n", "utf-8")
    steps = ({"background-remove": {"anon_user_id": "u"}}, {"edit": {"prompt": "x"}})
    shop.write(*steps, name="addresses", source={"urls": "urls.txt"}, output={"path": "other"}, **LOOSE)
    paid = _recorded(shop)
    assert _wrong(paid) == []
    assert Counter(one["path"] for one in paid) == {
        "/image/generate": 2,
        "/image/background-remove": 2,
        "/image/edit": 2,
    }


#: What the original documents describe and today's schema does not: sent as written, since the job says so.
ORIGINAL_FORMS = (
    {"enhance": True, "enhanceCreativity": 0.5, "enhancePrompt": "gold", "replication": 0.35},
    {"scale": 2, "enhance": "true"},
)


@pytest.mark.parametrize("fields", ORIGINAL_FORMS)
def test_forms_of_the_original_documents_are_sent_as_written(shop: Work, fields: dict[str, object]) -> None:
    shop.write({"upscale": fields}, **LOOSE)
    paid = _recorded(shop)
    named = {name for name in fields if name != "scale"}
    assert {name for one in paid for name in one["params"]} == {"image", *fields}
    assert len(_wrong(paid)) == len(paid)
    assert all(name in problem for name in named for problem in _wrong(paid))
