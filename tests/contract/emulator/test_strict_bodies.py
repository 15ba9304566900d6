"""The API refuses what it does not know: unknown fields, wrong names, wrong types, wrong forms."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.emulator.conftest import EmulatorClient, photo, text

PICTURE = text(photo())
EDIT = {"image": PICTURE, "prompt": "on marble"}
MULTI = {"images": [PICTURE], "prompt": "on marble"}
DRAW = {"model": "z-image-turbo", "prompt": "a vase"}


@pytest.mark.parametrize(
    ("path", "fields", "says"),
    [
        ("/image/upscale", {"image": PICTURE, "scale": "2"}, "scale"),
        ("/image/upscale", {"image": PICTURE, "scale": 5}, "scale"),
        ("/image/upscale", {"image": PICTURE, "scale": 1, "enhance": True}, "scale"),
        ("/image/upscale", {"image": PICTURE, "scale": True}, "scale"),
        ("/image/upscale", {"image": f"data:image/png;base64,{PICTURE}"}, "data:"),
        ("/image/upscale", {"image": "https://shop.example/a.png"}, "URL"),
        ("/image/upscale", {}, "image"),
        ("/image/background-remove", {"image": PICTURE, "model": "bria-bg-remover"}, "model"),
        ("/image/background-remove", {"image": PICTURE, "image_url": "https://shop.example/a"}, "Exactly one"),
        ("/image/background-remove", {}, "Exactly one"),
        ("/image/edit", {**EDIT, "quality": "high"}, "quality"),
        ("/image/edit", {**EDIT, "return_binary": True}, "return_binary"),
        ("/image/edit", {**EDIT, "model": "qwen-image-2"}, "Invalid model id"),
        ("/image/edit", {**EDIT, "aspect_ratio": "5:4"}, "aspect_ratio"),
        ("/image/edit", {**EDIT, "resolution": "1K"}, "resolution"),
        ("/image/edit", {**EDIT, "safe_mode": "false"}, "safe_mode"),
        ("/image/edit", {**EDIT, "prompt": ""}, "prompt"),
        ("/image/edit", {**EDIT, "prompt": "x" * 1501}, "1500"),
        ("/image/edit", {**EDIT, "model": "wan-2-7-pro-edit", "aspect_ratio": "1:1"}, "Supported: auto"),
        ("/image/edit", {**EDIT, "model": "grok-imagine-edit", "aspect_ratio": "auto"}, "aspect_ratio"),
        ("/image/edit", {**EDIT, "transparent_background": True}, "transparent_background"),
        ("/image/edit", {**EDIT, "image": "not base64!"}, "invalid or corrupt"),
        ("/image/edit", {**EDIT, "image": text(b"GIF89a nonsense")}, "invalid or corrupt"),
        ("/image/multi-edit", {**MULTI, "model": "firered-image-edit"}, "model"),
        ("/image/multi-edit", {**MULTI, "images": []}, "images"),
        ("/image/multi-edit", {**MULTI, "images": [PICTURE] * 4}, "at most 3"),
        ("/image/multi-edit", {**MULTI, "images": [PICTURE] * 2, "modelId": "seedream-v4-edit"}, "at most 1"),
        ("/image/multi-edit", {**MULTI, "modelId": "gpt-image-2-edit", "quality": "superb"}, "quality"),
        ("/image/multi-edit", {**MULTI, "modelId": "gpt-image-2-edit", "resolution": "8K"}, "resolution"),
        ("/image/multi-edit", {**MULTI, "images": [PICTURE, "https://a.invalid/b"]}, "Image 2 is invalid or corrupt"),
        ("/image/generate", {**DRAW, "width": 1281}, "width"),
        ("/image/generate", {**DRAW, "model": "qwen-image-3", "width": 512}, "width"),
        ("/image/generate", {**DRAW, "steps": 9}, "steps"),
        ("/image/generate", {**DRAW, "style_references": [{"image": PICTURE}]}, "style_references"),
        ("/image/generate", {**DRAW, "lora_strength": 33.5}, "lora_strength"),
        ("/image/generate", {**DRAW, "seed": 1_000_000_000}, "seed"),
        ("/image/generate", {**DRAW, "cfg_scale": 0}, "cfg_scale"),
        ("/image/generate", {**DRAW, "variants": 5}, "variants"),
        ("/image/generate", {**DRAW, "variants": 2, "return_binary": True}, "variants"),
        ("/image/generate", {**DRAW, "style_preset": "anime"}, "style_preset"),
        ("/image/generate", {**DRAW, "model": "nano-banana-pro", "resolution": "8K"}, "resolution"),
        ("/image/generate", {**DRAW, "images": []}, "images"),
    ],
)
def test_a_wrong_field_is_refused_by_name_and_costs_nothing(
    client: EmulatorClient, path: str, fields: dict[str, Any], says: str
) -> None:
    answer = client.json(path, **fields)
    assert answer.status_code == 400
    assert says in answer.text
    assert client.billed == 0


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/image/upscale", {"image": PICTURE, "scale": 2.0, "creativity": 0.5}),
        ("/image/upscale", {"image": PICTURE, "enhance": "maybe", "enhanceCreativity": 7, "colour": "red", "model": 1}),
        ("/image/edit", {**EDIT, "image": f"data:image/png;base64,{PICTURE}"}),
        ("/image/edit", {**EDIT, "model": "gpt-image-2-edit", "transparent_background": True, "resolution": "2K"}),
        ("/image/background-remove", {"image": f"data:image/png;base64,{PICTURE}"}),
        ("/image/background-remove", {"image": PICTURE}),
        ("/image/background-remove", {"image_url": "https://shop.example/mug.png"}),
        ("/image/edit", EDIT),
        ("/image/edit", {**EDIT, "modelId": "qwen-image-2-edit", "aspect_ratio": "4:5"}),
        ("/image/edit", {**EDIT, "image": "https://shop.example/mug.png"}),
        ("/image/multi-edit", {**MULTI, "images": [f"data:image/png;base64,{PICTURE}", PICTURE]}),
        ("/image/multi-edit", {**MULTI, "modelId": "gpt-image-2-edit", "quality": "high", "resolution": "2K"}),
        ("/image/multi-edit", {**MULTI, "quality": "high", "resolution": "2K", "anon_user_id": "u-1"}),
        ("/image/generate", {**DRAW, "quality": "high", "resolution": "2K", "format": "jpg", "aspect_ratio": "7:5"}),
        ("/image/generate", {**DRAW, "width": 1001, "height": 9}),
        ("/image/generate", {**DRAW, "model": "flux-2-pro", "width": 512, "steps": 900}),
        ("/image/edit", {**EDIT, "model": "qwen-edit", "output_format": "jpg"}),
        ("/image/upscale", {"image": PICTURE, "scale": 3}),
        ("/image/generate", {**DRAW, "style_preset": "Anime", "seed": -5, "steps": 8, "lora_strength": 100}),
        ("/image/generate", {"model": "qwen-image-2", "prompt": "x", "style_references": [{"image": PICTURE}]}),
    ],
)
def test_what_the_documents_allow_is_accepted_as_json(
    client: EmulatorClient, path: str, fields: dict[str, Any]
) -> None:
    answer = client.json(path, **fields)
    assert answer.status_code == 200, answer.text
    assert client.billed > 0


def test_in_a_form_numbers_and_booleans_are_text(client: EmulatorClient) -> None:
    assert client.form("/image/upscale", photo(), scale="2", enhance="false").status_code == 200
    edited = client.form("/image/edit", photo(), prompt="on marble", safe_mode="false", enhance_prompt="false")
    assert edited.status_code == 200
    assert client.form("/image/upscale", photo(), scale="two").status_code == 400


def test_a_form_is_as_strict_as_json(client: EmulatorClient) -> None:
    assert "model" in client.form("/image/background-remove", photo(), model="bria-bg-remover").text
    assert "model" in client.form("/image/multi-edit", photo(), name="images", prompt="x", model="qwen").text
    assert "quality" in client.form("/image/edit", photo(), prompt="x", quality="low").text
    assert "more than once" in client.form("/image/edit", photo(), photo(), prompt="x").text
    assert "file part" in client.http.post("/image/edit", files={"image": (None, PICTURE)}, data={"prompt": "x"}).text
    assert client.billed == 0


def test_multi_edit_takes_several_parts_of_one_name(client: EmulatorClient) -> None:
    answer = client.form("/image/multi-edit", photo(), photo(), photo(), name="images", prompt="together")
    assert answer.status_code == 200, answer.text


def test_the_error_names_the_field_in_a_tree_and_in_a_list(client: EmulatorClient) -> None:
    body = client.json("/image/edit", **EDIT, colour="red", safe_mode=3).json()
    assert body["error"] == "Invalid request parameters"
    assert body["details"]["_errors"] == ["Unrecognized key(s) in object: 'colour'"]
    assert body["details"]["safe_mode"]["_errors"]
    assert {tuple(issue["path"]) for issue in body["issues"]} == {("colour",), ("safe_mode",)}


def test_a_retired_model_is_gone_and_names_its_successor(client: EmulatorClient) -> None:
    answer = client.json("/image/edit", **EDIT, model="hidream")
    assert answer.status_code == 410
    assert "z-image-turbo" in answer.text


def test_an_unknown_generation_model_is_a_404_with_a_suggestion(client: EmulatorClient) -> None:
    answer = client.json("/image/generate", model="z-image-turbi", prompt="x")
    assert answer.status_code == 404
    assert "z-image-turbo" in answer.text


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        ("/image/edit", (200, 200), 400),
        ("/image/edit", (7000, 5000), 422),
        ("/image/multi-edit", (7000, 5000), 400),
        ("/image/upscale", (40, 3000), 400),
        ("/image/upscale", (5000, 3600), 400),
    ],
)
def test_too_few_and_too_many_pixels_are_refused(
    client: EmulatorClient, path: str, size: tuple[int, int], status: int
) -> None:
    fields = {} if path == "/image/upscale" else {"prompt": "x"}
    name = "images" if path == "/image/multi-edit" else "image"
    answer = client.form(path, photo(size, "JPEG"), name=name, **fields)
    assert answer.status_code == status
    assert "too " in answer.text
    assert client.billed == 0


def test_a_truncated_picture_is_refused_and_not_billed(client: EmulatorClient) -> None:
    answer = client.form("/image/upscale", photo((400, 400), "JPEG")[:4000])
    assert answer.status_code == 400
    assert "invalid or corrupt" in answer.text
    assert client.billed == 0
    assert client.running.books.balances["USD"] == 50


def test_a_file_over_25_mb_and_a_json_over_35_mb_are_too_large(client: EmulatorClient) -> None:
    padded = photo() + bytes(25_000_000)
    by_form = client.form("/image/upscale", padded)
    assert (by_form.status_code, by_form.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")
    by_json = client.http.post(
        "/image/upscale", content=b" " * 35_000_001, headers={"Content-Type": "application/json"}
    )
    assert (by_json.status_code, by_json.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")


def test_other_content_types_are_refused(client: EmulatorClient) -> None:
    plain = client.http.post("/image/edit", content=b"hello", headers={"Content-Type": "text/plain"})
    assert (plain.status_code, plain.json()["error"]) == (400, "'Content-Type' must be 'application/json'")
    assert client.form("/image/generate", photo(), prompt="x").status_code == 400
    assert client.http.post("/image/multi-edit").status_code == 415


@pytest.mark.parametrize("body", [b"{", b"[1]", b"null", b"\xff"])
def test_a_body_that_is_no_json_object_is_a_400(client: EmulatorClient, body: bytes) -> None:
    answer = client.http.post("/image/edit", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400


def test_a_blocked_prompt_is_a_422(client: EmulatorClient) -> None:
    answer = client.json("/image/edit", image=PICTURE, prompt="something forbidden")
    assert answer.status_code == 422
    assert client.billed == 0


def test_unknown_paths_and_methods_are_json_errors(client: EmulatorClient) -> None:
    assert client.get("/image/nothing").status_code == 404
    assert client.get("/image/edit").status_code == 405
    assert client.get("/billing/usage").status_code == 410
