"""The free steps, on real pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from pipeline import imaging
from pipeline.errors import ItemError
from pipeline.imaging import Limits
from pipeline.steps.conditions import Known
from pipeline.steps.lineage import Lineage
from pipeline.steps.local import LocalStep, orient, sendable
from tests.unit.steps.conftest import SOURCE, step


def picture(folder: Path, size: tuple[int, int] = (600, 300), orientation: int = 1) -> Path:
    made = Image.new("RGB", size, "red")
    exif = made.getexif()
    exif[0x0112] = orientation
    made.save(folder / "in.jpg", exif=exif)
    return folder / "in.jpg"


def fit(**fields: object) -> LocalStep:
    made = step("fit", fields)
    assert isinstance(made, LocalStep)
    return made


def test_orient_turns_a_picture_that_lies_on_its_side(tmp_path: Path) -> None:
    source = picture(tmp_path, orientation=6)
    made = orient().apply(source, tmp_path / "out")
    facts = imaging.probe(made)
    assert (facts.size, facts.orientation) == ((300, 600), 1)


@pytest.mark.parametrize("idle", [orient(), fit(max_side=600), fit(max_pixels=180_000), fit(max_bytes="1MB")])
def test_a_step_with_nothing_to_do_leaves_the_file_itself(tmp_path: Path, idle: LocalStep) -> None:
    source = picture(tmp_path)
    assert idle.apply(source, tmp_path / "out") == source
    assert not (tmp_path / "out").exists()


def test_fit_only_shrinks(tmp_path: Path) -> None:
    made = fit(max_side=200).apply(picture(tmp_path), tmp_path / "out")
    assert imaging.probe(made).size == (200, 100)
    assert fit(max_side=200).after(Known(600, 300, has_alpha=False, format="JPEG", bytes=9)) == Known(
        200, 100, has_alpha=False
    )
    assert fit(max_side=900).after(Known(600, 300)) == Known(600, 300)
    assert fit(max_side=900).after(Known(has_alpha=True)) == Known(has_alpha=True)


def test_what_is_known_is_upright_already() -> None:
    known = Known(600, 300, has_alpha=False, format="JPEG", bytes=9)
    assert orient().after(known) == known


def test_a_broken_picture_is_an_error_of_the_item(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"no picture")
    with pytest.raises(ItemError):
        fit(max_side=200).apply(tmp_path / "x.jpg", tmp_path / "out")


def test_history_is_told_by_parameters_and_not_by_bytes() -> None:
    once = fit(max_side=200).lineage(SOURCE)
    assert once == Lineage("source", SOURCE.value, (("fit", '{"max_side":200}', 1),))
    assert orient().lineage(once).since[-1] == ("orient", "{}", 1)
    assert once.described() == {
        "source": SOURCE.value,
        "local": [{"step": "fit", "parameters": '{"max_side":200}', "revision": 1}],
    }


def test_what_fits_is_sent_as_it_is_and_what_does_not_is_fitted(tmp_path: Path) -> None:
    source = picture(tmp_path)
    assert sendable(source, tmp_path / "a", Limits(min_pixels=65_536))[0] == source
    fitted, facts = sendable(source, tmp_path / "b", Limits(max_pixels=45_000))
    assert fitted == tmp_path / "b"
    assert facts.size == imaging.probe(fitted).size == (300, 150)


def test_what_is_too_small_is_refused_and_never_enlarged(tmp_path: Path) -> None:
    with pytest.raises(ItemError) as caught:
        sendable(picture(tmp_path, (100, 100)), tmp_path / "out", Limits(min_pixels=65_536))
    assert caught.value.code == "too-small"
    assert caught.value.lasting
