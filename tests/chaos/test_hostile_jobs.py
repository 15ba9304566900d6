"""Hostile job files, tables and environments, made from a number each: no secret gets out, nothing hangs or breaks.

``VENICE_HOSTILE_CASES=500`` is the long form; a case that fails is repeated by its number.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from urllib.parse import unquote

import pytest
import yaml

from tests.e2e.conftest import COMMAND, FAST, Vendor, draw, environment
from tests.servers.canned import Canned, Reply, answering
from venice_batch.emulator import Key, Settings, serve_in_thread
from venice_batch.errors import Exit

CASES = int(os.environ.get("VENICE_HOSTILE_CASES", "30"))
KEY = "VENICE_INFERENCE_KEY_hostile.secret-1234"
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLE"  # noqa: S105 - opens nothing
TOKEN = "FwoGZXIvYXdzEXAMPLE+session/token=="  # noqa: S105 - likewise
PASSWORD = "correct-horse-battery-staple"  # noqa: S105 - likewise
SECRETS = (KEY, AWS_SECRET, PASSWORD)
#: Also of a machine with too much to do: what hangs never ends.
_SECONDS = 90
_ENDS = frozenset({Exit.DONE, Exit.USAGE, Exit.ITEMS_FAILED, Exit.KEY, Exit.MONEY, Exit.UNAVAILABLE})

#: Files that a job, a cell or a variable may name; those of secrets lie beside the job's folder.
_NAMED = (
    "../key", "../passwords", "../aws", "key-link", "passwords-link", "key-copy", "pipe", "photos", "no-such-file",
    "/dev/zero", "/dev/tty", "/dev/fd/0", "/proc/self/environ", "/proc/self/mem", "/proc/kmsg", "/sys/kernel/notes",
    "empty", "binary", "one-line", "rows.csv", "job.yaml", "photos/a.jpg",
)  # fmt: skip
_TEXTS = (
    "plain", "{title}", "{nothing}", "{key}{{", "../../out", "/abs/{stem}", "\x1b[31mred", "=cmd|' /C calc'!A0",
    "\u202egpj.exe", "${VENICE_API_KEY}", "${AWS_SECRET_ACCESS_KEY}", "${SECRET_OF_MINE}", "${NOT_SET:-x}", "${", "$$",
    "a" * 5000, "CON", "\ud83d\ude00", "%s%n{0.__class__}", "<script>alert(1)</script>",
)  # fmt: skip
_GLOBS = ("**", "**/*.jpg", "**/*a*a*a*a*a*a*a*b.png", "[", "[!-~]*", "**/**/**/**", "../**", "**/a**/a**/a**b")
_RAW = (
    "a: &a [x, x]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b]\n",
    "!!python/object/apply:os.system ['cat ../passwords']\n",
    "[" * 3000,
    "version: 1\nversion: 1\n",
    "\x00version: 1\n",
    f"name: {KEY}\n",
    "? {a: b}\n: {c: *d}\n",
)


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    with serve_in_thread(Settings(rpm=FAST, keys=(Key(KEY),))) as running:
        yield Vendor(running)


@pytest.fixture(scope="module")
def stranger(aws_variables: None) -> Iterator[Canned]:  # noqa: ARG001 - a fixture for what it does
    """Whoever wrote the job: a store, a webhook and a proxy that remember all they are sent."""
    with answering(lambda _: Reply(404)) as server:
        yield server


@dataclass
class Case:
    """A folder with a hostile job in it, and an environment for it."""

    number: int
    root: Path
    stranger: str
    random: Random = field(init=False)
    given: frozenset[Path] = field(init=False)

    def __post_init__(self) -> None:
        self.random = Random(self.number)  # noqa: S311 - repeatable, not secret
        self.work = self.root / "work"
        (self.work / "photos").mkdir(parents=True)
        self._files()
        (self.work / "rows.csv").write_bytes(self._table())
        (self.work / "job.yaml").write_bytes(self._job())
        self.given = frozenset(self.root.rglob("*"))

    def _files(self) -> None:
        for name in ("a.jpg", "b.png"):
            draw(self.work / "photos" / name)
        (self.root / "key").write_text(f"{KEY}\n", "utf-8")
        (self.root / "aws").write_text(f"[default]\naws_secret_access_key = {AWS_SECRET}\n", "utf-8")
        rows = [
            f"admin:{PASSWORD}",
            f"{PASSWORD}",
            f"{PASSWORD},{PASSWORD}",
            f'{{"password": "{PASSWORD}"',
            f"{PASSWORD}",
        ]
        self.random.shuffle(rows)
        (self.root / "passwords").write_text("\n".join(rows) + "\n", "utf-8")
        (self.work / "key-link").symlink_to("../key")
        (self.work / "passwords-link").symlink_to("../passwords")
        (self.work / "key-copy").write_text(f"id,prompt,key\n1,{KEY},a.jpg\n", "utf-8")
        (self.work / "empty").touch()
        (self.work / "binary").write_bytes(self.random.randbytes(2000))
        (self.work / "one-line").write_bytes(b"x" * (3 << 20))
        os.mkfifo(self.work / "pipe")

    def _text(self) -> str:
        return self.random.choice(_TEXTS).encode("utf-8", "replace").decode("utf-8")

    def _table(self) -> bytes:
        """Return a table whose cells name files, escape, or are not of this encoding."""
        cells = [self.random.choice((*_NAMED, *_TEXTS)).encode("utf-8", "replace").decode("utf-8") for _ in range(4)]
        quoted = [json.dumps(cell, ensure_ascii=False).replace('\\"', '""') for cell in cells]
        head = self.random.choice(["key,title,logo", "key,title,logo", "stem;title;logo", "title,logo", "key,key,logo"])
        text = f"{head}\na.jpg,{quoted[0]},{quoted[1]}\nb.png,{quoted[2]},{quoted[3]}\n"
        return text.encode("utf-8") + self.random.choice([b"", b"", b"\xff\xfe\n", b"\x00,\x00\n", b'"open'])

    def _job(self) -> bytes:
        if self.random.random() < 0.1:
            return self.random.choice(_RAW).encode()
        source = self._source()
        document = {
            "version": 1,
            "name": "hostile",
            "source": source,
            "steps": self._steps(generated="prompts" in source),
            "output": {"path": "out", "name": self.random.choice(["{dir}/{stem}.{ext}", f"{self._text()}.{{ext}}"])},
            **self._sections(),
        }
        return yaml.safe_dump(document, allow_unicode=True, sort_keys=False).encode("utf-8")

    def _source(self) -> dict[str, object]:
        named = self.random.choice(_NAMED)
        kinds: list[dict[str, object]] = [
            {"path": "photos", "metadata": self.random.choice([named, "rows.csv", "rows.csv"])},
            {"path": "photos", "keys": named},
            {"path": "photos", "include": [self.random.choice(_GLOBS)], "metadata": "rows.csv"},
            {"path": self.random.choice(["..", "/proc/self", "photos", "/dev"]), "include": ["*.jpg"]},
            {"prompts": named},
            {"urls": named},
            {"path": "s3://bkt/", "keys": named, "include": ["**"], "s3": {"endpoint_url": self.stranger}},
            {"path": "s3://bkt/", "keys": named, "s3": {"endpoint_url": "http://192.0.2.1:9"}},
        ]
        return self.random.choice(kinds)

    def _steps(self, *, generated: bool) -> list[object]:
        if generated:
            return [{"generate": {"model": "venice-sd35"}}]
        images = ["current", {"file": self.random.choice([*_NAMED, "{logo}", "{logo}"])}]
        model = "nano-banana-pro-edit"
        choices: list[list[object]] = [
            ["background-remove"],
            [{"edit": {"prompt": self._text(), "model": model}}],
            [{"multi-edit": {"prompt": self._text(), "model": model, "images": images}}],
            ["background-remove", {"overlay": {"file": self.random.choice(_NAMED)}}],
        ]
        return self.random.choice(choices)

    def _sections(self) -> dict[str, object]:
        several: list[dict[str, object]] = [
            {},
            {"notify": {"webhook": f"{self.stranger}/hook", "on": ["success", "failure"]}},
            {"api": {"base_url": self.random.choice([self.stranger, "https://api.venice.example/api/v1"])}},
            {"state": self.random.choice(["state", "photos/state", "../state", self._text() or "x"])},
        ]
        return self.random.choice(several)

    def environment(self) -> dict[str, str]:
        """Return variables, some of them of no use."""
        key = self.random.choice([{"VENICE_API_KEY": KEY}, {"VENICE_API_KEY_FILE": str(self.root / "key")}])
        odd: list[Mapping[str, str]] = [
            {},
            {},
            {"HTTP_PROXY": self.stranger, "ALL_PROXY": self.stranger},
            {"ALL_PROXY": f"socks5://me:{PASSWORD}@192.0.2.1:9"},
            {"https_proxy": f"ftp://me:{PASSWORD}@192.0.2.1:9"},
            {"SSL_CERT_FILE": str(self.root / "passwords")},
            {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"},
            {"COLUMNS": "1"},
            {"VENICE_ALLOW_READ": "/nowhere::"},
        ]
        aws = {"AWS_ACCESS_KEY_ID": "local", "AWS_SESSION_TOKEN": TOKEN, "AWS_MAX_ATTEMPTS": "1"}
        held = self.random.choice(
            [{"AWS_SECRET_ACCESS_KEY": AWS_SECRET}, {"AWS_SHARED_CREDENTIALS_FILE": str(self.root / "aws")}]
        )
        return {**key, **aws, **held, "SECRET_OF_MINE": KEY, **self.random.choice(odd)}

    def leaks(self, *texts: str) -> list[str]:
        """Return where a secret is: new files, and these texts."""
        new = [path for path in self.root.rglob("*") if path not in self.given and path.is_file()]
        found = [str(path) for path in new if any(secret.encode() in path.read_bytes() for secret in SECRETS)]
        return found + [text for text in texts if any(secret in text or secret in unquote(text) for secret in SECRETS)]


@pytest.mark.server
@pytest.mark.parametrize("number", range(CASES))
def test_a_hostile_job_gets_nothing_and_breaks_nothing(
    number: int, tmp_path: Path, vendor: Vendor, stranger: Canned
) -> None:
    case = Case(number, tmp_path, stranger.bucket.endpoint)
    stranger.requests.clear()
    vendor.reset()
    command = case.random.choice(["run", "run", "plan", "doctor"])
    done = subprocess.run(
        [COMMAND, command, "job.yaml", *(["--log-format", "json"] if command == "run" and number % 3 == 0 else [])],
        cwd=case.work,
        env=environment(tmp_path / "scratch", vendor, {"VENICE_API_KEY": None, **case.environment()}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_SECONDS,
        check=False,
    )
    shown = (done.stdout + done.stderr).decode("utf-8", "replace")
    assert done.returncode in _ENDS, shown
    assert "Traceback" not in shown
    sent = [f"{each.path} {each.query} {each.headers} {each.body!r}" for each in stranger.requests]
    bought = json.dumps(vendor.log())
    assert not case.leaks(shown, *sent, bought)
