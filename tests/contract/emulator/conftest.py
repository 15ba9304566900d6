"""A running emulator and a bare HTTP client for it; nothing of the package's own client is used here."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from PIL import Image, ImageDraw

from venice_batch.emulator import Running, Settings, serve_in_thread

BACKDROP = (242, 242, 238)
SUBJECT = (180, 30, 40)


def photo(size: tuple[int, int] = (400, 300), kind: str = "PNG") -> bytes:
    """A red disc with a smooth edge in the middle of a plain, light backdrop."""
    width, height = size[0] * 2, size[1] * 2
    large = Image.new("RGB", (width, height), BACKDROP)
    ImageDraw.Draw(large).ellipse((width // 4, height // 4, width * 3 // 4, height * 3 // 4), fill=SUBJECT)
    picture = large.reduce(2)
    held = io.BytesIO()
    picture.save(held, kind)
    return held.getvalue()


def text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def opened(response: httpx2.Response) -> Image.Image:
    assert response.status_code == 200, response.text
    picture = Image.open(io.BytesIO(response.content))
    picture.load()
    return picture


class Clock:
    """Unix seconds that move when told to."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class EmulatorClient:
    """One emulator and a client that holds its inference key."""

    running: Running
    http: httpx2.Client

    def json(self, path: str, **fields: Any) -> httpx2.Response:
        return self.http.post(path, json=fields)

    def form(self, path: str, *images: bytes, name: str = "image", **fields: str) -> httpx2.Response:
        files = [(name, ("image.png", data, "image/png")) for data in images]
        return self.http.post(path, files=files, data=fields)

    def get(self, path: str, *, admin: bool = False, **query: str) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.running.admin_key}"} if admin else {}
        return self.http.get(path, params=query, headers=headers)

    def faults(self, *rules: dict[str, Any]) -> None:
        answer = self.http.post(f"{self.running.control}/faults", json=list(rules))
        assert answer.status_code == 200, answer.text

    def log(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.http.get(f"{self.running.control}/log").json()
        return found

    @property
    def billed(self) -> Decimal:
        return self.running.books.billed()


OpenClient = Callable[[Settings], EmulatorClient]


def _http(running: Running) -> httpx2.Client:
    headers = {"Authorization": f"Bearer {running.key}"}
    return httpx2.Client(base_url=running.url, headers=headers, timeout=10, trust_env=False)


@pytest.fixture
def open_client() -> Iterator[OpenClient]:
    """Start emulators with settings of the test's own."""
    with ExitStack() as stack:

        def start(settings: Settings) -> EmulatorClient:
            running = stack.enter_context(serve_in_thread(settings))
            return EmulatorClient(running, stack.enter_context(_http(running)))

        yield start


@pytest.fixture(scope="session")
def _shared_client() -> Iterator[EmulatorClient]:
    with serve_in_thread(Settings(rpm=10_000)) as running, _http(running) as http:
        yield EmulatorClient(running, http)


@pytest.fixture
def client(_shared_client: EmulatorClient) -> EmulatorClient:
    """The default emulator, as new."""
    _shared_client.http.post(f"{_shared_client.running.control}/reset")
    return _shared_client
