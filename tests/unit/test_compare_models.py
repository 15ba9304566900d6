"""What `tools.compare_models` says of two saved catalogues."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tools.compare_models import BUNDLED, main


def _saved(file: Path, document: Any) -> str:
    file.write_text(json.dumps(document))
    return str(file)


def _spec(document: Any, model_id: str) -> Any:
    return next(entry for entry in document["data"] if entry["id"] == model_id)["model_spec"]


@pytest.fixture
def live() -> Any:
    """What the emulator serves, in the form of a live answer."""
    document = json.loads(BUNDLED.read_text())
    for entry in document["data"]:
        entry |= {"object": "model", "created": 1, "owned_by": "venice.ai"}
        entry["model_spec"] |= {"offline": False, "beta": False}
    return document


def test_the_same_catalogue_is_alike(tmp_path: Path, live: Any, capsys: pytest.CaptureFixture[str]) -> None:
    _spec(live, "qwen-image-3-edit")["pricing"]["inputImages"]["additional"]["usd"] = 0.0034500000000000004
    assert main([_saved(tmp_path / "live.json", live)]) == 0
    assert capsys.readouterr().out == "alike\n"


def test_each_difference_is_a_line(tmp_path: Path, live: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ours = _saved(tmp_path / "ours.json", copy.deepcopy(live))
    live["data"] = [entry for entry in live["data"] if entry["id"] != "chroma"]
    live["data"] += [{"id": "seedream-v5-5", "type": "image", "model_spec": {}}, {"id": "m", "type": "video"}, None]
    _spec(live, "firered-image-edit")["pricing"]["inpaint"]["usd"] = 0.05
    _spec(live, "nano-banana-pro")["constraints"]["resolutions"] = ["1K", "1.5K"]
    _spec(live, "krea-2-turbo")["offline"] = True
    del _spec(live, "gpt-image-2-edit")["constraints"]["defaultQuality"]
    assert main([_saved(tmp_path / "live.json", live), ours]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "+ seedream-v5-5: image, not known here",
        "- chroma: not listed any more",
        "~ firered-image-edit model_spec.pricing.inpaint.usd: 0.04 -> 0.05",
        "~ gpt-image-2-edit model_spec.constraints.defaultQuality: high -> absent",
        "~ krea-2-turbo model_spec.offline: False -> True",
        '~ nano-banana-pro model_spec.constraints.resolutions: ["1K", "2K", "4K"] -> ["1K", "1.5K"]',
    ]


@pytest.mark.parametrize("text", ["{", "[]", '{"data": 1}'])
def test_what_is_no_catalogue_is_unreadable(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (file := tmp_path / "live.json").write_text(text)
    assert main([str(file)]) == 2
    assert "cannot compare" in capsys.readouterr().err
