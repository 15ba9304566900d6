"""Photos to work on, all different, and the job file that says what to do with them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import yaml
from PIL import Image

_START_OF_IMAGE, _COMMENT = b"\xff\xd8", b"\xff\xfe"


@dataclass(frozen=True)
class Bench:
    """A folder with photos, a job, and room for what comes of it."""

    root: Path

    @property
    def job(self) -> Path:
        return self.root / "job.yaml"

    @property
    def photos(self) -> Path:
        return self.root / "photos"

    @property
    def finished(self) -> Path:
        return self.root / "finished"

    def draw(self, count: int, size: tuple[int, int]) -> list[Path]:
        """Write JPEG photos with the same grainy pixels and different bytes: of the weight that photos have."""
        held = io.BytesIO()
        Image.effect_noise(size, 24).convert("RGB").save(held, "JPEG", quality=80)
        picture = held.getvalue().removeprefix(_START_OF_IMAGE)
        self.photos.mkdir()
        paths = [self.photos / f"{number // 100:02}" / f"{number:05}.jpg" for number in range(count)]
        for number, path in enumerate(paths):
            path.parent.mkdir(exist_ok=True)
            # Comments of different lengths: no two files have the same size, as no two photos do.
            text = b"photo" + b"." * number
            path.write_bytes(_START_OF_IMAGE + _COMMENT + (len(text) + 2).to_bytes(2, "big") + text + picture)
        return paths

    def write(self, *steps: object, **sections: object) -> Path:
        """Write the job file."""
        document = {
            "version": 1,
            "name": "bench",
            "source": {"path": "photos"},
            "steps": list(steps),
            "output": {"path": "finished"},
            **sections,
        }
        self.job.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
        return self.job

    def results(self) -> list[Path]:
        """The stored answers."""
        found = (self.finished / ".venice-batch" / "bench" / "results").glob("??/*")
        return [path for path in found if not path.suffix]

    def outputs(self) -> list[Path]:
        """The finished files."""
        return [path for path in self.finished.glob("*/*") if path.is_file() and not path.parent.name.startswith(".")]
