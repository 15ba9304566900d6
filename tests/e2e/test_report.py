"""What is left for those who were not there: the review page, a message, figures, a log that machines read."""

from __future__ import annotations

import html
import json
from pathlib import Path

from tests.e2e.cloud import Cloud
from tests.e2e.conftest import CUT, ENLARGE, Vendor, Work
from tests.servers.bucket import Bucket
from tests.servers.listener import Listener, listening
from venice_batch.storage import S3Place
from venice_batch.storage.s3.store import S3Store


def page_of(work: Work) -> Path:
    return work.state / "report" / "index.html"


def test_a_run_leaves_a_page_that_the_next_run_and_report_make_anew(work: Work) -> None:
    work.draw("a.jpg", "<script>b.jpg")
    work.write(CUT, ENLARGE)
    first = work.run()
    page = page_of(work)
    assert first.code == 0
    assert first.out.endswith(f"report: {page}\n")
    assert first.err.count("warning") == 0
    text = page.read_text("utf-8")
    assert "a.jpg" in text
    assert "<script>b.jpg" not in text
    assert len(list((page.parent / "thumbnails").glob("*.webp"))) == 8, "input, two answers and output of each"
    page.unlink()
    assert f"report: {page}" in work.run().out
    assert page.read_text("utf-8").count("a.jpg") == text.count("a.jpg")
    page.unlink()
    told = work.asked("report")
    assert told["page"] == str(page)
    assert json.loads(Path(told["summary"]).read_text("utf-8"))["items"]["done"] == 2
    assert page.read_text("utf-8").count("a.jpg") == text.count("a.jpg")


def test_a_run_that_ends_early_leaves_a_page_that_says_why_and_a_page_that_cannot_be_written_changes_nothing(
    work: Work,
) -> None:
    work.draw("a.jpg", "b.jpg")
    work.write(CUT)
    work.vendor.faults({"match": {"path": "/image/background-remove", "nth": 2}, "do": {"status": 402}})
    ended = work.run("--workers", "1")
    assert ended.code == 5, ended.text
    why = ended.err.partition("error: ")[2].splitlines()[0]
    assert why in html.unescape(page_of(work).read_text("utf-8"))
    for file in sorted(page_of(work).parent.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    page_of(work).parent.rmdir()
    page_of(work).parent.write_text("in the way")
    again = work.run()
    assert again.code == 0, again.text
    assert "warning: report: cannot be written" in again.err


def test_a_sample_is_done_and_told_with_what_the_rest_would_cost_and_the_rest_buys_nothing_twice(work: Work) -> None:
    work.draw(*(f"{number}.jpg" for number in range(8)))
    work.write(CUT)
    planned = work.venice("plan", work.job, "--sample", "3", "--json").json
    assert planned["cost"]["high"] == "0.09"
    assert planned["rest"] == {"items": 5, "cost": {"low": "0.15", "high": "0.15"}}
    sample = work.run("--sample", "3")
    assert sample.code == 0, sample.text
    assert "left for later: 5 items, 0.15 USD; `run` without --sample goes on" in sample.out
    assert {"0.png", "7.png"} <= work.outputs().keys()
    assert len(work.outputs()) == len(work.vendor.bought()) == 3
    assert page_of(work).exists()
    rest = work.run()
    assert rest.code == 0, rest.text
    assert "5 new, 0 changed, 3 reused" in rest.out
    assert len(work.outputs()) == len(work.vendor.bought()) == 8


def test_a_failed_run_is_told_to_all_who_asked_and_its_log_is_an_object_a_line(work: Work, listener: Listener) -> None:
    work.draw("a.jpg", "b.jpg")
    textfile = work.root / "venice.prom"
    work.write(
        CUT,
        notify={
            "webhook": f"{listener.url}/hook/secret",
            "ping": f"{listener.url}/ping/secret",
            "metrics": {"textfile": str(textfile)},
        },
    )
    work.vendor.faults({"match": {"path": "/image/background-remove"}, "do": {"status": 401}})
    ended = work.run("--log-format", "json", "--json")
    assert ended.code == 4, ended.text
    lines = [json.loads(line) for line in ended.err.splitlines()]
    events = [line["event"] for line in lines]
    assert events[0] == "plan"
    assert events[-3:] == ["error", "report", "end"]
    assert lines[-1]["exit_code"] == ended.json["exit_code"] == 4
    assert ended.out.count("\n") == 1
    assert sorted(each.path for each in listener.received) == [
        "/hook/secret",
        "/ping/secret/fail",
        "/ping/secret/start",
    ]
    assert listener.received[0].path == "/ping/secret/start"
    (letter,) = [each for each in listener.received if each.path == "/hook/secret"]
    assert "exit code 4" in json.loads(letter.body)["text"]
    assert 'venice_batch_run_exit_code{batch="work"} 4.0' in textfile.read_text("utf-8")
    assert "secret" not in ended.text


def test_a_run_that_cannot_start_says_so_before_it_tries_a_dead_webhook_and_keeps_its_exit_code(work: Work) -> None:
    with listening() as gone:
        address = f"{gone.url}/hook/secret"
    work.draw("a.jpg")
    work.write(CUT, notify={"webhook": address})
    work.vendor.balance(usd="0", diem="0")
    short = work.run()
    assert short.code == 5
    assert short.err.index("error: the plan costs") < short.err.index("warning: not delivered: webhook")
    assert "secret" not in short.text


def test_the_report_of_a_state_in_a_bucket_lies_in_the_bucket(tmp_path: Path, seaweed: Bucket, vendor: Vendor) -> None:
    cloud = Cloud(tmp_path / "work", vendor, bucket=seaweed)
    cloud.upload("a.jpg", "b.jpg")
    cloud.write(CUT)
    ended = cloud.run()
    assert ended.code == 0, ended.text
    place = cloud.memory
    assert isinstance(place, S3Place)
    assert f"report: {place}report/index.html" in ended.out
    store = S3Store(place / "report")
    listed = {entry.key: entry.version for entry in store.list()}
    pictures = {key for key in listed if key.startswith("thumbnails/")}
    assert listed.keys() - pictures == {"index.html", "failures.csv", "summary.json"}
    assert len(pictures) == 6, "input, answer and output of each"
    cloud.upload("c.jpg")
    assert cloud.run().code == 0
    again = {entry.key: entry.version for entry in store.list()}
    assert len(again) == len(listed) + 3
    assert {key: again[key] for key in pictures} == {key: listed[key] for key in pictures}
    blob = store.get("index.html")
    assert blob is not None
    assert b"c.jpg" in blob.content


def test_the_report_is_of_the_last_run_even_if_that_changed_nothing(work: Work) -> None:
    work.draw("a.jpg")
    work.write(CUT)
    for run, spent in ((1, "0.03"), (2, "0.00")):
        assert work.run().code == 0
        summary = json.loads(page_of(work).with_name("summary.json").read_text("utf-8"))
        assert (summary["run"]["id"], summary["run"]["spent"]) == (run, spent)
