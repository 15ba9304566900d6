"""The files of a report: there after any night, true to the state, and harmless whatever they hold."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from tests.unit.report.nights import HOSTILE, STEPS, Night, mixed, night
from venice_batch.report.page import render
from venice_batch.report.page_payload import embedded
from venice_batch.report.summary import OUTCOMES
from venice_batch.state import to_read


def failures(happening: Night) -> list[dict[str, str]]:
    with (happening.folder / "failures.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def summary(happening: Night) -> dict[str, object]:
    found = json.loads((happening.folder / "summary.json").read_text("utf-8"))
    assert isinstance(found, dict)
    return found


def test_a_state_that_does_not_exist_yet_has_a_report(tmp_path: Path) -> None:
    with to_read(tmp_path / "nowhere") as state:
        happening = Night(tmp_path, state)
        page = happening.report().read_text("utf-8")
    assert "Nothing here yet" in page
    assert "No run yet." in page
    assert summary(happening)["run"] is None
    assert failures(happening) == []


def test_a_run_under_way_or_killed_has_a_report(happening: Night) -> None:
    happening.begin()
    happening.item("a.png", "running")
    page = happening.report().read_text("utf-8")
    assert "Under way, or killed" in page
    assert "0 of 1 items are done" in page


@pytest.mark.parametrize("code", sorted(OUTCOMES))
def test_every_end_of_a_run_is_told_in_words_with_its_cause(happening: Night, code: int) -> None:
    happening.begin()
    happening.item("a.png", "waiting")
    happening.end(code)
    page = happening.report(cause="because of <this>").read_text("utf-8")
    assert OUTCOMES[code] in page  # type: ignore[index]  # an IntEnum's values are its keys
    assert "because of &lt;this&gt;" in page


def test_a_code_of_a_later_version_is_told_as_it_is(happening: Night) -> None:
    happening.begin()
    happening.end(99)
    assert "Ended with exit code 99." in render(happening.gather())


def test_a_good_night_says_so(happening: Night) -> None:
    happening.begin()
    happening.item("a.png", "done", steps=STEPS)
    happening.item("b.png", "done", steps=STEPS)
    happening.item("gone.png", "vanished")
    happening.end(0)
    page = happening.report().read_text("utf-8")
    assert "All 2 items are done" in page
    assert "Finished: everything is done." in page


@pytest.mark.slow
def test_the_summary_has_the_figures_of_the_ledger(happening: Night) -> None:
    mixed(happening)
    happening.report(cause="no money")
    found = summary(happening)
    assert found["items"] == {
        "pending": 0,
        "running": 0,
        "done": 25,
        "failed": 2,
        "waiting": 1,
        "invalid": 1,
        "flagged": 2,
        "uncertain": 1,
        "vanished": 0,
        "total": 32,
        "to_look_at": 6,
    }
    run = found["run"]
    assert isinstance(run, dict)
    assert run["calls"] == {"answered": 42, "uncertain": 1, "refused": 1}
    assert (run["spent"], run["uncertain"], run["exit_code"], run["cause"]) == ("5.26", "0.23", 5, "no money")
    assert run["latency_seconds"] == {"p50": 4.0, "p95": 6.0}
    in_all = found["in_all"]
    assert isinstance(in_all, dict)
    assert (in_all["spent"], in_all["uncertain"]) == ("6.82", "0.23")


@pytest.mark.slow
def test_failures_are_listed_by_state_with_the_request_to_ask_support_about(happening: Night) -> None:
    mixed(happening)
    happening.report()
    rows = failures(happening)
    states = [row["state"] for row in rows]
    assert states == ["failed", "failed", "invalid", "flagged", "flagged", "uncertain"]
    assert rows[-1]["request"] == "req-lost"
    assert rows[-1]["usd"] == "0.26"
    assert rows[1]["status"] == "400"


@pytest.mark.parametrize("sign", ["=", "+", "-", "@"])
def test_no_cell_of_the_failures_is_a_formula(happening: Night, sign: str) -> None:
    happening.begin()
    happening.item(f"{sign}cmd.png", "failed", "bad", f"{sign}1+1")
    happening.report()
    (row,) = failures(happening)
    assert row["item"] == f"'{sign}cmd.png"
    assert row["reason"] == f"'{sign}1+1"


def test_no_name_or_reason_can_end_the_script_element_it_is_kept_in(happening: Night) -> None:
    happening.begin()
    for name in HOSTILE:
        happening.item(name, "failed", "bad", f"reason {name}")
    page = happening.report(cause=HOSTILE[0], notes=HOSTILE).read_text("utf-8")
    # Two blocks of data and the program; nothing that came from a name.
    assert len(re.findall(r"<script\b", page)) == len(re.findall(r"</script>", page)) == 3
    assert "<img src=x" not in page
    found = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    assert [item[0] for item in json.loads(found[1])["items"]] == sorted(HOSTILE)


@pytest.mark.parametrize("text", ["</script>", "<!--", "]]>", "&amp;", "\u2028\u2029", "\udcff"])
def test_text_comes_through_the_script_element_as_it_was(text: str) -> None:
    written = embedded([text])
    assert not set(written) & set("<>&\u2028\u2029\udcff")
    assert json.loads(written) == [text]


def test_text_that_utf8_cannot_hold_is_spelt_out(happening: Night) -> None:
    happening.begin()
    page = happening.report(cause="cannot read \udcff.png").read_text("utf-8")
    assert "cannot read \\udcff.png" in page


@pytest.mark.slow
def test_the_page_names_no_other_place(happening: Night) -> None:
    mixed(happening)
    page = render(happening.gather())
    assert re.findall(r"https?:|//[a-z]|@import|url\(", page.replace("// ", "")) == []


def test_a_folder_that_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    with night(tmp_path) as happening:
        happening.begin()
        page = happening.report()
        page.unlink()
        page.mkdir()
        with pytest.raises(OSError, match="directory"):
            happening.report()
    assert page.is_dir()
    assert [path.name for path in happening.folder.iterdir() if path.name.startswith(".vb-")] == []
