"""The free steps, on real pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.unit.steps.conftest import SOURCE, step
from venice_batch import imaging
from venice_batch.errors import ItemError
from venice_batch.imaging import Limits, Rendition
from venice_batch.steps.conditions import Known
from venice_batch.steps.input_key import InputKey
from venice_batch.steps.local import LocalStep, orient, renderer, reshaped, sendable
from venice_batch.steps.table import STEPS, build


def picture(folder: Path, size: tuple[int, int] = (600, 300), orientation: int = 1) -> Path:
    made = Image.new("RGB", size, "red")
    exif = made.getexif()
    exif[0x0112] = orientation
    made.save(folder / "in.jpg", exif=exif)
    return folder / "in.jpg"


def local(name: str, **fields: object) -> LocalStep:
    made = step(name, fields)
    assert isinstance(made, LocalStep)
    return made


def fit(**fields: object) -> LocalStep:
    return local("fit", **fields)


def test_orient_turns_a_picture_that_lies_on_its_side(tmp_path: Path) -> None:
    source = picture(tmp_path, orientation=6)
    made = reshaped((orient(),), source, tmp_path / "out")
    facts = imaging.probe(made)
    assert (facts.size, facts.orientation) == ((300, 600), 1)


#: Fields for the steps that need some, so that they have something to do.
EXAMPLES: dict[str, dict[str, object]] = {
    "fit": {"max_side": 100},
    "resize": {"width": 50, "height": 50, "mode": "fill"},
    "pad": {"aspect_ratio": "1:1", "color": "transparent"},
    "crop": {"width": "50%", "height": 20},
    "overlay": {"file": "logo.png"},
    "convert": {"format": "webp"},
}


@pytest.mark.parametrize("name", [kind.name for kind in STEPS.values() if not kind.paid])
def test_every_local_step_makes_a_picture_as_it_was_foretold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGBA", (20, 20), (0, 0, 255, 128)).save("logo.png")
    with Image.open(picture(tmp_path, orientation=6)) as drawn:
        drawn.paste("blue", (100, 50, 300, 200))  # something within the border, for trim
        drawn.save("in.jpg", exif=drawn.getexif())
    one = local(name, **EXAMPLES.get(name, {}))
    made = imaging.probe(reshaped((orient(), one), tmp_path / "in.jpg", tmp_path / "out"))
    known = one.after(Known(width=300, height=600, has_alpha=False, format="JPEG"))
    assert known.width in {None, made.width}
    assert known.height in {None, made.height}
    assert known.has_alpha in {None, made.has_alpha}
    assert name == "orient" or known.format in {None, made.format}


@pytest.mark.parametrize(
    "idle",
    [
        orient(),
        fit(max_side=600),
        fit(max_pixels=180_000),
        fit(max_bytes="1MB"),
        local("srgb"),
        local("resize", width=700, height=700),
        local("flatten"),
        local("crop", aspect_ratio="2:1"),
        local("pad", aspect_ratio="2:1", color="red"),
        local("convert", format="jpeg"),
    ],
    ids=lambda made: made.name,
)
def test_a_step_with_nothing_to_do_leaves_the_file_itself(tmp_path: Path, idle: LocalStep) -> None:
    source = picture(tmp_path)
    assert reshaped((idle,), source, tmp_path / "out") == source
    assert [file.name for file in tmp_path.iterdir()] == ["in.jpg"]


def test_fit_only_shrinks(tmp_path: Path) -> None:
    made = reshaped((fit(max_side=200),), picture(tmp_path), tmp_path / "out")
    assert imaging.probe(made).size == (200, 100)
    assert fit(max_side=200).after(Known(600, 300, has_alpha=False, format="JPEG", bytes=9)) == Known(
        200, 100, has_alpha=False
    )
    assert fit(max_side=900).after(Known(600, 300)) == Known(600, 300)
    assert fit(max_side=900).after(Known(has_alpha=True)) == Known(has_alpha=True)


def test_what_is_known_is_upright_already() -> None:
    known = Known(600, 300, has_alpha=False, format="JPEG", bytes=9)
    assert orient().after(known) == known


@pytest.mark.parametrize(
    ("made", "after"),
    [
        (local("srgb"), Known(600, 300, has_alpha=True)),
        (local("trim"), Known(has_alpha=True)),
        (local("pad", aspect_ratio="1:1", color="white"), Known(600, 600, has_alpha=False)),
        (local("pad", aspect_ratio="1:1"), Known(600, 600)),
        (local("pad", size="80x90", color="transparent"), Known(80, 90, has_alpha=True)),
        (local("flatten"), Known(600, 300, has_alpha=False)),
        (local("crop", width="50%"), Known(300, 300, has_alpha=True)),
        (local("crop", width=900), Known(has_alpha=True)),
        (local("convert", format="webp"), Known(600, 300, has_alpha=True, format="WEBP")),
        (local("convert", format="jpeg"), Known(600, 300, has_alpha=False, format="JPEG")),
    ],
    ids=lambda made: made.parameters if isinstance(made, LocalStep) else "",
)
def test_what_a_step_makes_is_known_before_it_is_made(made: LocalStep, after: Known) -> None:
    assert made.after(Known(600, 300, has_alpha=True, format="PNG", bytes=9)) == after


def test_a_broken_picture_is_an_error_of_the_item(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"no picture")
    with pytest.raises(ItemError):
        reshaped((fit(max_side=200),), tmp_path / "x.jpg", tmp_path / "out")


def test_steps_in_a_row_give_what_they_give_one_by_one(tmp_path: Path) -> None:
    source = picture(tmp_path, orientation=8)
    steps = [orient(), local("resize", max_side=100), local("pad", aspect_ratio="1:1", margin="10%", color="#fff")]
    at_once = reshaped(steps, source, tmp_path / "at-once")
    path = source
    for number, one in enumerate(steps):
        path = reshaped((one,), path, tmp_path / str(number))
    with Image.open(at_once) as first, Image.open(path) as second:
        assert first.size == second.size == (125, 125)
        assert first.getpixel((62, 62)) == second.getpixel((62, 62)) == (254, 0, 0)
        assert first.getpixel((0, 0)) == (255, 255, 255)


def test_history_is_told_by_parameters_and_not_by_bytes() -> None:
    once = fit(max_side=200).input_key(SOURCE)
    assert once == InputKey("source", SOURCE.value, (("fit", '{"max_side":200}', 1),))
    assert orient().input_key(once).since[-1] == ("orient", "{}", 1)
    assert once.described() == {
        "source": SOURCE.value,
        "local": [{"step": "fit", "parameters": '{"max_side":200}', "revision": 1}],
    }


@pytest.mark.parametrize(
    ("name", "fields", "parameters"),
    [
        ("orient", {}, "{}"),
        ("fit", {"max_side": 200, "max_bytes": "1KB"}, '{"max_bytes":1000,"max_side":200}'),
        ("resize", {"width": "80", "mode": "fit"}, '{"mode":"fit","width":80}'),
        ("trim", {"tolerance": "5%"}, '{"tolerance":0.05}'),
        (
            "pad",
            {"aspect_ratio": "1:1", "margin": "5.0 %", "color": "White"},
            '{"aspect_ratio":"1:1","color":"white","margin":"5%"}',
        ),
        ("pad", {"size": "80 x 90", "margin": "7px"}, '{"margin":7,"size":"80x90"}'),
        ("crop", {"left": 0, "width": "50%"}, '{"left":0,"width":"50%"}'),
        ("convert", {"format": "jpeg", "quality": 80.0}, '{"format":"jpeg","quality":80}'),
    ],
)
def test_parameters_are_what_was_written_in_one_spelling(name: str, fields: dict[str, object], parameters: str) -> None:
    """Results are found by them for years: a change here buys catalogues again."""
    assert local(name, **fields).parameters == parameters


def overlay(folder: Path, **fields: object) -> LocalStep:
    model = STEPS["overlay"].fields.model_validate({"file": "logo.png", **fields}, context={"folder": folder})
    made = build("overlay", "overlay", model)
    assert isinstance(made, LocalStep)
    return made


def test_a_logo_counts_by_its_content_and_not_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    here, there = overlay(tmp_path, opacity=0.5), overlay(tmp_path / "elsewhere", opacity="50%")
    assert here.unpinned == (tmp_path / "logo.png",)
    assert here.pinned({tmp_path / "logo.png": "a" * 64}).input_key(SOURCE) == there.pinned(
        {tmp_path / "elsewhere" / "logo.png": "a" * 64}
    ).input_key(SOURCE)
    changed = here.pinned({tmp_path / "logo.png": "b" * 64})
    assert json.loads(changed.parameters) == {"file": "b" * 64, "opacity": 0.5}
    assert changed.pinned({}) is changed


def test_a_history_without_the_content_of_the_logo_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not known"):
        overlay(tmp_path).input_key(SOURCE)
    with pytest.raises(KeyError):
        overlay(tmp_path).pinned({})
    assert orient().pinned({}) == orient()


def test_a_logo_is_found_beside_the_job_file(tmp_path: Path) -> None:
    Image.new("RGB", (30, 30), "blue").save(tmp_path / "logo.png")
    made = reshaped((overlay(tmp_path, position="center"),), picture(tmp_path), tmp_path / "out")
    with Image.open(made) as found:
        assert (found.getpixel((300, 150)), found.getpixel((200, 150))) == ((0, 0, 255), (254, 0, 0))


@pytest.mark.parametrize(
    ("made", "before", "after"),
    [
        (local("convert", format="jpeg"), "png", "jpg"),
        (local("convert", format="avif"), "jpg", "avif"),
        (local("pad", aspect_ratio="1:1", color="transparent"), "jpg", "png"),
        (local("pad", aspect_ratio="1:1", color="transparent"), "webp", "webp"),
        (local("pad", aspect_ratio="1:1"), "jpg", "jpg"),
        (local("trim"), "png", "png"),
    ],
)
def test_a_step_tells_which_extension_suits_its_picture(made: LocalStep, before: str, after: str) -> None:
    assert made.extension(before) == after


def test_what_fits_is_sent_as_it_is_and_what_does_not_is_fitted(tmp_path: Path) -> None:
    source = picture(tmp_path)
    assert sendable(source, tmp_path / "a", Limits(min_pixels=65_536))[0] == source
    fitted, facts = sendable(source, tmp_path / "b", Limits(max_pixels=45_000))
    assert fitted == tmp_path / "b"
    assert facts.size == imaging.probe(fitted).size == (300, 150)


def test_what_is_sent_went_through_its_local_steps_and_was_encoded_once(tmp_path: Path) -> None:
    source, limits = picture(tmp_path, orientation=6), Limits(min_pixels=65_536)
    path, facts = sendable(source, tmp_path / "a", limits, [orient(), fit(max_side=600)])
    assert (path, facts.size, facts.format) == (tmp_path / "a", (300, 600), "JPEG")
    path, facts = sendable(source, tmp_path / "b", limits, [local("pad", aspect_ratio="1:1")])
    assert (facts.size, facts.format, facts) == ((600, 600), "JPEG", imaging.probe(path))
    assert {file.name for file in tmp_path.iterdir()} == {"in.jpg", "a", "b"}


def test_an_encoding_that_was_asked_for_is_sent_as_it_is(tmp_path: Path) -> None:
    path, facts = sendable(picture(tmp_path), tmp_path / "a", Limits(), [local("convert", format="webp", quality=3)])
    assert (path, facts.format, facts) == (tmp_path / "a", "WEBP", imaging.probe(tmp_path / "a"))
    assert {file.name for file in tmp_path.iterdir()} == {"in.jpg", "a"}
    path, facts = sendable(picture(tmp_path), tmp_path / "b", Limits(), [local("convert", format="avif")])
    assert (path, facts.format) == (tmp_path / "b", "JPEG")


def test_what_is_too_small_is_refused_and_never_enlarged(tmp_path: Path) -> None:
    with pytest.raises(ItemError) as caught:
        sendable(picture(tmp_path, (100, 100)), tmp_path / "out", Limits(min_pixels=65_536))
    assert caught.value.code == "too-small"
    assert caught.value.lasting
    with pytest.raises(ItemError, match="10,000 pixels"):
        sendable(
            picture(tmp_path),
            tmp_path / "out",
            Limits(min_pixels=65_536),
            [local("resize", width=100, height=100, mode="fill")],
        )
    assert not (tmp_path / "out").exists()


def test_a_finished_file_went_through_its_local_steps(tmp_path: Path) -> None:
    steps = [orient(), local("pad", size="200x200", margin="10%", color="white")]
    with renderer(steps, picture(tmp_path), tmp_path / "work", several=False) as write:
        facts = write(tmp_path / "out", Rendition("WEBP", max_side=100))
    assert (facts.format, facts.size) == ("WEBP", (100, 100))
