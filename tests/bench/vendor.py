"""The emulator in a process of its own, so that its work is not counted as the pipeline's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import Any


@dataclass(frozen=True)
class Call:
    """One paid request as the server saw it; times in Unix seconds."""

    begun: float
    answered: float
    status: int


@dataclass(frozen=True)
class Vendor:
    """A running emulator."""

    url: str
    key: str

    @property
    def environment(self) -> dict[str, str]:
        return {"VENICE_BASE_URL": self.url, "VENICE_API_KEY": self.key}

    def calls(self) -> list[Call]:
        """Every paid request so far, refused ones included; none may have been left without an answer."""
        entries: list[dict[str, Any]] = self._ask("log")
        paid = [entry for entry in entries if entry["method"] == "POST"]
        lost = [entry for entry in paid if entry["status"] is None or entry["aborted"]]
        assert not lost, f"{len(lost)} calls were not answered: the figures would be wrong"
        return [Call(entry["time_begun"], entry["time_answered"], entry["status"]) for entry in paid]

    def reset(self) -> None:
        """Forget the calls so far."""
        self._ask("reset", {})

    def _ask(self, name: str, document: object = None) -> Any:
        data = None if document is None else json.dumps(document).encode()
        control = self.url.removesuffix("/api/v1") + "/_emulator"
        with urllib.request.urlopen(f"{control}/{name}", data, timeout=30) as answer:  # noqa: S310 - loopback
            return json.load(answer)


def most_in_flight(calls: list[Call]) -> int:
    """Return how many requests the server was working on at once, at most."""
    edges = sorted([(call.begun, 1) for call in calls] + [(call.answered, -1) for call in calls])
    return max(accumulate(change for _, change in edges))


@contextmanager
def serving(*, latency: float, rpm: int) -> Iterator[Vendor]:
    """Serve canned pictures: of the right size and a believable weight, at next to no cost."""
    options = {"--port": 0, "--pictures": "canned", "--latency": latency, "--rpm": rpm, "--usd": 1000}
    arguments = [str(part) for option in options.items() for part in option]
    with subprocess.Popen(
        [sys.executable, "-m", "venice_batch.emulator", *arguments], stdout=subprocess.PIPE, env=dict(os.environ)
    ) as server:
        try:
            assert server.stdout is not None
            where = json.loads(server.stdout.readline())
            yield Vendor(where["url"], where["key"])
        finally:
            server.terminate()
            server.wait(timeout=20)
