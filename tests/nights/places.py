"""Where the shop keeps its pictures, its finished files and the state: folders, or prefixes of a bucket."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from tests.servers.bucket import Bucket

_MARK = ".venice-batch/owner"
#: Seconds that a killed run keeps the next one away from a bucket: short, yet longer than a busy machine's pauses.
LEASE = 6.0
#: What a state may hold, by its name below the state.
_OWNED = re.compile(
    r"lease|manifest\.sqlite3|results/[0-9a-f]{2}/[0-9a-f]{64}(\.\d+)?(\.bad-\d+)?(\.json)?"
    r"|report/(index\.html|failures\.csv|summary\.json|published\.(csv|jsonl)|thumbnails/[\w.-]+)"
    r"|(journal|snapshot)/[\w.-]+"
)
_RESULT = re.compile(r"results/[0-9a-f]{2}/(?P<key>[0-9a-f]{64}(\.\d+)?)$")


class ShopPlace(Protocol):
    """The shop's places, as events and checks need them; names are relative, with slashes."""

    root: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables that a command needs to reach the places."""

    def sections(self) -> dict[str, object]:
        """Return source, output and state for the job file."""

    def sync(self, wanted: Mapping[str, bytes]) -> None:
        """Make the source hold these files and no others; unchanged ones stay untouched."""

    def outputs(self) -> dict[str, bytes]:
        """Return every file of the output but the owner mark, hidden ones, too."""

    def write_output(self, name: str, content: bytes) -> None:
        """Write a finished file as a stranger would."""

    def restore_output(self, name: str) -> None:
        """Write the same bytes again, which gives the file another time."""

    def delete_output(self, name: str) -> None:
        """Delete a finished file."""

    def state_files(self) -> dict[str, int]:
        """Return the size of every file of the state."""

    def state_text(self, name: str) -> str:
        """Return a file of the state."""

    def move_state(self) -> str:
        """Give the job another place for its state, and return where the state still lies."""

    def outlive_the_lease(self) -> None:
        """Wait until a killed run keeps nobody away any more."""


def results(files: Mapping[str, int]) -> set[str]:
    """Return the keys of the stored results among a state's files."""
    return {found["key"] for name in files if (found := _RESULT.match(name))}


def unowned(files: Mapping[str, int]) -> list[str]:
    """Return the files of a state that are none of its kinds."""
    return [name for name in files if not _OWNED.fullmatch(name)]


class Folders:
    """Everything in folders of one machine."""

    environment: Mapping[str, str] = {}

    def __init__(self, root: Path) -> None:
        self.root = root
        self._photos, self._output = root / "photos", root / "finished"
        self._moves = 0
        self._written: dict[str, str] = {}
        self._photos.mkdir(parents=True)

    @property
    def _state(self) -> Path:
        return self.root / f"state-{self._moves}"

    def sections(self) -> dict[str, object]:
        return {"source": {"path": "photos"}, "output": {"path": "finished"}, "state": self._state.name}

    def sync(self, wanted: Mapping[str, bytes]) -> None:
        for key in self._written.keys() - wanted.keys():
            (self._photos / key).unlink()
            del self._written[key]
        for key, content in wanted.items():
            digest = hashlib.sha256(content).hexdigest()
            if self._written.get(key) != digest:
                _put(self._photos / key, content)
                # A picture keeps its time when it is renamed or copied.
                moment = 1_600_000_000 + int(digest[:7], 16)
                os.utime(self._photos / key, (moment, moment))
                self._written[key] = digest

    def outputs(self) -> dict[str, bytes]:
        found = {name: (self._output / name).read_bytes() for name in _sizes(self._output)}
        found.pop(_MARK, None)
        return found

    def write_output(self, name: str, content: bytes) -> None:
        _put(self._output / name, content)

    def restore_output(self, name: str) -> None:
        file = self._output / name
        copied = file.with_name(f"{file.name}.copy")
        shutil.copyfile(file, copied)
        copied.replace(file)

    def delete_output(self, name: str) -> None:
        (self._output / name).unlink()

    def state_files(self) -> dict[str, int]:
        return _sizes(self._state)

    def state_text(self, name: str) -> str:
        return (self._state / name).read_text("utf-8")

    def move_state(self) -> str:
        before = self._state
        self._moves += 1
        return str(before)

    def outlive_the_lease(self) -> None:
        """An OS lock ends with its process."""


class Prefixes:
    """Everything in prefixes of one bucket but the job file and the rows; a state moves to a folder and back."""

    def __init__(self, root: Path, bucket: Bucket) -> None:
        self.root = root
        root.mkdir(parents=True)
        self._bucket, self._place = bucket, bucket.fresh()
        self._client = bucket.client()
        self._moves = 0
        self._written: dict[str, bytes] = {}

    @property
    def environment(self) -> Mapping[str, str]:
        return self._bucket.environment

    @property
    def _state(self) -> str:
        """The state's place as the job file has it."""
        return str(self.root / self._name) if self._on_disk else f"{self._place}{self._name}/"

    @property
    def _name(self) -> str:
        return f"state-{self._moves}"

    @property
    def _on_disk(self) -> bool:
        return self._moves % 2 == 1

    def sections(self) -> dict[str, object]:
        return {
            "source": {"path": f"{self._place}raw/"},
            "output": {"path": f"{self._place}web/"},
            "state": self._state,
            "lease": f"{LEASE:g}s",
        }

    def sync(self, wanted: Mapping[str, bytes]) -> None:
        for key in self._written.keys() - wanted.keys():
            self._delete(f"raw/{key}")
        for key, content in wanted.items():
            if self._written.get(key) != content:
                self._put(f"raw/{key}", content)
        self._written = dict(wanted)

    def outputs(self) -> dict[str, bytes]:
        found = {name: self._read(f"web/{name}") for name in self._sizes("web/")}
        found.pop(_MARK, None)
        return found

    def write_output(self, name: str, content: bytes) -> None:
        self._put(f"web/{name}", content)

    def restore_output(self, name: str) -> None:
        self._put(f"web/{name}", self._read(f"web/{name}"))

    def delete_output(self, name: str) -> None:
        self._delete(f"web/{name}")

    def state_files(self) -> dict[str, int]:
        return _sizes(Path(self._state)) if self._on_disk else self._sizes(f"{self._name}/")

    def state_text(self, name: str) -> str:
        if self._on_disk:
            return Path(self._state, name).read_text("utf-8")
        return self._read(f"{self._name}/{name}").decode("utf-8")

    def move_state(self) -> str:
        before = self._state
        self._moves += 1
        return before

    def outlive_the_lease(self) -> None:
        if not self._on_disk:
            time.sleep(LEASE + 2)

    def _key(self, name: str) -> str:
        return self._place.prefix + name

    def _put(self, name: str, content: bytes) -> None:
        self._client.put_object(Bucket=self._bucket.name, Key=self._key(name), Body=content)

    def _read(self, name: str) -> bytes:
        return self._client.get_object(Bucket=self._bucket.name, Key=self._key(name))["Body"].read()

    def _delete(self, name: str) -> None:
        self._client.delete_object(Bucket=self._bucket.name, Key=self._key(name))

    def _sizes(self, below: str) -> dict[str, int]:
        prefix = self._key(below)
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket.name, Prefix=prefix)
        entries = [entry for page in pages for entry in page.get("Contents", [])]
        return {entry["Key"].removeprefix(prefix): entry["Size"] for entry in entries}


def _put(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def _sizes(folder: Path) -> dict[str, int]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
