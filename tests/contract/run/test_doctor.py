"""The doctor: every check tells what it found and what to do, and none hides another."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from PIL import Image

from tests.servers.bucket import Bucket
from tests.servers.canned import Canned, Reply, Request, error, page
from venice_batch.emulator import Settings, serve_in_thread
from venice_batch.emulator.settings import Key
from venice_batch.errors import Exit, KeyRefused, MoneyError, Unavailable, UsageError
from venice_batch.job import FolderSource, Job, load
from venice_batch.plan.reading.load_pipeline import make_pipeline
from venice_batch.run.doctor import Check, Finding, machine, most_serious, places, run_checks, vendor
from venice_batch.state import to_write
from venice_batch.storage import S3Place
from venice_batch.venice import Api, Secret


def told(checks: list[Check]) -> list[Finding]:
    return list(run_checks(checks))


def of(findings: list[Finding], check: str) -> list[tuple[str, str]]:
    return [(each.level, each.found) for each in findings if each.check == check]


def bad(findings: list[Finding]) -> list[Finding]:
    return [each for each in findings if each.level == "bad"]


def failing(problem: Exception) -> Callable[[], Iterator[Finding]]:
    def work() -> Iterator[Finding]:
        yield Finding("half", "ok", "before")
        raise problem

    return work


# How checks are made


def test_a_check_that_fails_hides_neither_what_it_found_nor_the_others() -> None:
    broken = Check("broken", failing(Unavailable("no way", remedy="dig one")))
    fine = Check("fine", lambda: [Finding("fine", "ok", "all well")])
    found = told([broken, Check("bug", failing(ZeroDivisionError())), fine])
    assert [(each.check, each.level) for each in found] == [
        ("half", "ok"),
        ("broken", "bad"),
        ("half", "ok"),
        ("bug", "bad"),
        ("fine", "ok"),
    ]
    assert (found[1].remedy, found[1].code) == ("dig one", Exit.UNAVAILABLE)


def test_a_check_that_never_ends_is_given_up_and_the_others_run_meanwhile() -> None:
    never = threading.Event()

    def hangs() -> Iterator[Finding]:
        yield Finding("hangs", "ok", "so far")
        never.wait(30)

    begun = time.monotonic()
    found = told([Check("hangs", hangs, seconds=0.3), Check("hangs too", hangs, seconds=0.3)])
    assert time.monotonic() - begun < 10
    never.set()
    assert [each.level for each in found] == ["ok", "bad", "ok", "bad"]
    assert "no answer within" in found[1].found


@pytest.mark.parametrize(
    ("problems", "code"),
    [
        ([], Exit.DONE),
        ([UsageError("a")], Exit.USAGE),
        ([UsageError("a"), Unavailable("b")], Exit.UNAVAILABLE),
        ([Unavailable("b"), KeyRefused("c")], Exit.KEY),
        ([KeyRefused("c"), MoneyError("d"), UsageError("a")], Exit.MONEY),
        ([ZeroDivisionError()], Exit.BUG),
    ],
)
def test_the_exit_code_is_that_of_the_gravest(problems: list[Exception], code: Exit) -> None:
    assert most_serious(told([Check("x", failing(problem)) for problem in problems])) == code


def test_a_warning_is_no_failure() -> None:
    assert most_serious([Finding("x", "warn", "hm", code=Exit.MONEY)]) == Exit.DONE


# This machine


def test_the_machine_is_described_with_versions_codecs_and_room(tmp_path: Path) -> None:
    found = told(machine.checks(tmp_path))
    assert bad(found) == []
    text = " ".join(each.found for each in found)
    for word in ("Python 3", "Pillow", "boto3", "JPEG", "WEBP", "colour management", "fonts", "GB free", "MB/s"):
        assert word in text
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_bad(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (found,) = bad(told([Check("TMPDIR", lambda: machine.disk("TMPDIR", tmp_path / "file", "move"))]))
    assert found.code == Exit.UNAVAILABLE
    assert "cannot write" in found.found


# The API


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    def made(*steps: object, **sections: object) -> Job:
        document = {
            "version": 1,
            "name": "work",
            "source": {"path": "photos"},
            "steps": list(steps) or ["background-remove"],
            "output": {"path": "finished"},
            **sections,
        }
        (tmp_path / "job.yaml").write_text(yaml.safe_dump(document), "utf-8")
        return load(tmp_path / "job.yaml", environ={})

    (tmp_path / "photos").mkdir()
    Image.new("RGB", (300, 260), "red").save(tmp_path / "photos" / "a.png")
    return made


def examined(settings: Settings, key: str | None = None, job: Job | None = None) -> list[Finding]:
    with serve_in_thread(settings) as running:
        api = Api(running.url, Secret(key or running.key))
        found = told(vendor.checks(api, None if job is None else make_pipeline(job, api.host)))
        assert [entry for entry in running.state.log if entry.method == "POST"] == [], "nothing is ever bought"
    return found


@pytest.mark.server
def test_a_good_key_with_money_and_models_is_all_well(job: Callable[..., Job]) -> None:
    found = examined(Settings(), job=job("background-remove", {"upscale": {"scale": 2}}))
    assert bad(found) == []
    assert {each.check for each in found} == {"network", "API", "clock", "key", "money", "models"}
    assert ("ok", "bria-bg-remover is on offer") in of(found, "models")
    assert "50.00 USD" in of(found, "money")[0][1]


@pytest.mark.server
def test_a_refused_key_is_told_beside_everything_else(job: Callable[..., Job]) -> None:
    found = examined(Settings(), key="VENICE_INFERENCE_KEY_wrong", job=job())
    assert [(each.check, each.code) for each in bad(found)] == [("key", Exit.KEY)]
    assert of(found, "models") == [("ok", "bria-bg-remover is on offer")]
    assert not any("VENICE_INFERENCE_KEY" in each.found + each.remedy for each in found)


@pytest.mark.server
@pytest.mark.parametrize(
    "settings",
    [
        Settings(usd=Decimal(0), diem=None),
        Settings(keys=(Key("VENICE_INFERENCE_KEY_closed", permitted=False),)),
    ],
)
def test_without_money_or_admission_it_is_money(settings: Settings) -> None:
    found = examined(settings)
    assert [(each.check, each.code) for each in bad(found)] == [("money", Exit.MONEY)]
    assert bad(found)[0].remedy


@pytest.mark.server
def test_a_model_that_is_not_on_offer_is_the_jobs_fault_with_its_place(job: Callable[..., Job]) -> None:
    found = examined(Settings(), job=job({"edit": {"prompt": "x", "model": "no-such-edit"}}))
    assert {each.code for each in bad(found)} == {Exit.USAGE}
    assert any("job.yaml:" in each.found and "no-such-edit" in each.found for each in bad(found))


@pytest.mark.server
def test_an_admin_key_may_read_the_books() -> None:
    with serve_in_thread(Settings()) as running:
        found = told(vendor.checks(Api(running.url, Secret(running.admin_key)), None))
    assert ("ok", "may read the account's books (reconcile)") in of(found, "key")


@pytest.mark.server
@pytest.mark.parametrize(
    ("ahead", "level"), [(0.0, "ok"), (-120.0, "warn"), (120.0, "warn"), (-3600.0, "bad"), (3600.0, "bad")]
)
def test_the_clock_is_compared_with_the_apis(ahead: float, level: str) -> None:
    with dated(time.time() - ahead) as url:
        found = told(vendor.checks(Api(url), None))
    ((clock, text),) = of(found, "clock")
    assert clock == level
    if ahead:
        seconds = re.match(r"(\d+) s (ahead of|behind)", text)
        assert seconds is not None
        assert abs(int(seconds[1]) - abs(ahead)) <= 2
        assert seconds[2] == ("ahead of" if ahead > 0 else "behind")


def test_a_server_that_is_not_there_is_the_networks_fault() -> None:
    found = told(vendor.checks(Api("http://127.0.0.1:9/api/v1", Secret("VENICE_INFERENCE_KEY_x")), None))
    assert {each.code for each in bad(found)} == {Exit.UNAVAILABLE}
    assert {each.check for each in bad(found)} >= {"network", "API", "key"}


def test_a_certificate_that_nobody_trusts_is_told(seaweed_tls: Bucket) -> None:
    found = told(vendor.checks(Api(seaweed_tls.endpoint), None))
    assert "certificate" in of(found, "network")[-1][1]
    assert of(found, "network")[-1][0] == "bad"


@contextmanager
def dated(at: float) -> Iterator[str]:
    """A server with a clock of its own; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def date_time_string(self, timestamp: float | None = None) -> str:  # noqa: ARG002 - the base's
            return formatdate(at, usegmt=True)

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/api/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


# A job's places


def test_folders_are_looked_at_and_nothing_is_made(job: Callable[..., Job], tmp_path: Path) -> None:
    found = told(places.checks(job()))
    assert bad(found) == []
    assert ("ok", "can be read (a.png)") in of(found, "source")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["job.yaml", "photos"]


def test_existing_folders_are_written_to_and_left_as_they_were(job: Callable[..., Job], tmp_path: Path) -> None:
    made = job()
    (tmp_path / "finished").mkdir()
    found = told(places.checks(made))
    assert any("MB/s" in text for _, text in of(found, "output"))
    assert list((tmp_path / "finished").iterdir()) == []


def test_a_missing_source_is_the_jobs_fault_and_an_empty_one_a_warning(job: Callable[..., Job], tmp_path: Path) -> None:
    made = job()
    (tmp_path / "photos" / "a.png").unlink()
    assert of(told(places.checks(made)), "source") == [("warn", "no inputs")]
    (tmp_path / "photos").rmdir()
    assert [(each.check, each.code) for each in bad(told(places.checks(made)))] == [("source", Exit.USAGE)]


def test_a_state_that_a_run_holds_is_a_warning(job: Callable[..., Job]) -> None:
    made = job()
    assert isinstance(made.state, Path)
    with to_write(made.state):
        found = told(places.checks(made))
    assert bad(found) == []
    assert any(level == "warn" and "a run holds it" in text for level, text in of(found, "state"))


def in_bucket(job: Callable[..., Job], place: S3Place) -> Job:
    made = job()
    assert isinstance(made.source, FolderSource)
    return replace(
        made,
        source=made.source.model_copy(update={"path": place / "raw"}),
        output=made.output.model_copy(update={"path": place / "web"}),
        state=place / "state",
        lease=60.0,
    )


RIGHTS = ["list", "put", "read", "conditional put", "delete"]


@pytest.mark.parametrize("server", ["moto", "seaweed"])
def test_every_right_in_a_bucket_is_tried_and_nothing_stays(
    job: Callable[..., Job], server: str, request: pytest.FixtureRequest
) -> None:
    bucket: Bucket = request.getfixturevalue(server)
    place = bucket.fresh()
    found = told(places.checks(in_bucket(job, place)))
    assert bad(found) == [], found
    for check in ("output", "state"):
        assert sorted(text for _, text in of(found, check)) == sorted(RIGHTS)
    assert of(found, "source") == [("warn", "no inputs")]
    assert bucket.keys(place) == []


@pytest.mark.parametrize(
    ("method", "wrong"),
    [
        ("DELETE", {("state", "delete")}),
        ("PUT", {("output", "put"), ("state", "put")}),
    ],
)
def test_a_right_that_is_missing_is_named(
    job: Callable[..., Job], canned: Canned, method: str, wrong: set[tuple[str, str]]
) -> None:
    def answer(request: Request) -> Reply:
        if request.method == method:
            return error(403, "AccessDenied")
        if request.method == "GET" and "list-type" in request.query:
            return page({})
        if request.method == "PUT" and "if-none-match" in request.headers:
            return error(412, "PreconditionFailed")
        return Reply(
            200, b"" if request.method == "PUT" else b"0", {"ETag": '"1"', "Last-Modified": formatdate(usegmt=True)}
        )

    canned.answer = answer
    found = bad(told(places.checks(in_bucket(job, canned.bucket.fresh()))))
    named = {(each.check, each.found.split(":")[0]) for each in found}
    assert wrong <= named
    assert not any(what in {"list", "read"} for _, what in named)
    right = {"DELETE": "s3:DeleteObject", "PUT": "s3:PutObject"}[method]
    assert all(right in each.remedy + each.found for each in found if (each.check, each.found.split(":")[0]) in wrong)
