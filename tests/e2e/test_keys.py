"""The API key: where it comes from, what it must be good for, and that it is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import CUT, OpenVendor, Work
from venice_batch.emulator import Key

INFERENCE = "VENICE_INFERENCE_KEY_quite.secret-1234"
ADMIN = "VENICE_ADMIN_KEY_very.secret-5678"


@pytest.fixture
def keyed(tmp_path: Path, open_vendor: OpenVendor) -> Work:
    work = Work(tmp_path / "work", open_vendor(keys=(Key(INFERENCE), Key(ADMIN, admin=True))))
    work.draw("a.jpg", "b.jpg")
    work.write(CUT)
    return work


def test_no_key_ends_with_4_and_says_where_to_put_it(keyed: Work) -> None:
    for command in ("plan", "run"):
        ended = keyed.venice(command, keyed.job, env={"VENICE_API_KEY": None})
        assert ended.code == 4
        assert "VENICE_API_KEY_FILE" in ended.err
    assert keyed.vendor.log() == []


def test_a_wrong_key_ends_with_4_before_any_paid_call(keyed: Work) -> None:
    ended = keyed.run(env={"VENICE_API_KEY": "VENICE_INFERENCE_KEY_wrong"})
    assert ended.code == 4
    assert "refused the key (401)" in ended.err
    assert keyed.vendor.paid() == []


@pytest.mark.parametrize("key", ["two words", "schlüssel", " "])
def test_a_key_that_can_be_none_ends_with_4_and_is_not_repeated(keyed: Work, key: str) -> None:
    ended = keyed.run(env={"VENICE_API_KEY": key})
    assert ended.code == 4
    assert not key.strip() or key not in ended.text


def test_a_key_file_works_and_a_missing_one_ends_with_4(keyed: Work) -> None:
    file = keyed.root / "key"
    file.write_text(f"{INFERENCE}\n", "utf-8")
    assert keyed.run(env={"VENICE_API_KEY": None, "VENICE_API_KEY_FILE": str(file)}).code == 0
    file.unlink()
    missing = keyed.run(env={"VENICE_API_KEY": None, "VENICE_API_KEY_FILE": str(file)})
    assert missing.code == 4
    assert "VENICE_API_KEY_FILE" in missing.err


def _asked_billing(work: Work) -> bool:
    return any(entry["path"] == "/billing/balance" for entry in work.vendor.log())


def test_an_inference_key_suffices_and_is_not_shown_to_the_billing_endpoint(keyed: Work) -> None:
    assert keyed.run(env={"VENICE_API_KEY": INFERENCE}).code == 0
    assert not _asked_billing(keyed)


def test_an_admin_key_works_too_and_reads_the_billing_balance(keyed: Work) -> None:
    assert keyed.run(env={"VENICE_API_KEY": ADMIN}).code == 0
    assert _asked_billing(keyed)


def test_a_billing_endpoint_that_refuses_does_not_stop_the_run(keyed: Work) -> None:
    keyed.vendor.faults({"match": {"path": "/billing/balance"}, "do": {"status": 401}})
    assert keyed.run(env={"VENICE_API_KEY": ADMIN}).code == 0


def test_the_key_is_shown_nowhere_even_where_the_server_repeats_it(keyed: Work) -> None:
    echo = {"error": f"key {INFERENCE} is unwell"}
    keyed.vendor.faults({"match": {"path": "/image/background-remove", "nth": 1}, "do": {"status": 400, "body": echo}})
    env = {"VENICE_API_KEY": INFERENCE}
    shown = keyed.run("--workers", "1", env=env)
    assert shown.code == 3
    assert "is unwell" in shown.err, "the server's words are shown, without the key"
    texts = [shown.text]
    texts += [keyed.venice(name, keyed.job, env=env).text for name in ("plan", "status", "items", "ledger")]
    texts += [keyed.venice(name, "--json", env=env).text for name in ("balance", "models")]
    assert not [text for text in texts if "quite.secret" in text]
    files = [path for path in keyed.root.rglob("*") if path.is_file()]
    assert any(path.name == "manifest.sqlite3" for path in files)
    assert not [path for path in files if b"quite.secret" in path.read_bytes()]


def test_a_key_in_the_job_file_is_refused_and_not_repeated(keyed: Work) -> None:
    keyed.write({"edit": {"prompt": INFERENCE}})
    ended = keyed.venice("check", keyed.job)
    assert ended.code == 2
    assert "quite.secret" not in ended.text


def test_a_job_file_cannot_send_the_key_to_a_strange_host(keyed: Work) -> None:
    keyed.write(CUT, api={"base_url": "https://venice.example.com/api/v1"})
    ended = keyed.run(env={"VENICE_BASE_URL": None})
    assert ended.code == 2
    assert "not the official host" in ended.err
