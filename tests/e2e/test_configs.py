"""Every job file in configs/ is checked and planned as it stands, on the bundled emulator."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.conftest import REPOSITORY, Work
from tests.servers.bucket import Bucket
from venice_batch.emulator.photos import draw_catalogue
from venice_batch.storage import S3Place

CONFIGS = sorted((REPOSITORY / "configs").glob("*.yaml"))


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configs with the demo's photos where they look for them."""
    root = tmp_path_factory.mktemp("laid-out") / "work"
    shutil.copytree(REPOSITORY / "configs", root / "configs")
    draw_catalogue(root / "demo" / "photos")
    return root


def test_there_are_configs_to_look_at() -> None:
    assert {"demo.yaml", "catalog-nightly.yaml", "generate-assets.yaml"} <= {path.name for path in CONFIGS}


@pytest.fixture(scope="module")
def shop(laid_out: Path, seaweed: Bucket) -> dict[str, str]:
    """The variables of a shop whose photos lie in a bucket."""
    photos = laid_out / "demo" / "photos"
    files = [path for path in photos.rglob("*") if path.is_file()]
    seaweed.fill(S3Place(seaweed.name, "raw/"), {str(path.relative_to(photos)): path.read_bytes() for path in files})
    return {**seaweed.environment, "SHOP_BUCKET": seaweed.name, "STATE_BUCKET": seaweed.name}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name)
def test_a_config_is_valid_and_can_be_planned(laid_out: Path, shop: dict[str, str], config: Path, work: Work) -> None:
    work.root = laid_out
    job = Path("configs") / config.name
    bare: dict[str, str | None] = {**shop, "VENICE_BASE_URL": None, "VENICE_API_KEY": None}
    checked = work.venice("check", job, env=bare)
    assert checked.code == 0, checked.text
    planned = work.venice("plan", job, "--base-url", "emulator", "--json", env=bare)
    assert planned.code == 0, planned.text
    assert planned.json["covered"] is True
    assert planned.json["calls"] > 0
    assert planned.json["items"]["new"] > 0


def test_the_starter_job_is_valid_and_never_written_over_a_file(work: Work) -> None:
    written = work.venice("init", "job.yaml")
    assert written.code == 0, written.text
    assert work.venice("check", "job.yaml").code == 0
    work.draw("a.jpg")
    ended = work.venice("run", "job.yaml", "--base-url", "emulator")
    assert ended.code == 0, ended.text
    assert sorted(work.outputs()) == ["a.png"]
    text = work.job.read_text("utf-8")
    again = work.venice("init", "job.yaml")
    assert again.code == 2
    assert work.job.read_text("utf-8") == text
