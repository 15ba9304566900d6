from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from venice_batch.job import Job
from venice_batch.job.json_schema import json_schema
from venice_batch.job.load import TOP_KEYS
from venice_batch.job.positions import plain
from venice_batch.job.yaml_tree import compose
from venice_batch.steps.conditions import KEYS
from venice_batch.steps.fields import known_fields
from venice_batch.steps.table import STEPS

Loader = Callable[..., Job]

ROOT = Path(__file__).parents[3]
HEAD = "version: 1\nname: a\nsource: ./in\noutput: ./out\n"
PROMPTS = "version: 1\nname: a\nsource: {prompts: p.csv}\noutput: ./out\n"

GOOD = [
    HEAD + "steps: [upscale, background-remove, orient, {fit: {max_side: 5}}, {upscale: }]\n",
    HEAD
    + "steps: [{upscale: {scale: 1, enhance: 'true', enhanceCreativity: 0.5, replication: 0, creativity: 0.02}}]\n",
    HEAD + "steps: [{upscale: {scale: '4', enhancePrompt: 1.10}}]\n",
    HEAD + "steps: [{edit: {prompt: 007, modelId: m, aspect_ratio: 4:5, resolution: 2K, safe_mode: False}}]\n",
    HEAD
    + "steps: [{multi-edit: {prompt: true, model: m, quality: low, images: [current, {file: a}, {url: 'https://a/b'}]}}]\n",
    HEAD + "steps: [{edit: {prompt: x}, id: 7}, {multi-edit: {prompt: x, images: [source, {step: 7}]}}]\n",
    HEAD + "steps: [{fit: {max_bytes: 20 MiB, max_pixels: 4000000}}]\n",
    HEAD + "steps: [{upscale: , when: {max_side_below: 5, any: [{format: [jpg, PNG]}, {not: {has_alpha: true}}]}}]\n",
    HEAD + "steps: [{upscale: , when: {aspect_ratio_at_least: 4:5, bytes_below: 500KB, width_below: '${N:-5}'}}]\n",
    PROMPTS
    + "steps: [{generate: {model: m, seed: -5, cfg_scale: 7.5, variants: 4, format: webp, width: 512, steps: 8}}]\n",
    PROMPTS
    + "steps: [{generate: {model: m, style_references: [{image: 'https://a/b', strength: 0.5}, {image: {url: 'https://a/c'}}]}}]\n",
    HEAD.replace("./in", "{urls: u.txt}") + "steps: [background-remove]\nstate: 5\n",
    HEAD.replace("./out", "{path: o, name: '{stem}.{ext}', existing: replace}") + "steps: [upscale]\n",
    HEAD.replace("./out", "{path: o, renditions: [{format: jpeg, quality: '88', max_bytes: 5KB, background: '#fff'}]}")
    + "steps: [upscale]\n",
    HEAD.replace("./out", "{path: o, renditions: [{format: png}, {suffix: -s, format: webp, max_side: '${S:-9}'}]}")
    + "steps: [upscale]\n",
    HEAD + "preset: ebay\n",
    HEAD + "steps: [upscale]\npreset: '${P:-amazon-main}'\n",
    HEAD.replace("./in", "{path: i, include: ['*.jpg'], exclude: []}") + "steps: [upscale]\n",
    HEAD + "steps: [upscale]\nbudget: {max_usd: 25, max_usd_per_day: '1.80', max_usd_per_month: '${M:-5}'}\n",
    HEAD
    + "steps: [upscale]\napi: {base_url: emulator, transport: json, timeout: 90}\nrun: {concurrency: auto, drain: 0}\n",
    HEAD + "steps: [upscale]\napi: {base_url: '${U:-http://127.0.0.1:8080/api/v1}', timeout: 1.5m}\n",
    HEAD + "steps: [upscale]\nrun: {concurrency: 64, max_failure_rate: 12.5%, uncertain: hold, on_flagged: hold}\n",
    HEAD + "steps: [{upscale: , expect: {min_side: 900, aspect_within: 2%, not_blank: false, sharpness: 9.5}}]\n",
    HEAD + "steps: [{background-remove: , expect: {alpha_share: [0.05, 90%]}}]\nrun: {on_flagged: retry}\n",
    HEAD + "steps: [upscale]\nrun: {concurrency: '${C:-3}', max_failure_rate: 1, drain: '${D:-5s}'}\n",
    HEAD.replace("name: a", "name: ${J:-b}") + "steps: ['${S:-upscale}']\n",
]


def _errors(text: str) -> list[str]:
    root, problems = compose(text, "x")
    assert root is not None
    assert not problems
    validator = jsonschema.Draft202012Validator(json_schema())
    return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(plain(root))]


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("text", GOOD)
def test_what_is_loaded_the_schema_accepts(job: Loader, text: str) -> None:
    assert job(text).steps
    assert not _errors(text)


#: Beside the job files lie recipes of other tools; only a job has steps.
EXAMPLES = [file for file in sorted((ROOT / "configs").rglob("*.yaml")) if "\nsteps:" in file.read_text("utf-8")]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_every_example_fits_the_schema(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    # Manifests for a cluster hold several documents; a job is one.
    data = next(yaml.safe_load_all(text))
    if isinstance(data, dict) and "steps" in data and "version" in data:
        assert not _errors(text)


@pytest.mark.parametrize(
    "text",
    [
        HEAD,
        HEAD + "steps: []\n",
        HEAD + "steps: [upscal]\n",
        HEAD + "steps: [edit]\n",
        HEAD + "steps: [{upscale: {scale: 5}}]\n",
        HEAD + "steps: [{background-remove: {model: x}}]\n",
        HEAD + "steps: [{edit: {prompt: x, quality: low}}]\n",
        HEAD + "steps: [{upscale: , when: {max_side: 5}}]\n",
        HEAD + "steps: [upscale]\nfoo: 1\n",
        HEAD + "steps: [upscale]\napi: {key: x}\n",
        HEAD + "steps: [upscale]\nbudget: {max_usd: -1}\n",
        HEAD + "steps: [upscale]\nrun: {concurrency: 65}\n",
        HEAD + "steps: [upscale]\nrun: {on_flagged: release}\n",
        HEAD + "steps: [{fit: {max_side: 9}, expect: {min_side: 5}}]\n",
        HEAD + "steps: [{upscale: , expect: {}}]\n",
        HEAD + "steps: [{upscale: , expect: {min_sid: 5}}]\n",
        PROMPTS + "steps: [{generate: {model: m}, expect: {aspect_within: 2%}}]\n",
        HEAD.replace("name: a", "name: A b") + "steps: [upscale]\n",
    ],
)
def test_plain_mistakes_the_schema_finds_too(text: str) -> None:
    assert _errors(text)


def test_every_key_of_the_schema_has_a_description() -> None:
    bare = [name for name, node in _properties(json_schema()) if not node.get("description")]
    assert not bare


def test_the_schema_knows_every_key() -> None:
    names = {name for name, _ in _properties(json_schema())}
    fields = {name for kind in STEPS.values() for name in known_fields(kind.fields)}
    assert names >= {*TOP_KEYS, *KEYS, *STEPS, *fields}
    assert set(json_schema()["properties"]) == set(TOP_KEYS)


def _properties(node: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        properties = node.get("properties")
        if isinstance(properties, dict):
            yield from properties.items()
        for value in node.values():
            yield from _properties(value)
    elif isinstance(node, list):
        for item in node:
            yield from _properties(item)


def test_descriptions_are_sentences_for_people() -> None:
    text = str(json_schema())
    assert not re.search(r"``|:class:|Base of all", text)
