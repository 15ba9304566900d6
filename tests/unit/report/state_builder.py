"""Builds states with items of every kind, written as a run writes them, with real pictures, for tests of the report."""

from __future__ import annotations

import colorsys
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw

from venice_batch.report.gather import Access, ReportLimits, gather, relative_href
from venice_batch.report.page import write_report
from venice_batch.report.report_data import ReportData
from venice_batch.state import (
    Begun,
    Event,
    ItemId,
    ItemMoved,
    OutputWritten,
    Reserved,
    RunEnded,
    RunStarted,
    Settled,
    SourceRead,
    State,
    to_write,
)

JOB = "nightly-catalogue"
STEPS = ("background-remove", "staged")
PRICES = {"background-remove": 30_000, "staged": 230_000}
MODELS = {"background-remove": "bria-bg-remover", "staged": "nano-banana-pro-edit"}
#: 2026-11-21 02:00 UTC.
START = 1_795_226_400.0
HOSTILE = (
    "<script>document.title='owned'</script>.png",
    "\"><img src=x onerror=alert(1)>'.png",
    "</script><script>throw 1</script>.png",
    "=cmd|' /C calc'!A0.png",
    "<!--<script>-- {{ 7*7 }} {% raw %} &lt;b&gt; \u2028\u202egnp.exe",
)


def draw(path: Path, name: str, kind: str) -> None:
    """Draw a product; `kind` is what was done to it: photo, cut-out or staged."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hue = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[0] / 255
    body = tuple(int(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.45, 0.75))
    backdrop = {"photo": (222, 224, 226, 255), "cut-out": (0, 0, 0, 0), "staged": (240, 226, 205, 255)}[kind]
    size = (480, 600) if kind == "staged" else (640, 480)
    picture = Image.new("RGBA", size, backdrop)
    pen, (width, height) = ImageDraw.Draw(picture), size
    if kind == "staged":
        pen.rectangle((0, height * 0.72, width, height), fill=(214, 190, 160, 255))
    pen.rounded_rectangle((width * 0.3, height * 0.2, width * 0.7, height * 0.85), radius=40, fill=(*body, 255))
    pen.ellipse((width * 0.4, height * 0.28, width * 0.6, height * 0.45), fill=(255, 255, 255, 160))
    picture.save(path, "PNG") if kind == "cut-out" else picture.convert("RGB").save(path, "PNG")


@dataclass
class StateBuilder:
    """A state under the hands of a pretended run."""

    root: Path
    state: State
    run: int = 1
    at: float = START
    call: int = 0
    pause: float = 7.0
    pictures: bool = True
    _events: list[Event] = field(default_factory=list)

    @property
    def source(self) -> Path:
        return self.root / "photos"

    @property
    def output(self) -> Path:
        return self.root / "finished"

    @property
    def folder(self) -> Path:
        return self.root / "state" / "report"

    # What happens in it

    def begin(self, run: int = 1, at: float = START) -> None:
        self.run, self.at = run, at
        self._events.append(RunStarted(run, JOB, at))

    def end(self, exit_code: int, cause: str = "") -> None:
        self._events.append(RunEnded(self.run, self.at, exit_code, closed=True, cause=cause))

    def item(
        self, key: str, state: str, code: str = "", reason: str = "", *, steps: Sequence[str] = (), lost: str = ""
    ) -> None:
        """Let an item come to its end: `steps` were bought, and the answer of `lost` never came."""
        self.at += self.pause
        sha256 = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        events: list[Event] = [SourceRead(JOB, key, "v1", 1000, sha256, json.dumps({}))]
        if self.pictures and code != "gone":
            draw(self.source / flat(key), key, "photo")
        for step in steps:
            flags = [code] if state == "flagged" and step == steps[-1] else []
            events += self._bought(key, step, flags)
        if lost:
            events += self._lost(key, lost)
        if state == "done":
            draw(self.output / flat(key), key, "staged") if self.pictures else None
            events.append(OutputWritten(ItemId(JOB, key), flat(key), "v1", sha256[::-1]))
        self._events += [*events, ItemMoved(ItemId(JOB, key), "v1", "f1", state, self.at, code, reason)]

    def _bought(self, key: str, step: str, flags: Sequence[str]) -> list[Event]:
        call, result = self._begun(key, step)
        if self.pictures:
            arriving = self.state.results.incoming(result)
            draw(arriving, key, "cut-out" if step == STEPS[0] else "staged")
            kept = self.state.results.keep(result, arriving, {"content_type": "image/png"})
            self.state.results.note_verdict(kept, {"flags": list(flags)})
        took = 2 + self.call % 5
        served = MODELS[step]
        return [*call, Settled(self.call, "spent", "answered", self.at + took, 200, 1, f"req-{self.call:05}", served)]

    def _lost(self, key: str, step: str) -> list[Event]:
        call, _ = self._begun(key, step)
        return [*call, Settled(self.call, "uncertain", "the connection was reset", self.at + 30, None, 1, "req-lost")]

    def refused(self, key: str, step: str, reason: str) -> None:
        """Let a call be refused at no cost."""
        call, _ = self._begun(key, step)
        end = Settled(self.call, "released", "refused", self.at + 1, 400, 1, f"req-{self.call:05}")
        self._events += [*call, end]
        self.item(key, "failed", "refused", reason)

    def _begun(self, key: str, step: str) -> tuple[list[Event], str]:
        self.call += 1
        result = hashlib.sha256(f"{key} {step}".encode("utf-8", "surrogatepass")).hexdigest()
        reserved = Reserved(self.call, self.run, ItemId(JOB, key), step, f"/image/{step}", None, PRICES[step], self.at)
        return [reserved, Begun(self.call, result, self.at)], result

    # What is made of it

    def access(self) -> Access:
        return Access(
            before=lambda row, _: self.source / flat(row.key),
            finished=lambda output, _: self.output / output.path,
            result=lambda result, spare: self.state.results.bytes(result.key, spare),
            href=relative_href(self.folder, self.output),
        )

    def gather(self, **options: object) -> ReportData:
        self.state.commit(self._events)
        self._events.clear()
        scratch = self.root / "scratch"
        scratch.mkdir(exist_ok=True)
        given: dict[str, object] = {"access": self.access(), "limits": ReportLimits(), "steps": STEPS, **options}
        return gather(
            self.state,
            JOB,
            folder=self.folder,
            scratch=scratch,
            now=self.at + 60,
            **given,  # type: ignore[arg-type]  # options of a test, by name
        )

    def report(self, **options: object) -> Path:
        return write_report(self.gather(**options), self.folder)


def flat(key: str) -> str:
    """Return a file name that the disk takes, for any key."""
    return key.replace("/", "_")


@contextmanager
def building(root: Path) -> Iterator[StateBuilder]:
    """Open an empty state below `root`."""
    root.mkdir(parents=True, exist_ok=True)
    with to_write(root / "state") as state:
        yield StateBuilder(root, state)


def mixed(built: StateBuilder) -> None:
    """Give a state done, failed, flagged, uncertain, invalid and waiting items, and hostile names."""
    built.begin(1, START - 86_400)
    for number in range(6):
        built.item(f"shoes/sneaker-{number:02}.png", "done", steps=STEPS)
    built.end(0)
    built.begin(2)
    for number in range(14):
        built.item(f"bags/handbag-{number:02}.png", "done", steps=STEPS)
        built.pause = 4.0 + number % 4 * 6
    for name in HOSTILE:
        built.item(name, "done", steps=STEPS)
    built.refused("lamps/torchère-01.png", "staged", "step 'staged': the prompt was refused (content policy)")
    reason = "step 'background-remove': every answer was no picture"
    built.item("lamps/lamp-02.png", "failed", "bad-answer", reason, steps=())
    reason = "step 'staged': held back: blurred"
    built.item("mugs/mug-01.png", "flagged", "blurred", reason, steps=STEPS)
    built.item(
        "mugs/mug-02.png", "flagged", "no-alpha", "step 'background-remove': held back: no-alpha", steps=STEPS[:1]
    )
    reason = "step 'staged': the answer was lost after the request was sent; it may have been charged"
    built.item("rings/ring-01.png", "uncertain", "uncertain", reason, steps=STEPS[:1], lost="staged")
    built.item("broken/camera.png", "invalid", "broken", "the picture is damaged: image file is truncated")
    built.item("later/vase.png", "waiting", "budget", "waits for money: budget.max_usd is reached")
    built.end(5, "no money")


def large(built: StateBuilder, count: int = 10_000) -> None:
    """Give a state so many items, with a few pictures that all of them share in turn."""
    built.begin()
    built.pictures = False
    built.pause = 0.9
    for number in range(count):
        key = f"catalogue/{number // 100:03}/product-{number:05}.png"
        if number % 97 == 0:
            built.item(key, "failed", "refused", f"step 'staged': refused, reason number {number}")
        else:
            built.item(key, "done", steps=STEPS)
    built.end(3)
