"""The store of paid answers: whole or absent at every instant, never changed, never lost."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.state.conftest import FACTS
from venice_batch.errors import ItemError, ResultLost
from venice_batch.state import AnswerSetAside, FolderResults
from venice_batch.storage import sweep_stale

ROOT = Path(__file__).parents[3]
KEY = "ab" + "0" * 62


@pytest.fixture
def results(tmp_path: Path) -> FolderResults:
    return FolderResults(tmp_path)


def keep(results: FolderResults, key: str = KEY, content: bytes = b"picture") -> None:
    file = results.incoming(key)
    file.write_bytes(content)
    results.keep(key, file, FACTS)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_what_was_not_bought_is_not_found(results: FolderResults) -> None:
    assert results.find(KEY) is None
    assert list(results.keys()) == []


def test_an_answer_arrives_in_the_folder_where_it_will_stay(results: FolderResults, tmp_path: Path) -> None:
    assert results.incoming(KEY).parent == tmp_path / "ab"
    assert results.incoming(KEY) != results.incoming(KEY)


def test_a_kept_answer_is_found_with_its_facts(results: FolderResults, tmp_path: Path) -> None:
    file = results.incoming(KEY)
    file.write_bytes(b"picture")
    kept = results.keep(KEY, file, FACTS)
    assert kept == results.find(KEY)
    assert results.bytes(KEY, tmp_path / "spare") == tmp_path / "ab" / KEY
    assert (tmp_path / "ab" / KEY).read_bytes() == b"picture"
    assert kept.facts == {**FACTS, "bytes": 7}
    assert not kept.judged
    assert kept.flags == ()
    assert names(tmp_path) == {KEY, f"{KEY}.json"}


def test_an_answer_that_is_not_committed_is_not_found(results: FolderResults) -> None:
    results.incoming(KEY).write_bytes(b"half")
    assert results.find(KEY) is None
    assert list(results.keys()) == []


def test_a_verdict_joins_the_facts_and_keeps_them(results: FolderResults) -> None:
    keep(results)
    found = results.find(KEY)
    assert found is not None
    event = results.note_verdict(found, {"facts": None, "flags": ["blurred", "blank"]})
    noted = results.find(KEY)
    assert noted is not None
    assert event.key == KEY
    assert json.loads(event.facts) == noted.facts
    assert noted.judged
    assert noted.flags == ("blurred", "blank")
    assert noted.facts["price_usd"] == "0.02"
    assert noted.facts["bytes"] == 7


def test_variants_of_one_call_lie_side_by_side(results: FolderResults, tmp_path: Path) -> None:
    for number in range(3):
        keep(results, f"{KEY}.{number}", bytes([number]))
    assert sorted(results.keys()) == [f"{KEY}.0", f"{KEY}.1", f"{KEY}.2"]
    assert results.bytes(f"{KEY}.1", tmp_path / "spare").read_bytes() == b"\x01"
    assert results.find(KEY) is None


def test_answers_that_are_no_pictures_are_kept_for_support(results: FolderResults, tmp_path: Path) -> None:
    for number, content in enumerate((b"first", b"second"), 1):
        keep(results, content=content)
        found = results.find(KEY)
        assert found is not None
        assert results.set_aside(found) == AnswerSetAside(KEY, number)
        assert (tmp_path / "ab" / f"{KEY}.bad-{number}").read_bytes() == content
        assert results.find(KEY) is None
    assert {f"{KEY}.bad-1", f"{KEY}.bad-2"} <= names(tmp_path)
    assert list(results.keys()) == []
    keep(results, content=b"third")
    assert list(results.keys()) == [KEY]


def test_what_was_kept_first_stays(results: FolderResults, tmp_path: Path) -> None:
    keep(results, content=b"first")
    again = results.incoming(KEY)
    again.write_bytes(b"another")
    assert results.keep(KEY, again, {"price_usd": "9"}).facts["price_usd"] == "0.02"
    assert (tmp_path / "ab" / KEY).read_bytes() == b"first"
    assert names(tmp_path) == {KEY, f"{KEY}.json"}


@pytest.mark.parametrize("damage", ["shorter", "no-facts", "broken-facts", "other-facts"])
def test_a_damaged_result_is_neither_taken_for_absent_nor_for_whole(
    results: FolderResults, tmp_path: Path, damage: str
) -> None:
    keep(results)
    place, facts = tmp_path / "ab" / KEY, tmp_path / "ab" / f"{KEY}.json"
    if damage == "shorter":
        place.write_bytes(b"pic")
    elif damage == "no-facts":
        facts.unlink()
    else:
        facts.write_text('{"price' if damage == "broken-facts" else "[]")
    assert results.find(KEY) is not None
    with pytest.raises(ResultLost, match="is damaged") as caught:
        results.bytes(KEY, tmp_path / "spare")
    assert (caught.value.code, caught.value.key, caught.value.lasting) == ("result-damaged", KEY, False)
    assert "again" in caught.value.remedy
    results.discard(KEY)
    assert results.find(KEY) is None
    assert f"{KEY}.bad-1" in names(tmp_path)


def test_a_flipped_bit_is_seen_by_the_hash(results: FolderResults, tmp_path: Path) -> None:
    file = results.incoming(KEY)
    file.write_bytes(b"picture")
    results.keep(KEY, file, {**FACTS, "sha256": hashlib.sha256(b"picture").hexdigest()})
    assert results.bytes(KEY, tmp_path / "spare").read_bytes() == b"picture"
    (tmp_path / "ab" / KEY).write_bytes(b"pictuse")
    with pytest.raises(ResultLost, match="is damaged"):
        results.bytes(KEY, tmp_path / "spare")


def test_a_result_that_somebody_removed_is_told_from_one_that_is_damaged(
    results: FolderResults, tmp_path: Path
) -> None:
    keep(results)
    (tmp_path / "ab" / KEY).unlink()
    assert results.find(KEY) is None
    with pytest.raises(ItemError, match="was removed") as caught:
        results.bytes(KEY, tmp_path / "spare")
    assert (caught.value.code, caught.value.lasting) == ("result-gone", False)


def test_the_manifest_needs_no_headers(results: FolderResults) -> None:
    file = results.incoming(KEY)
    file.write_bytes(b"picture")
    kept = results.keep(KEY, file, {**FACTS, "headers": {"server": "x" * 5000}})
    assert kept.facts["headers"]["server"]
    assert "headers" not in json.loads(results.note_verdict(kept, {"flags": []}).facts)


def test_a_bad_answer_is_remembered(results: FolderResults) -> None:
    assert not results.was_set_aside(KEY)
    keep(results)
    found = results.find(KEY)
    assert found is not None
    results.set_aside(found)
    assert results.was_set_aside(KEY)
    assert not results.was_set_aside("ab" + "1" * 62)


_KILLED = """
import os, sys
from pathlib import Path
from venice_batch.state import FolderResults
root, key, countdown, calls = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), 0
def dying(real):
    def call(*args, **kwargs):
        global calls
        calls += 1
        if calls == countdown:
            os.kill(os.getpid(), 9)
        return real(*args, **kwargs)
    return call
results = FolderResults(root)
file = results.incoming(key)
file.write_bytes(b"picture" * 1000)
for name in ("fsync", "replace", "rename", "unlink", "open"):
    setattr(os, name, dying(getattr(os, name)))
kept = results.keep(key, file, {"price_usd": "0.02"})
print("kept", flush=True)
results.note_verdict(kept, {"flags": []})
print("judged", flush=True)
"""


@pytest.mark.slow
def test_a_kill_at_any_write_leaves_a_whole_result_or_none(tmp_path: Path) -> None:
    seen = set[str]()
    for countdown in range(1, 30):
        root = tmp_path / str(countdown)
        done = subprocess.run(
            [sys.executable, "-c", _KILLED, str(root), KEY, str(countdown)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
        )
        sweep_stale(root)
        found = FolderResults(root).find(KEY)
        if found is None:
            # Before the rename nothing counts, whatever lies beside it.
            assert done.stdout == ""
            assert list(FolderResults(root).keys()) == []
        else:
            assert FolderResults(root).bytes(KEY, root / "spare").read_bytes() == b"picture" * 1000
            assert found.facts["price_usd"] == "0.02"
            assert found.facts["bytes"] == 7000
        assert names(root) <= {KEY, f"{KEY}.json"}
        seen.add("none" if found is None else "judged" if found.judged else "kept")
        if done.stdout.endswith("judged\n"):
            break
        assert done.returncode == -9, done.stderr
    assert seen == {"none", "kept", "judged"}


def test_the_facts_are_plain_json_with_sorted_names(results: FolderResults, tmp_path: Path) -> None:
    keep(results)
    text = (tmp_path / "ab" / f"{KEY}.json").read_text("utf-8")
    assert text == json.dumps({**FACTS, "bytes": 7}, sort_keys=True)
