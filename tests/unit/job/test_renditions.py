"""`output.renditions`: what is read from it, and what is refused with its place."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from venice_batch.imaging import Rendition
from venice_batch.job import Job

Loader = Callable[..., Job]
Complaints = Callable[..., list[str]]

HEAD = "version: 1\nname: a\nsource: ./in\nsteps: [upscale]\noutput:\n  path: ./out\n"
LIST = HEAD + "  renditions:\n"


def test_without_renditions_there_is_one_file_as_the_last_step_left_it(job: Loader) -> None:
    assert job(HEAD).output.renditions == ()


def test_every_option_is_read(job: Loader) -> None:
    text = (
        LIST
        + "    - {format: jpeg, quality: 88, max_side: 2000, max_bytes: 5KB, progressive: false, background: '#fff'}\n"
        + "    - {suffix: -thumb, format: webp, max_side: '320', metadata: keep}\n"
        + "    - {suffix: 2, format: png}\n"
    )
    main, thumb, plain = job(text).output.renditions
    assert (main.suffix, main.extension) == ("", "jpg")
    assert main.rendition == Rendition("JPEG", 88, 2000, 5_000, progressive=False, background=(255, 255, 255))
    assert (thumb.suffix, thumb.extension) == ("-thumb", "webp")
    assert thumb.rendition == Rendition("WEBP", max_side=320, keep_metadata=True)
    assert (plain.suffix, plain.rendition) == ("2", Rendition("PNG"))


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("{dir}/{stem}.{ext}", "{dir}/{stem}-s.{ext}"),
        ("{stem}", "{stem}-s"),
        ("{dir}/{stem}/large.{ext}", "{dir}/{stem}/large-s.{ext}"),
        ("v1.2/{stem}", "v1.2/{stem}-s"),
        ("{stem}-web.png", "{stem}-web-s.png"),
    ],
)
def test_the_suffix_stands_before_the_extension(job: Loader, name: str, made: str) -> None:
    (spec,) = job(LIST + "    - {suffix: -s, format: png}\n").output.renditions
    assert spec.template(name) == made


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("{suffix: -a}", "8:7: output.renditions[0].format is missing; write format: ..."),
        (
            "{format: gif}",
            '8:16: output.renditions[0].format: "gif" is not offered; write jpeg, png, webp or avif',
        ),
        (
            "{format: jpeg, qualty: 8}",
            '8:22: unknown key "qualty"; did you mean quality?',
        ),
        (
            "{format: png, quality: 90}",
            (
                "8:30: output.renditions[0].quality: png loses nothing and has no quality;"
                " remove it, or write webp or jpeg"
            ),
        ),
        (
            "{format: webp, progressive: true}",
            "8:35: output.renditions[0].progressive: only jpeg can be progressive, not webp; remove it",
        ),
        (
            "{format: webp, background: white}",
            (
                "8:34: output.renditions[0].background: webp keeps transparency, so no background shows;"
                " remove it, or add a step - flatten: {color: ...}"
            ),
        ),
        (
            "{format: jpeg, suffix: ../up}",
            (
                '8:30: output.renditions[0].suffix: "../up" cannot be part of a file\'s name;'
                " write up to 64 of a-z, A-Z, 0-9 and . _ @ + = -"
            ),
        ),
        (
            "{format: jpeg, quality: 101}",
            "8:31: output.renditions[0].quality: 101 is out of range; write a number of at most 100",
        ),
        ("jpeg", '8:7: output.renditions[0]: "jpeg" where a mapping is expected; write {key: value}'),
    ],
)
def test_a_rendition_that_cannot_be_made_is_refused_with_its_place(
    complaints: Complaints, entry: str, complaint: str
) -> None:
    assert complaints(LIST + f"    - {entry}\n") == [f"/jobs/a.yaml:{complaint}"]


def test_an_empty_list_is_refused(complaints: Complaints) -> None:
    assert complaints(HEAD + "  renditions: []\n") == [
        "/jobs/a.yaml:7:15: output.renditions: the list is empty; write at least one, or remove it"
    ]


@pytest.mark.parametrize("second", ["{format: jpeg, max_side: 9}", "{suffix: '', format: jpeg}"])
def test_two_renditions_of_one_name_are_refused(complaints: Complaints, second: str) -> None:
    assert complaints(LIST + f"    - {{format: jpeg}}\n    - {second}\n") == [
        (
            "/jobs/a.yaml:9:7: output.renditions[1]: {dir}/{stem}.jpg is the name of rendition 0, too (counted from 0);"
            " give one of them a suffix, such as -small"
        )
    ]


def test_names_that_differ_in_case_only_are_one_name(complaints: Complaints) -> None:
    (found,) = complaints(LIST + "    - {suffix: -A, format: png}\n    - {suffix: -a, format: png}\n")
    assert found.startswith("/jobs/a.yaml:9:7: ")


def test_two_formats_are_two_names(job: Loader) -> None:
    assert len(job(LIST + "    - {format: jpeg}\n    - {format: webp}\n").output.renditions) == 2


def test_a_name_without_an_extension_does_not_tell_two_formats_apart(complaints: Complaints) -> None:
    (found,) = complaints(HEAD + "  name: '{stem}'\n  renditions: [{format: jpeg}, {format: webp}]\n")
    assert "{stem} is the name of rendition 0, too" in found


def test_a_name_that_promises_another_format_is_refused(complaints: Complaints) -> None:
    assert complaints(HEAD + "  name: '{stem}.png'\n  renditions: [{format: jpeg}]\n") == [
        "/jobs/a.yaml:8:25: output.renditions[0].format: the output's name ends in .png, and this is jpeg; write .{ext}"
    ]


def test_a_value_from_the_command_line_takes_the_place_of_the_files(job: Loader) -> None:
    loaded = job(LIST + "    - {format: jpeg}\n", overrides=["output.renditions.0.quality=70"])
    assert loaded.output.renditions[0].rendition.quality == 70
