"""No secret reaches a sink, and what a machine's variables say of the network is used or named."""

from __future__ import annotations

import os
import stat
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.conftest import CUT, OpenVendor, Vendor, Work
from tests.servers.canned import Answering, Canned, Reply, Request
from venice_batch.emulator import Key

KEY = "VENICE_INFERENCE_KEY_quite.secret-1234"
OTHER = "VENICE_ADMIN_KEY_somebody.elses-5678"
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLE"  # noqa: S105 - opens nothing
SECRETS = (b"quite.secret", b"somebody.elses", AWS_SECRET.encode(), AWS_SECRET.replace("/", "%2F").encode())
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _echoing(vendor: Vendor) -> Answering:
    """Answer as the vendor does, with secrets in every header that is kept."""
    host = vendor.url.removesuffix("/api/v1")
    echoed = {"CF-RAY": f"{KEY}-FRA", "x-venice-model-id": f"m {OTHER}", "x-odd": f"{AWS_SECRET} and {KEY}"}

    def answer(request: Request) -> Reply:
        if request.path.startswith("/hook"):
            return Reply()
        query = "&".join(f"{name}={value}" for name, value in request.query.items())
        url = f"{host}{request.path}{'?' if query else ''}{query}"
        kept = {name: request.headers[name] for name in ("authorization", "content-type") if name in request.headers}
        asked = urllib.request.Request(url, request.body or None, kept, method=request.method)  # noqa: S310 - loopback
        try:
            with _OPENER.open(asked, timeout=30) as answered:
                body, headers = answered.read(), dict(answered.headers)
        except urllib.error.HTTPError as error:
            return Reply(error.code, error.read(), echoed)
        return Reply(200, body, {"Content-Type": headers["content-type"], **echoed})

    return answer


def _leaks(work: Work, canned: Canned, *texts: str) -> list[str]:
    """Every place that holds a secret: files of the job, what was printed, what was sent to others than the API."""
    files = [path for path in work.root.rglob("*") if path.is_file() and path != work.job]
    found = [str(path) for path in files if any(secret in path.read_bytes() for secret in SECRETS)]
    hooks = [request for request in canned.requests if request.path.startswith("/hook")]
    assert hooks, "the webhook was told"
    found += [text for text in texts if any(secret.decode() in text for secret in SECRETS)]
    return found + [repr(request) for request in hooks if any(secret in repr(request).encode() for secret in SECRETS)]


def test_secrets_that_a_server_repeats_reach_no_sink(tmp_path: Path, open_vendor: OpenVendor, canned: Canned) -> None:
    work = Work(tmp_path / "work", open_vendor(keys=(Key(KEY),)))
    work.draw("a.jpg", "b.jpg")
    refused = {"error": f"{KEY}, {OTHER} and {AWS_SECRET} are unwell"}
    work.vendor.faults(
        {"match": {"path": "/image/background-remove", "nth": 1}, "do": {"status": 400, "body": refused}}
    )
    canned.answer = _echoing(work.vendor)
    here = canned.bucket.endpoint
    work.write(CUT, notify={"webhook": f"{here}/hook", "on": ["success", "failure"]}, run={"concurrency": "1"})
    env = {"VENICE_API_KEY": KEY, "VENICE_BASE_URL": f"{here}/api/v1", "AWS_SECRET_ACCESS_KEY": AWS_SECRET}
    ended = work.run(env=env)
    assert ended.code == 3, ended.text
    assert "are unwell" in ended.err
    assert list(work.finished.glob("*.png")), "one of the two is done"
    shown = [work.venice(name, work.job, "--json", env=env).text for name in ("items", "ledger")]
    assert "***-FRA" in shown[1], "the server did repeat them"
    assert not _leaks(work, canned, ended.text, *shown)


def test_a_loopback_address_is_never_reached_through_a_proxy(work: Work, canned: Canned) -> None:
    work.draw("a.jpg")
    work.write(CUT)
    proxy = canned.bucket.endpoint
    env = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"), proxy)
    ended = work.run(env={**env, "no_proxy": "intranet.example"})
    assert ended.code == 0, ended.text
    assert canned.requests == []


def test_a_bucket_on_loopback_is_never_reached_through_a_proxy(work: Work, canned: Canned) -> None:
    proxy = canned.bucket.endpoint
    work.write(CUT, source={"path": "s3://bkt/", "s3": {"endpoint_url": "http://127.0.0.1:9"}})
    env = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": AWS_SECRET, "AWS_MAX_ATTEMPTS": "1"}
    ended = work.venice("plan", work.job, env={**env, "HTTP_PROXY": proxy, "ALL_PROXY": proxy})
    assert ended.code == 6, ended.text
    assert canned.requests == []


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("ALL_PROXY", "socks5://me:hunter22@192.0.2.1:9", "socksio"),
        ("HTTPS_PROXY", "ftp://me:hunter22@192.0.2.1:9", "ftp"),
        ("http_proxy", "http://me:hunter22@192.0.2.1:nine", "no address"),
        ("SSL_CERT_FILE", "/nowhere/hunter/ca.pem", "No such file"),
        ("SSL_CERT_FILE", "job.yaml", "no certificates"),
    ],
)
def test_what_no_client_can_use_is_named_with_its_variable(work: Work, variable: str, value: str, told: str) -> None:
    work.draw("a.jpg")
    work.write(CUT)
    ended = work.run(env={variable: value})
    assert ended.code == 2, ended.text
    assert variable in ended.err
    assert told in ended.err
    assert "Traceback" not in ended.text
    assert "hunter22" not in ended.text


def test_doctor_names_a_proxy_that_no_client_can_use(work: Work) -> None:
    ended = work.venice("doctor", env={"all_proxy": "socks5://me:hunter22@192.0.2.1:9"})
    assert ended.code == 2, ended.text
    assert "all_proxy names a SOCKS proxy" in ended.out
    assert "hunter22" not in ended.text


def test_a_local_state_is_for_its_owner_alone(work: Work) -> None:
    work.draw("a.jpg")
    work.write(CUT)
    state = work.finished / ".venice-batch" / "work"
    state.mkdir(parents=True)
    state.chmod(0o755)
    assert work.run().code == 0
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["manifest.sqlite3", "results", "report", "lease", "report/thumbnails", ""])
def test_nothing_is_written_through_a_link_in_a_state(work: Work, name: str) -> None:
    work.draw("a.jpg")
    work.write(CUT)
    elsewhere = work.root / "elsewhere"
    elsewhere.mkdir()
    place = work.finished / ".venice-batch" / "work" / name
    place.parent.mkdir(parents=True)
    place.symlink_to(elsewhere / "new" if "." in name or name == "lease" else elsewhere)
    ended = work.run()
    assert ended.code == 6, ended.text
    assert "is a link" in ended.err
    assert work.vendor.paid() == []
    assert list(elsewhere.iterdir()) == []


def test_a_glob_of_many_stars_is_no_reason_to_wait(work: Work) -> None:
    work.draw("a.jpg")
    (work.photos / ("a" * 240)).touch()
    work.write(CUT, source={"path": "photos", "include": ["**/*a*a*a*a*a*a*a*a*b.png", "**/a**/a**/a**/a**b", "*.jpg"]})
    before = os.times().children_user
    assert work.venice("plan", work.job).code == 0
    assert os.times().children_user - before < 20
