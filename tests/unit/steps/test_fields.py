"""The field models by themselves, as a prompts file's columns and other callers use them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from venice_batch.steps.fields import EditFields, GenerateFields, MultiEditFields, UpscaleFields, as_sent
from venice_batch.steps.local_fields import FitFields
from venice_batch.steps.references import Current, FileRef
from venice_batch.steps.table import STEPS


@pytest.mark.parametrize(
    ("model", "written", "sent"),
    [
        (UpscaleFields, {}, {}),
        (UpscaleFields, {"scale": 1, "enhance": "True"}, {"scale": 1, "enhance": True}),
        (
            UpscaleFields,
            {"enhanceCreativity": 0.5, "enhancePrompt": "gold", "replication": 0.35, "creativity": 0.5},
            {"enhanceCreativity": 0.5, "enhancePrompt": "gold", "replication": 0.35, "creativity": 0.5},
        ),
        (EditFields, {"prompt": "x", "modelId": "m"}, {"prompt": "x", "model": "m"}),
        (MultiEditFields, {"prompt": "x", "model": "m"}, {"prompt": "x", "modelId": "m"}),
        (MultiEditFields, {"prompt": "x", "modelId": "m"}, {"prompt": "x", "modelId": "m"}),
        (MultiEditFields, {"prompt": "x", "images": ["current"]}, {"prompt": "x"}),
        (
            GenerateFields,
            {"model": "m", "seed": "-42", "variants": "2", "cfg_scale": "7.5", "hide_watermark": "true"},
            {"model": "m", "seed": -42, "variants": 2, "cfg_scale": 7.5, "hide_watermark": True},
        ),
        (
            GenerateFields,
            {
                "model": "m",
                "style_references": [{"image": "https://a/b", "strength": 1}, {"image": {"url": "https://c"}}],
            },
            {"model": "m", "style_references": [{"image": "https://a/b", "strength": 1}, {"image": "https://c"}]},
        ),
        (FitFields, {"max_bytes": "1.5 kb"}, {"max_bytes": 1500}),
        (FitFields, {"max_bytes": "2KiB"}, {"max_bytes": 2048}),
    ],
)
def test_the_fields_that_were_set_are_sent_under_the_names_of_the_api(
    model: type[EditFields], written: dict[str, Any], sent: dict[str, Any]
) -> None:
    fields = model.model_validate(written)
    assert as_sent(fields) == sent
    assert as_sent(model.model_validate(as_sent(fields))) == sent, "what is sent can be read again"


def test_multi_edit_starts_from_the_current_picture() -> None:
    assert MultiEditFields.model_validate({"prompt": "x"}).images == (Current(),)


def test_a_file_without_a_job_starts_at_the_present_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fields = MultiEditFields.model_validate({"prompt": "x", "images": [{"file": "a.png"}]})
    assert fields.images == (FileRef(tmp_path / "a.png"),)


@pytest.mark.parametrize(
    ("name", "written", "words"),
    [
        ("upscale", {"scale": 1.5, "enhance": True}, "not offered"),
        ("upscale", {"scale": 4.5}, "not offered"),
        ("upscale", {"scale": True}, "not a number"),
        ("upscale", {"creativity": 1.01}, "less than or equal to 1"),
        ("upscale", {"creativity": float("nan")}, "not a number"),
        ("upscale", {"scale": 1, "enhance": False}, "without enhance"),
        ("upscale", {"enhancePrompt": "x" * 1501}, "at most 1500"),
        ("upscale", {"enhance_prompt": "x"}, "not permitted"),
        ("background-remove", {"image": "x"}, "not permitted"),
        ("edit", {"prompt": "x" * 32_769}, "at most 32768"),
        ("edit", {"prompt": "x", "aspect_ratio": 969}, "not an aspect ratio"),
        ("multi-edit", {"prompt": "x", "images": []}, "at least 1"),
        ("multi-edit", {"prompt": "x", "images": [{"step": "a", "file": "b"}]}, "does not name a picture"),
        ("multi-edit", {"prompt": "x", "images": [{"url": "https://me:pw@a/b"}]}, "not an https address"),
        ("multi-edit", {"prompt": "x", "images": [{"url": "https://a:99999/b"}]}, "not an https address"),
        ("multi-edit", {"prompt": "x", "images": [{"url": "https://a/b c"}]}, "not an https address"),
        ("multi-edit", {"prompt": "x", "images": [{"url": "s3://a/b"}]}, "lies in a bucket"),
        ("multi-edit", {"prompt": "x", "images": [{"file": "https://a/b"}]}, "an address, not a path"),
        ("multi-edit", {"prompt": "x", "images": [{"file": " "}]}, "the path is empty"),
        ("generate", {}, "Field required"),
        ("generate", {"model": "m", "seed": 1_000_000_000}, "less than or equal"),
        ("generate", {"model": "m", "lora_strength": 101}, "less than or equal to 100"),
        ("generate", {"model": "m", "lora_strength": 33.5}, "valid integer"),
        ("generate", {"model": "m", "steps": "8.5"}, "valid integer"),
        ("edit", {"prompt": "x", "anon_user_id": "J\u00fcrgen"}, "other letters than ASCII"),
        ("edit", {"prompt": "x", "anon_user_id": "a" * 129}, "at most 128"),
        ("edit", {"prompt": "x", "resolution": " "}, "the text is empty"),
        ("generate", {"model": "m", "cfg_scale": 20.1}, "less than or equal to 20"),
        ("generate", {"model": "m", "height": 1281}, "less than or equal to 1280"),
        ("generate", {"model": "m", "style_references": [{"image": {"step": "a"}}]}, "does not name a picture"),
        ("generate", {"model": "m", "style_references": [{"image": "https://a", "strength": 0}]}, "out of range"),
        ("generate", {"model": "m", "variants": 2, "return_binary": True}, "exclude each other"),
        ("orient", {"angle": 90}, "not permitted"),
        ("fit", {"max_side": 0}, "greater than or equal to 1"),
        ("fit", {"max_bytes": "-1KB"}, "is not a size"),
        ("fit", {"max_bytes": True}, "is not a size"),
    ],
)
def test_what_the_api_would_refuse_is_refused_here(name: str, written: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        STEPS[name].fields.model_validate(written)


@pytest.mark.parametrize("name", ["image", "image_url"])
@pytest.mark.parametrize("step", sorted(STEPS))
def test_no_step_takes_a_picture_as_a_field(step: str, name: str) -> None:
    with pytest.raises(ValidationError, match="not permitted"):
        STEPS[step].fields.model_validate({"prompt": "x", "model": "m", "max_side": 5, name: "x"})
