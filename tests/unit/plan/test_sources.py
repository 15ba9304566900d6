"""Reading the inputs: patterns, prompts files and address lists, and what is said when they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.plan.conftest import Bench
from venice_batch.errors import OutputError, SourceError
from venice_batch.plan.globs import glob
from venice_batch.plan.model import Candidate
from venice_batch.plan.reading.sources import candidates, refuse_overlap

GENERATE = "generate: {model: z-image-turbo}"


def from_prompts(bench: Bench, text: str | bytes, name: str = "p.csv") -> list[Candidate]:
    (bench.folder / name).write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return list(candidates(bench.job(GENERATE, source=f"{{prompts: {name}}}")))


def from_urls(bench: Bench, text: str) -> list[Candidate]:
    (bench.folder / "u.txt").write_text(text, "utf-8")
    return list(candidates(bench.job("background-remove", source="{urls: u.txt}")))


def complaint(caught: pytest.ExceptionInfo[SourceError]) -> str:
    assert caught.value.remedy
    return caught.value.message


# Folders


@pytest.mark.parametrize(
    ("pattern", "taken", "left"),
    [
        ("*.jpg", ["a.jpg", ".jpg"], ["x/a.jpg", "a.JPG", "a.jpg.bak"]),
        ("**/*.jpg", ["a.jpg", "x/a.jpg", "x/y/a.jpg"], ["a.png"]),
        ("x/**", ["x/a", "x/y/z"], ["x", "y/x/a"]),
        ("x/**/a.?pg", ["x/a.jpg", "x/y/z/a.jpg"], ["x/a.jpeg", "a.jpg"]),
        ("[ab].png", ["a.png", "b.png"], ["c.png", "ab.png"]),
        ("[!a].png", ["b.png"], ["a.png"]),
        ("a+b(1).png", ["a+b(1).png"], ["aab1.png"]),
        ("**/_drafts/**", ["_drafts/a", "x/_drafts/y/z"], ["x/drafts/a"]),
        ("line*", ["line\nbreak"], ["line/break"]),
    ],
)
def test_a_pattern_takes_what_it_says(pattern: str, taken: list[str], left: list[str]) -> None:
    test = glob(pattern)
    assert [key for key in [*taken, *left] if test(key)] == taken


def test_without_a_pattern_whatever_can_be_read_is_taken(bench: Bench) -> None:
    for key in ("a.JPG", "b.webp", "c.txt", "d", "sub/e.tiff", ".hidden.png", "f.svg"):
        (bench.folder / "in" / key).parent.mkdir(exist_ok=True)
        (bench.folder / "in" / key).write_bytes(b"x")
    assert [found.key for found in candidates(bench.job("upscale"))] == ["a.JPG", "b.webp", "sub/e.tiff"]


def test_exclude_wins_over_include(bench: Bench) -> None:
    for key in ("a.png", "b.png", "_drafts/c.png"):
        bench.picture(key)
    source = "{path: ./in, include: ['**/*.png'], exclude: ['**/_drafts/**', 'b*']}"
    assert [found.key for found in candidates(bench.job("upscale", source=source))] == ["a.png"]


def test_a_missing_folder_is_a_source_error(bench: Bench) -> None:
    with pytest.raises(SourceError, match="no such folder"):
        list(candidates(bench.job("upscale", source="./gone")))


# Prompts


def test_rows_become_items_named_by_their_id(bench: Bench) -> None:
    rows = from_prompts(bench, 'id,prompt, seed\nr1,"a cat, sleeping",7\n r2 ,"two\nlines",\n')
    assert [row.key for row in rows] == ["r1", "r2"]
    assert rows[0].columns == {"id": "r1", "prompt": "a cat, sleeping", "seed": "7"}
    assert rows[1].columns["prompt"] == "two\nlines"


def test_a_row_has_a_new_version_when_it_changes(bench: Bench) -> None:
    (one,) = from_prompts(bench, "id,prompt\nr1,a cat\n")
    (same,) = from_prompts(bench, "prompt,id\na cat,r1\n")
    (other,) = from_prompts(bench, "id,prompt\nr1,a dog\n")
    assert one.version == same.version != other.version


def test_a_spreadsheets_byte_order_mark_and_line_ends_are_no_trouble(bench: Bench) -> None:
    rows = from_prompts(bench, b"\xef\xbb\xbfid,prompt\r\nr1,caf\xc3\xa9\r\n\r\nr2,x\r\n")
    assert [(row.key, row.columns["prompt"]) for row in rows] == [("r1", "café"), ("r2", "x")]


@pytest.mark.parametrize("odd", ["\u2028", "\u0085", "\x0c", "\x1c"])
def test_letters_that_only_look_like_line_ends_end_no_row(bench: Bench, odd: str) -> None:
    (row,) = from_prompts(bench, f"id,prompt\nr1,a{odd}b\n")
    assert row.columns["prompt"] == f"a{odd}b"
    if odd in {"\u2028", "\u0085"}:  # the others JSON itself does not allow in a text
        (row,) = from_prompts(bench, f'{{"id": "r1", "prompt": "a{odd}b"}}\n', "p.jsonl")
        assert row.columns["prompt"] == f"a{odd}b"


def test_json_lines_give_the_same_items(bench: Bench) -> None:
    text = '{"id": 1, "prompt": "p", "seed": 7, "safe_mode": false, "steps": null}\n\n{"id": "b", "prompt": "q"}\n'
    rows = from_prompts(bench, text, "p.jsonl")
    assert [row.key for row in rows] == ["1", "b"]
    assert rows[0].columns == {"id": "1", "prompt": "p", "seed": "7", "safe_mode": "false"}


@pytest.mark.parametrize(
    ("text", "name", "place"),
    [
        ("", "p.csv", "p.csv:1:"),
        ("id,text\n1,x\n", "p.csv", "p.csv:1:"),
        ("prompt\nx\n", "p.csv", "p.csv:1:"),
        ("id,prompt\n1,x\n2,a,b\n", "p.csv", "p.csv:3:"),
        ("id,prompt\n1,x\n2\n", "p.csv", "p.csv:3:"),
        ("id,prompt\n1,x\n,y\n", "p.csv", "p.csv:3:"),
        ('id,prompt\n1,"x\n', "p.csv", "p.csv:2:"),
        ('id,prompt\n1,x\n2,"y"z\n', "p.csv", "p.csv:3:"),
        ('{"id": "1", "prompt": "x"}\n{"id": "2"\n', "p.jsonl", "p.jsonl:2:"),
        ('{"id": "1", "prompt": "x"}\n["2", "y"]\n', "p.ndjson", "p.ndjson:2:"),
        ('{"id": "1", "prompt": "x"}\n\n{"prompt": "y"}\n', "p.jsonl", "p.jsonl:3:"),
    ],
)
def test_a_broken_row_is_named_by_file_and_line(bench: Bench, text: str, name: str, place: str) -> None:
    with pytest.raises(SourceError) as caught:
        from_prompts(bench, text, name)
    assert place in complaint(caught)


def test_an_id_that_stands_there_twice_is_refused(bench: Bench) -> None:
    with pytest.raises(SourceError, match="'r1' stands there twice") as caught:
        from_prompts(bench, "id,prompt\nr1,a\nr2,b\nr1,c\n")
    assert "p.csv" in complaint(caught)


def test_a_file_that_is_missing_or_no_text_is_named(bench: Bench) -> None:
    with pytest.raises(SourceError, match=r"cannot read .*gone\.csv"):
        list(candidates(bench.job(GENERATE, source="{prompts: gone.csv}")))
    with pytest.raises(SourceError, match="not UTF-8") as caught:
        from_prompts(bench, b"id,prompt\n1,caf\xe9\n")
    assert "p.csv" in complaint(caught)


# Addresses


def test_addresses_become_items_named_by_host_and_path(bench: Bench) -> None:
    found = from_urls(bench, "# shop\nhttps://a.example/x/1.jpg?v=2\n\n  https://b.example/caf%C3%A9.png  \n")
    assert [(each.key, each.url) for each in found] == [
        ("a.example/x/1.jpg", "https://a.example/x/1.jpg?v=2"),
        ("b.example/café.png", "https://b.example/caf%C3%A9.png"),
    ]
    assert len({each.version for each in found}) == 2


@pytest.mark.parametrize(
    "line", ["http://a.example/x", "ftp://a/x", "a.png", "https://", "https://user:pw@a.example/x"]
)
def test_an_address_that_cannot_be_used_is_named_by_line(bench: Bench, line: str) -> None:
    with pytest.raises(SourceError) as caught:
        from_urls(bench, f"https://a.example/1\n{line}\n")
    assert "u.txt:2:" in complaint(caught)
    assert Path("u.txt").name in complaint(caught)


def test_addresses_that_would_share_a_name_are_refused(bench: Bench) -> None:
    with pytest.raises(SourceError, match="twice"):
        from_urls(bench, "https://a.example/x?1\nhttps://a.example/x?2\n")


def test_half_a_character_is_refused_with_its_line(bench: Bench) -> None:
    rows = '{"id": "a", "prompt": "p"}\n{"id": "b\\ud800", "prompt": "p"}\n'
    with pytest.raises(SourceError, match=r"p\.jsonl:2: holds half a character"):
        from_prompts(bench, rows, "p.jsonl")


# Folders within folders


@pytest.mark.parametrize(
    ("source", "output"), [("./a", "./a/out"), ("./a", "./a"), ("./a/in", "./a"), ("./a", "./b/../a/x")]
)
def test_output_and_source_may_not_lie_within_one_another(bench: Bench, source: str, output: str) -> None:
    with pytest.raises(OutputError) as caught:
        refuse_overlap(bench.job("upscale", source=source, output=output))
    assert caught.value.remedy
    refuse_overlap(bench.job("upscale", source=source, output=f"{output}/../../elsewhere"))


def test_a_state_within_the_source_is_refused(bench: Bench) -> None:
    with pytest.raises(OutputError, match=r"state .* lies inside the source"):
        refuse_overlap(bench.job("upscale", source="./state/..", output="../elsewhere"))


def test_a_link_does_not_hide_that_one_lies_within_the_other(bench: Bench) -> None:
    (bench.folder / "out").symlink_to("in/finished")
    with pytest.raises(OutputError):
        refuse_overlap(bench.job("upscale"))
