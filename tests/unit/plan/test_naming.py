"""Names of finished files: what the template makes of a key, and what is refused."""

from __future__ import annotations

import pytest

from venice_batch.errors import ItemError
from venice_batch.plan.naming import collision_key, finished_name

DEFAULT = "{dir}/{stem}.{ext}"


@pytest.mark.parametrize(
    ("template", "key", "variant", "name"),
    [
        (DEFAULT, "a.jpg", 0, "a.png"),
        (DEFAULT, "x/y/a.jpg", 0, "x/y/a.png"),
        (DEFAULT, "archive.tar.gz", 0, "archive.tar.png"),
        (DEFAULT, "noextension", 0, "noextension.png"),
        (DEFAULT, "row 7", 3, "row 7-3.png"),
        (DEFAULT, "a.jpg", 2, "a-2.png"),
        ("{stem}.{ext}", "x/y/a.jpg", 0, "a.png"),
        ("web/{dir}/{stem}-w.{ext}", "a.jpg", 0, "web/a-w.png"),
        ("web/{dir}/{stem}.{ext}", "x/a.jpg", 0, "web/x/a.png"),
        ("{dir}/{stem}/{variant}.{ext}", "a", 2, "a-2/2.png"),
        (DEFAULT, "{stem}{dir}.jpg", 0, "{stem}{dir}.png"),
        (DEFAULT, "-rf.jpg", 0, "-rf.png"),
        (DEFAULT, "ünï 日本.jpg", 0, "ünï 日本.png"),
    ],
)
def test_a_name_is_made_from_the_template(template: str, key: str, variant: int, name: str) -> None:
    assert finished_name(template, key, variant, "png") == name


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("../a.jpg", "leaves the output"),
        ("x/../../a.jpg", "leaves the output"),
        ("/etc/passwd", "leaves the output"),
        ("//a", "leaves the output"),
        ("a\nb.jpg", "line break"),
        ("a\x00b.jpg", "control character"),
        ("a\x1b[2J.jpg", "control character"),
        ("a\u2028b.jpg", "line break"),
        ("a\udce9.jpg", "control character"),
        ("x" * 252 + ".jpg", "255 bytes"),
        ("日" * 84 + ".jpg", "255 bytes"),
        ("con.jpg", "device"),
        ("x/LPT1.tar.gz", "device"),
        ("aux /a.jpg", "device"),
        (".vb-0123456789abcdef/a.jpg", "kept for this tool"),
        (".venice-batch/job/a.jpg", "kept for this tool"),
    ],
)
def test_an_unsafe_name_is_refused_with_the_reason(key: str, why: str) -> None:
    with pytest.raises(ItemError, match=why) as caught:
        finished_name(DEFAULT, key, 0, "png")
    assert caught.value.code == "name"
    assert caught.value.lasting
    assert caught.value.remedy


def test_the_longest_name_that_fits_is_taken() -> None:
    assert len(finished_name(DEFAULT, "x" * 251, 0, "png")) == 255


@pytest.mark.parametrize(("one", "other"), [("A/b.PNG", "a/B.png"), ("caf\u00e9", "cafe\u0301"), ("straße", "STRASSE")])
def test_names_that_some_system_takes_for_one_file_collide(one: str, other: str) -> None:
    assert collision_key(one) == collision_key(other)


def test_other_names_do_not_collide() -> None:
    assert len({collision_key(name) for name in ("a.png", "a.jpg", "b/a.png", "a-1.png", "á.png")}) == 5
