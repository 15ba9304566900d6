"""The files of a report: there after any night, true to the state, and harmless whatever they hold."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from tests.unit.report.state_builder import HOSTILE, STEPS, StateBuilder, building, mixed
from venice_batch.report.page import render
from venice_batch.report.page_payload import embedded
from venice_batch.report.summary import OUTCOMES
from venice_batch.state import to_read


def failures(built: StateBuilder) -> list[dict[str, str]]:
    with (built.folder / "failures.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def summary(built: StateBuilder) -> dict[str, object]:
    found = json.loads((built.folder / "summary.json").read_text("utf-8"))
    assert isinstance(found, dict)
    return found


def test_a_state_that_does_not_exist_yet_has_a_report(tmp_path: Path) -> None:
    with to_read(tmp_path / "nowhere") as state:
        built = StateBuilder(tmp_path, state)
        page = built.report().read_text("utf-8")
    assert "Nothing here yet" in page
    assert "No run yet." in page
    assert summary(built)["run"] is None
    assert failures(built) == []


def test_a_run_under_way_or_killed_has_a_report(built: StateBuilder) -> None:
    built.begin()
    built.item("a.png", "running")
    page = built.report().read_text("utf-8")
    assert "Under way, or killed" in page
    assert "0 of 1 items are done" in page


@pytest.mark.parametrize("code", sorted(OUTCOMES))
def test_every_end_of_a_run_is_told_in_words_with_its_cause(built: StateBuilder, code: int) -> None:
    built.begin()
    built.item("a.png", "waiting")
    built.end(code, "because of <this>")
    page = built.report().read_text("utf-8")
    assert OUTCOMES[code] in page  # type: ignore[index]  # an IntEnum's values are its keys
    assert "because of &lt;this&gt;" in page


def test_a_code_of_a_later_version_is_told_as_it_is(built: StateBuilder) -> None:
    built.begin()
    built.end(99)
    assert "Ended with exit code 99." in render(built.gather())


def test_a_good_night_says_so(built: StateBuilder) -> None:
    built.begin()
    built.item("a.png", "done", steps=STEPS)
    built.item("b.png", "done", steps=STEPS)
    built.item("gone.png", "vanished")
    built.end(0)
    page = built.report().read_text("utf-8")
    assert "All 2 items are done" in page
    assert "Finished: everything is done." in page


@pytest.mark.slow
def test_the_summary_has_the_figures_of_the_ledger(built: StateBuilder) -> None:
    mixed(built)
    built.report()
    found = summary(built)
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
def test_failures_are_listed_by_state_with_the_request_to_ask_support_about(built: StateBuilder) -> None:
    mixed(built)
    built.report()
    rows = failures(built)
    states = [row["state"] for row in rows]
    assert states == ["failed", "failed", "invalid", "flagged", "flagged", "uncertain"]
    assert rows[-1]["request"] == "req-lost"
    assert rows[-1]["usd"] == "0.26"
    assert rows[1]["status"] == "400"


@pytest.mark.parametrize("sign", ["=", "+", "-", "@"])
def test_no_cell_of_the_failures_is_a_formula(built: StateBuilder, sign: str) -> None:
    built.begin()
    built.item(f"{sign}cmd.png", "failed", "bad", f"{sign}1+1")
    built.report()
    (row,) = failures(built)
    assert row["item"] == f"'{sign}cmd.png"
    assert row["reason"] == f"'{sign}1+1"


def test_no_name_or_reason_can_end_the_script_element_it_is_kept_in(built: StateBuilder) -> None:
    built.begin()
    for name in HOSTILE:
        built.item(name, "failed", "bad", f"reason {name}")
    built.end(3, HOSTILE[0])
    page = built.report(notes=HOSTILE).read_text("utf-8")
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


def test_text_that_utf8_cannot_hold_is_spelt_out(built: StateBuilder) -> None:
    built.begin()
    page = built.report(notes=["cannot read \udcff.png"]).read_text("utf-8")
    assert "cannot read \\udcff.png" in page


@pytest.mark.slow
def test_the_page_names_no_other_place(built: StateBuilder) -> None:
    mixed(built)
    page = render(built.gather())
    assert re.findall(r"https?:|//[a-z]|@import|url\(", page.replace("// ", "")) == []


def test_a_folder_that_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    with building(tmp_path) as built:
        built.begin()
        page = built.report()
        page.unlink()
        page.mkdir()
        with pytest.raises(OSError, match="directory"):
            built.report()
    assert page.is_dir()
    assert [path.name for path in built.folder.iterdir() if path.name.startswith(".vb-")] == []
