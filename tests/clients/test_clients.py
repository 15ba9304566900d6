"""Clients that know the real API and nothing of the emulator: what they can do there, they can do here.

`make clients` runs these; they need npm and PyPI the first time.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from tests.clients.conftest import Python
from tests.e2e.conftest import Vendor

pytestmark = [pytest.mark.clients, pytest.mark.slow]


def _venice(cli: Path, vendor: Vendor, home: Path, *arguments: str) -> str:
    env = {**os.environ, "HOME": str(home), "VENICE_API_KEY": vendor.key, "VENICE_API_BASE_URL": vendor.url}
    done = subprocess.run([cli, *arguments], env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_official_command_draws_with_its_default_model(
    venice_cli: Path, vendor: Vendor, photo: Path, tmp_path: Path
) -> None:
    _venice(venice_cli, vendor, tmp_path, "image", "-n", "2", "-o", str(tmp_path / "drawn.png"), "a", "vase")
    for number in (1, 2):
        with Image.open(tmp_path / f"drawn_{number}.png") as picture:
            picture.load()
    (call,) = vendor.paid("/image/generate")
    assert (call["model"], call["status"], call["billed"]) == ("flux-2-pro", 200, "0.06")
    assert photo.exists()


def test_the_official_command_lists_the_models(venice_cli: Path, vendor: Vendor, tmp_path: Path) -> None:
    listed = json.loads(_venice(venice_cli, vendor, tmp_path, "models", "-f", "json"))
    assert {"firered-image-edit", "flux-2-pro", "upscaler"} <= {model["id"] for model in listed}


PATHS = {"/image/upscale", "/image/edit", "/image/multi-edit", "/image/background-remove", "/image/generate"}

_VENICE_PY = """
import os, pathlib
from venice_ai import SyncVeniceClient
client = SyncVeniceClient(api_key=os.environ["KEY"], base_url=os.environ["URL"], max_retries=0)
photo = pathlib.Path(PHOTO)
images = client.image
answers = [
    images.upscale(image=photo, scale=2),
    images.edit(image=photo, prompt="on marble", model="nano-banana-pro-edit", resolution="1K"),
    images.multi_edit(image=photo, image_2=photo, prompt="both"),
    images.background_remove(image=photo),
    images.background_remove(image_url="https://shop.example/a.png"),
    images.create(model="z-image-turbo", prompt="a vase", width=128, height=128, return_binary=True),
]
assert all(isinstance(answer, bytes) and len(answer) > 1000 for answer in answers)
assert len(images.create(model="z-image-turbo", prompt="a vase", width=64, height=64).images) == 1
assert images.simple_generate(prompt="a vase", size="256x256").data[0].b64_json
assert "Anime" in images.list_styles().data
for kind in ("image", "inpaint", "upscale"):
    assert client.models.list(type=kind).data
assert client.models.list_traits(type="inpaint").data["default"] == "firered-image-edit"
assert client.models.list_compatibility(type="inpaint").data == {"qwen-edit": "qwen-edit-uncensored"}
assert client.api_keys.get_rate_limits().data.accessPermitted
assert client.billing.get_balance().can_consume
assert len(client.billing.get_usage_history().data) == 8
client.close()
"""


def test_a_public_sdk_reads_every_answer(run_python: Python, vendor: Vendor, photo: Path) -> None:
    run_python("venice-py==2.9.0", f"PHOTO = {str(photo)!r}\n{_VENICE_PY}")
    assert {call["path"] for call in vendor.paid()} == {*PATHS, "/images/generations"}
    assert {call["status"] for call in vendor.paid()} == {200}


_VENICE_SDK = """
import os, pathlib
from venice_sdk import Config, VeniceClient
client = VeniceClient(Config(api_key=os.environ["KEY"], base_url=os.environ["URL"], max_retries=0))
photo = pathlib.Path(PHOTO)
assert client.image_edit.edit(photo, "on marble").b64_json
assert client.image_edit.multi_edit([photo, photo], "both").b64_json  # its default model is qwen-edit
assert client.image_edit.remove_background(photo).b64_json
assert client.images.generate("a vase", size="256x256").url.startswith("data:image/png;base64,")  # dall-e-3
assert len(client.images.generate_native("a vase", "z-image-turbo", width=64, height=64, variants=2)["images"]) == 2
assert client.image_styles.list_styles()
assert client.models.list(type="image")
assert client.billing.get_balance()["canConsume"]
assert client.api_keys.get_rate_limits().requests_per_minute == 6000
"""


def test_another_public_sdk_works_with_the_models_it_was_written_for(
    run_python: Python, vendor: Vendor, photo: Path
) -> None:
    run_python("venice-sdk==0.3.3", f"PHOTO = {str(photo)!r}\n{_VENICE_SDK}")
    # Its upscale asks for JSON, which the API never answers: left out.
    assert {call["path"] for call in vendor.paid()} == (PATHS | {"/images/generations"}) - {"/image/upscale"}
    assert [call["model"] for call in vendor.paid("/image/multi-edit")] == ["qwen-edit-uncensored"]


_OPENAI = """
import base64, os
from openai import OpenAI
client = OpenAI(api_key=os.environ["KEY"], base_url=os.environ["URL"], max_retries=0)
drawn = client.images.generate(prompt="a vase", model="gpt-image-1", size="256x256", n=1)
assert base64.b64decode(drawn.data[0].b64_json).startswith(b"\\x89PNG")
"""


def test_the_sdk_of_openai_draws(run_python: Python, vendor: Vendor, photo: Path) -> None:
    run_python("openai==3.57.0", _OPENAI)
    (call,) = vendor.paid()
    assert (call["path"], call["model"], photo.exists()) == ("/images/generations", "z-image-turbo", True)
