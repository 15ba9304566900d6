"""The emulator's answers, held against the schemas of the API."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tests.contract.emulator.conftest import EmulatorClient, OpenClient, photo, text
from tests.contract.openapi.documents import PATHS, answer_problems, request_problems
from venice_batch.emulator import Settings
from venice_batch.emulator.catalogue import TYPES

PICTURE = text(photo())
EDIT = {"image": PICTURE, "prompt": "on marble"}
MULTI = {"images": [PICTURE, PICTURE], "prompt": "both"}
DRAW = {"model": "z-image-turbo", "prompt": "a vase", "width": 64, "height": 64}

#: Paid calls with the status that they are answered with.
CALLS: tuple[tuple[str, dict[str, Any], int], ...] = (
    ("/image/upscale", {"image": PICTURE}, 200),
    ("/image/upscale", {"image": PICTURE, "scale": 9}, 400),
    ("/image/upscale", {"image": text(photo((40, 90)))}, 400),
    ("/image/background-remove", {"image": PICTURE}, 200),
    ("/image/background-remove", {"image_url": "https://shop.example/a.png"}, 200),
    ("/image/background-remove", {}, 400),
    ("/image/edit", EDIT, 200),
    ("/image/edit", {**EDIT, "output_format": "webp"}, 200),
    ("/image/edit", {**EDIT, "model": "nano-banana-pro-edit", "resolution": "2K"}, 200),
    ("/image/edit", {**EDIT, "model": "nope"}, 400),
    ("/image/edit", {**EDIT, "colour": "red"}, 400),
    ("/image/edit", {**EDIT, "model": "hidream"}, 410),
    ("/image/edit", {**EDIT, "prompt": "forbidden"}, 422),
    ("/image/multi-edit", MULTI, 200),
    ("/image/multi-edit", {**MULTI, "modelId": "gpt-image-2-edit", "quality": "huge"}, 400),
    ("/image/generate", DRAW, 200),
    ("/image/generate", {**DRAW, "variants": 4}, 200),
    ("/image/generate", {**DRAW, "return_binary": True, "format": "png"}, 200),
    ("/image/generate", {**DRAW, "model": "z-image-turb"}, 404),
    ("/images/generations", {"prompt": "a vase", "size": "64x64"}, 200),
    ("/images/generations", {"prompt": "a vase", "response_format": "url"}, 200),
    ("/images/generations", {}, 400),
)


def _problems(path: str, answer: httpx2.Response) -> list[str]:
    return answer_problems(path, answer.status_code, answer.headers["content-type"].partition(";")[0], answer.content)


@pytest.mark.parametrize(("path", "fields", "status"), CALLS)
def test_a_paid_call_is_answered_in_the_form_of_the_api(
    client: EmulatorClient, path: str, fields: dict[str, Any], status: int
) -> None:
    answer = client.json(path, **fields)
    assert answer.status_code == status, answer.text
    assert _problems(path, answer) == []


@pytest.mark.parametrize("path", [path for path in PATHS if "request" not in PATHS[path]])
def test_a_free_call_is_answered_in_the_form_of_the_api(client: EmulatorClient, path: str) -> None:
    assert client.json("/image/edit", **EDIT, enhance_prompt=True).status_code == 200
    for kind in TYPES if path.startswith("/models") else ("",):
        answer = client.get(path, admin=True, **({"type": kind} if kind else {}))
        assert answer.status_code == 200
        assert _problems(path, answer) == []


def test_errors_that_every_endpoint_has_are_in_the_form_of_the_api(open_client: OpenClient) -> None:
    client = open_client(Settings(usd=None, diem=None, error_budget=3))
    request = client.http.build_request("POST", "/image/edit", json=EDIT)
    del request.headers["authorization"]
    found = [
        client.http.send(request),
        client.json("/image/edit", **EDIT),
        client.get("/billing/balance"),
        client.http.post("/image/edit", json=EDIT, headers={"Authorization": "Bearer x"}),
        client.http.post("/image/edit", content=b"x" * 35_000_001, headers={"Content-Type": "application/json"}),
        client.http.post("/image/multi-edit"),
    ]
    found += [client.json("/image/edit", **EDIT) for _ in range(4)]
    assert [answer.status_code for answer in found] == [402, 402, 401, 401, 413, 415, 402, 402, 402, 429]
    assert [problem for answer in found for problem in _problems("/image/edit", answer)] == []
    assert found[0].json()["x402Version"] == 2


def test_the_schemas_notice_what_is_wrong() -> None:
    assert request_problems("/image/edit", {**EDIT, "quality": "high"}, "json") != []
    assert request_problems("/image/edit", {**EDIT, "safe_mode": "true"}, "json") != []
    assert request_problems("/image/edit", {**EDIT, "safe_mode": "true"}, "multipart") == []
    assert request_problems("/image/edit", {**EDIT, "safe_mode": "yes"}, "multipart") != []
    assert request_problems("/image/upscale", {"image": "x", "scale": "5"}, "multipart") != []
    assert request_problems("/image/multi-edit", {**MULTI, "model": "m"}, "json") != []
    assert request_problems("/image/generate", {**DRAW, "variants": 2, "return_binary": True}, "json") != []
    assert request_problems("/image/generate", {**DRAW, "lora_strength": 33.5}, "json") != []
    assert answer_problems("/image/upscale", 200, "image/jpeg", b"") != []
    assert answer_problems("/models", 200, "application/json", b'{"object": "list", "type": "all", "data": [{}]}') != []
    assert answer_problems("/models", 500, "application/json", b'{"message": "no"}') != []
