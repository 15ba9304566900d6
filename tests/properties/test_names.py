"""Whatever an input is called, its finished file stays within the output and can be written."""

from __future__ import annotations

import os
import unicodedata
from pathlib import PurePosixPath

from hypothesis import example, given
from hypothesis import strategies as st

from venice_batch.errors import ItemError
from venice_batch.job.renditions import RenditionSpec
from venice_batch.plan.naming import collision_key, finished_name

#: Text that is likely to hurt, mixed with anything that Unicode has (also half characters, as from broken file names).
_WORDS = st.sampled_from(
    ["..", ".", "/", "//", "\\", "con", "NUL", "~", "-rf", ".vb-", ".venice-batch", "{dir}", "{", "%s", " ", "é"]
)
KEYS = st.lists(st.one_of(_WORDS, st.text(st.characters(), max_size=8)), max_size=8).map("".join)
TEMPLATES = st.sampled_from(
    [
        "{dir}/{stem}.{ext}",
        "{stem}.{ext}",
        "web/{dir}/{stem}-{variant}.{ext}",
        "{dir}/{stem}/x.{ext}",
        "{dir}{stem}.{ext}",
    ]
)
FORMATS = {"png": "png", "jpg": "jpeg", "webp": "webp"}
EXTENSIONS = st.sampled_from(list(FORMATS))


def name_of(template: str, key: str, variant: int, extension: str) -> str | None:
    try:
        return finished_name(template, key, variant, extension)
    except ItemError:
        return None


@given(TEMPLATES, KEYS, st.integers(0, 4), EXTENSIONS)
@example("{dir}/{stem}.{ext}", "../../etc/passwd", 0, "png")
@example("{dir}/{stem}.{ext}", "/etc/passwd", 0, "png")
@example("{dir}{stem}.{ext}", "..", 0, "png")
@example("{dir}/{stem}.{ext}", "", 0, "png")
def test_a_name_never_leaves_the_output(template: str, key: str, variant: int, extension: str) -> None:
    name = name_of(template, key, variant, extension)
    if name is None:
        return  # refused: it can leave nothing
    assert not name.startswith("/")
    assert os.path.normpath(f"/out/{name}") == f"/out/{name}"
    assert all(0 < len(part.encode()) <= 255 for part in name.split("/"))
    assert name.endswith(f".{extension}")
    assert not any(unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"} for letter in name)
    assert not name.split("/")[0].startswith((".vb-", ".venice-batch"))


@given(TEMPLATES, KEYS, st.integers(0, 4), EXTENSIONS)
def test_a_name_can_be_made_again(template: str, key: str, variant: int, extension: str) -> None:
    assert name_of(template, key, variant, extension) == name_of(template, key, variant, extension)


@given(st.lists(st.integers(1, 4), min_size=2, max_size=4, unique=True), st.text("abc/", min_size=1, max_size=6))
def test_variants_of_one_row_never_share_a_file(variants: list[int], key: str) -> None:
    names = [name_of("{dir}/{stem}.{ext}", key, variant, "png") for variant in variants]
    made = [name for name in names if name is not None]
    assert len(set(made)) == len(made)


def rendition(suffix: str, extension: str) -> RenditionSpec:
    return RenditionSpec.model_validate({"suffix": suffix, "format": FORMATS[extension]})


SUFFIXES = st.text("ab-._@+=AB9", max_size=5)
SPECS = st.lists(st.builds(rendition, SUFFIXES, EXTENSIONS), min_size=2, max_size=4)


@given(TEMPLATES, KEYS, st.integers(0, 4), SPECS)
def test_names_of_renditions_stay_within_the_output_and_collide_only_where_the_job_is_refused(
    template: str, key: str, variant: int, specs: list[RenditionSpec]
) -> None:
    names = {spec: name_of(spec.template(template), key, variant, spec.extension) for spec in specs}
    written = {spec: name for spec, name in names.items() if name is not None}
    assert all(os.path.normpath(f"/out/{name}") == f"/out/{name}" for name in written.values())
    assert len({PurePosixPath(name).parent for name in written.values()}) <= 1
    told_apart = {spec.template("x.{ext}").replace("{ext}", spec.extension).casefold() for spec in written}
    assert len({collision_key(name) for name in written.values()}) == len(told_apart)


@given(st.text())
def test_a_name_collides_with_itself_in_any_unicode_form(name: str) -> None:
    assert collision_key(unicodedata.normalize("NFD", name)) == collision_key(unicodedata.normalize("NFC", name))
    assert collision_key(name) == collision_key(unicodedata.normalize("NFC", name))


@given(st.text("abcABC/.éÉß日", max_size=10))
def test_a_name_collides_with_itself_in_any_case(name: str) -> None:
    assert collision_key(name.lower()) == collision_key(name)
    assert PurePosixPath(collision_key(name)).parts == tuple(part.casefold() for part in PurePosixPath(name).parts)
