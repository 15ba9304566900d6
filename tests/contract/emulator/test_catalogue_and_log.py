"""The free endpoints, the log, and starting the emulator as a process of its own."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from PIL import Image

from tests.contract.emulator.conftest import EmulatorClient, OpenClient, photo, text
from venice_batch.emulator import Key, Settings, serve_in_thread
from venice_batch.emulator.catalogue import read


def test_the_catalogue_lists_edit_models_with_exact_prices(client: EmulatorClient) -> None:
    listed = client.get("/models", type="inpaint").json()
    assert (listed["object"], listed["type"]) == ("list", "inpaint")
    models = {entry["id"]: entry["model_spec"] for entry in listed["data"]}
    assert "qwen-edit" not in models
    assert models["firered-image-edit"]["pricing"]["inpaint"] == {"usd": 0.04, "diem": 0.04}
    assert models["nano-banana-pro-edit"]["pricing"]["resolutions"]["4K"]["usd"] == 0.35
    assert models["gpt-image-2-edit"]["pricing"]["quality"]["1K"]["high"]["usd"] == 0.34
    extra = models["flux-2-max-edit"]["pricing"]["inputImages"]
    assert extra == {"included": 1, "additional": {"usd": 0.0345, "diem": 0.0345}}
    assert models["seedream-v4-edit"]["deprecation"]["replacementModelId"] == "qwen-image-3-edit"


def test_every_image_entry_carries_the_upscale_prices_of_the_account(client: EmulatorClient) -> None:
    images = client.get("/models", type="image").json()["data"]
    assert len(images) == 38
    assert all(entry["model_spec"]["pricing"]["upscale"]["4x"]["usd"] == 0.08 for entry in images)
    (remover,) = (entry["model_spec"] for entry in images if entry["id"] == "bria-bg-remover")
    assert "constraints" not in remover
    assert (remover["privacy"], remover["pricing"]["generation"]["usd"]) == ("anonymized", 0.03)


def test_another_catalogue_is_served_with_its_odd_entries(
    client: EmulatorClient, open_client: OpenClient, tmp_path: Path
) -> None:
    listed = client.get("/models", type="all").json()
    kept = [entry for entry in listed["data"] if entry["id"] in {"firered-image-edit", "upscaler"}]
    kept[0]["model_spec"]["pricing"]["inpaint"]["usd"] = 0.07
    odd = [
        {"id": "a", "type": "inpaint", "model_spec": None},
        {"id": "b", "type": "inpaint", "model_spec": {"name": "B", "pricing": {"inpaint": {"usd": "contact us"}}}},
    ]
    file = tmp_path / "models.json"
    file.write_text(json.dumps({"object": "list", "data": [*odd, *kept]}))
    other = open_client(Settings(catalogue=file))
    assert [entry["id"] for entry in other.get("/models", type="inpaint").json()["data"]] == [
        "a",
        "b",
        "firered-image-edit",
    ]
    assert other.form("/image/edit", photo(), prompt="x").status_code == 200
    assert str(other.billed) == "0.07"
    assert other.form("/image/edit", photo(), prompt="x", model="b").status_code == 400


def test_what_is_no_catalogue_is_said_so(tmp_path: Path) -> None:
    (file := tmp_path / "models.json").write_text("[]")
    with pytest.raises(ValueError, match="no answer of GET /models"):
        read(file)


def test_the_mapping_of_old_ids_names_models_of_the_list(client: EmulatorClient) -> None:
    mapping = client.get("/models/compatibility_mapping", type="inpaint").json()["data"]
    assert mapping == {"qwen-edit": "qwen-edit-uncensored"}
    answer = client.form("/image/edit", photo(), prompt="x", model="qwen-edit")
    assert answer.headers["x-venice-model-id"] == "qwen-edit-uncensored"


def test_the_api_of_openai_draws_with_the_default_where_the_model_is_unknown(client: EmulatorClient) -> None:
    answer = client.json("/images/generations", model="dall-e-3", prompt="a vase", size="256x128", n=1, user="u")
    assert answer.headers["x-venice-model-id"] == "z-image-turbo"
    (drawn,) = answer.json()["data"]
    assert Image.open(io.BytesIO(base64.b64decode(drawn["b64_json"]))).size == (256, 128)
    by_url = client.json("/images/generations", prompt="a vase", size="auto", response_format="url").json()
    assert by_url["data"][0]["url"].startswith("data:image/png;base64,")


def test_every_type_lists_its_own_and_all_lists_everything(client: EmulatorClient) -> None:
    def ids(kind: str) -> set[str]:
        return {entry["id"] for entry in client.get("/models", type=kind).json()["data"]}

    assert ids("upscale") == {"upscaler"}
    assert "bria-bg-remover" in ids("image")
    assert ids("all") == ids("image") | ids("inpaint") | ids("upscale")
    assert ids("text") == set()
    assert client.get("/models", type="nonsense").status_code == 400


def test_the_catalogue_proves_nothing_about_the_key(client: EmulatorClient) -> None:
    wrong = {"Authorization": "Bearer wrong"}
    assert client.http.get("/models?type=image", headers=wrong).status_code == 200
    assert client.http.get("/image/styles", headers=wrong).status_code == 200
    assert client.http.get("/api_keys/rate_limits", headers=wrong).status_code == 401


def test_traits_name_the_default_edit_model(client: EmulatorClient) -> None:
    assert client.get("/models/traits", type="inpaint").json()["data"]["default"] == "firered-image-edit"


def test_the_log_tells_one_picture_from_another_however_it_was_sent(client: EmulatorClient) -> None:
    client.form("/image/edit", photo(), prompt="x")
    client.json("/image/edit", image=text(photo()), prompt="x", model="qwen-image-2-edit")
    first, second = client.log()
    assert first["image_sha256"] == second["image_sha256"] == hashlib.sha256(photo()).hexdigest()
    assert (first["transport"], second["transport"]) == ("multipart", "json")
    assert (first["model"], second["model"]) == ("firered-image-edit", "qwen-image-2-edit")
    assert (first["billed"], second["billed"]) == ("0.04", "0.05")
    assert first["params"]["prompt"] == "x"
    assert first["time_begun"] <= first["time_answered"] <= second["time_begun"]


def test_a_request_id_links_answer_log_and_ledger(client: EmulatorClient) -> None:
    answer = client.form("/image/edit", photo(), prompt="x")
    (row,) = client.get("/billing/usage-history", admin=True).json()["data"]
    entry = client.log()[0]
    assert answer.headers["cf-ray"] == entry["request_id"] == row["inferenceDetails"]["requestId"]


@pytest.mark.server
def test_any_key_is_accepted_when_wanted() -> None:
    with serve_in_thread(Settings(accept_any_key=True, keys=(Key("known"),))) as running:
        for token, status in (("whatever", 401), ("VENICE_ADMIN_KEY_x", 200)):
            headers = {"Authorization": f"Bearer {token}"}
            got = httpx2.get(f"{running.url}/billing/balance", headers=headers, trust_env=False)
            assert got.status_code == status


def test_one_connection_serves_many_requests(client: EmulatorClient) -> None:
    with httpx2.Client(trust_env=False, limits=httpx2.Limits(max_connections=1)) as http:
        ports = set()
        for _ in range(3):
            answer = http.get(f"{client.running.url}/image/styles")
            ports.add(answer.extensions["network_stream"].get_extra_info("client_addr"))
        assert len(ports) == 1


@pytest.mark.server
def test_as_a_process_it_says_where_it_listens() -> None:
    command = [sys.executable, "-m", "venice_batch.emulator", "--port", "0", "--usd", "1.25"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            headers = {"Authorization": f"Bearer {told['key']}"}
            limits = httpx2.get(f"{told['url']}/api_keys/rate_limits", headers=headers, trust_env=False)
            assert limits.json()["data"]["balances"]["USD"] == 1.25
        finally:
            process.terminate()


@pytest.mark.parametrize("heavy", ["PIL", "starlette", "uvicorn", "pydantic", "venice_batch.errors"])
def test_importing_the_package_loads_nothing_heavy(heavy: str) -> None:
    code = f"import sys, venice_batch.emulator; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_whole_emulator_imports_nothing_of_the_package() -> None:
    code = (
        "import sys, venice_batch.emulator.__main__, venice_batch.emulator.photos\n"
        "loaded = {name.split('.')[1] for name in sys.modules if name.startswith('venice_batch.')}\n"
        "sys.exit(loaded != {'emulator'})"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
