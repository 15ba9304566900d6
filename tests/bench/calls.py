"""The same uploads and downloads made by a bare httpx2 script, and by the client alone, each in a process of its own.

``python -m tests.bench.calls WAY URL KEY PHOTOS ANSWERS THREADS`` prints the processor seconds that the calls took,
without those of the imports. The way ``decode`` makes no calls: it decodes PHOTOS and ANSWERS once each, which is what
judging every answer costs at the least.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx2
from PIL import Image

from venice_batch.venice import Api, Breaker, Cancel, Client, Gate, Lanes, Secret

FIELDS = {"scale": "2"}
LANE = "upscaler"
Upload = Callable[[Path, Path], None]


def bare(stack: ExitStack, url: str, key: str, threads: int) -> Upload:
    """Return an upload as anybody would write it with httpx2: the photo from its file, the answer to a file."""
    limits = httpx2.Limits(max_connections=threads, max_keepalive_connections=threads)
    http = stack.enter_context(
        httpx2.Client(limits=limits, timeout=60, headers={"authorization": f"Bearer {key}"}),
    )

    def upload(photo: Path, into: Path) -> None:
        with (
            photo.open("rb") as file,
            http.stream("POST", f"{url}/image/upscale", data=FIELDS, files={"image": file}) as answer,
            into.open("xb") as target,
        ):
            answer.raise_for_status()
            for chunk in answer.iter_bytes():
                target.write(chunk)

    return upload


def client(stack: ExitStack, url: str, key: str, _threads: int) -> Upload:
    """Return an upload by the pipeline's client, with gate, lane and breaker, but without the judgement."""
    cancel = Cancel()
    made = stack.enter_context(
        Client(
            Api(url, Secret(key)),
            gate=Gate(cancel),
            lanes=Lanes({LANE: 1_000_000}, cancel=cancel),
            breaker=Breaker(cancel=cancel),
            cancel=cancel,
        )
    )

    def upload(photo: Path, into: Path) -> None:
        made.upscale(photo, {"scale": 2}, into=into, lane=LANE)

    return upload


def called(upload: Upload, photos: Iterable[Path], answers: Path, threads: int) -> None:
    """Upload all photos from so many threads."""
    answers.mkdir()
    with ThreadPoolExecutor(threads) as crew:
        for _ in crew.map(lambda photo: upload(photo, answers / photo.stem), photos):
            pass


def decoded(pictures: Iterable[Path], threads: int) -> None:
    """Decode all pictures whole."""

    def decode(picture: Path) -> None:
        with Image.open(picture) as opened:
            opened.load()

    with ThreadPoolExecutor(threads) as crew:
        for _ in crew.map(decode, pictures):
            pass


def main(arguments: Sequence[str]) -> None:
    """Do it one way, and say what it took."""
    way, url, key = arguments[:3]
    photos, answers, threads = Path(arguments[3]), Path(arguments[4]), int(arguments[5])
    files = sorted(photos.rglob("*.jpg"))
    with ExitStack() as stack:
        ways = {"bare": bare, "client": client}
        upload = ways[way](stack, url, key, threads) if way in ways else None
        before = _cpu()
        if upload is None:
            decoded([*files, *answers.iterdir()], threads)
        else:
            called(upload, files, answers, threads)
        sys.stdout.write(f"{_cpu() - before}\n")


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main(sys.argv[1:])
