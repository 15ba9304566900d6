"""Carries a folder of photos through a shop's local steps, in so many threads: a program of its own, to be measured.

``python -m tests.bench.local_steps PHOTOS OUTPUT WORKERS``
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from venice_batch.imaging import Rendition
from venice_batch.steps.local import LocalStep, renderer
from venice_batch.steps.table import STEPS, build

CHAIN: tuple[tuple[str, dict[str, object]], ...] = (
    ("orient", {}),
    ("srgb", {}),
    ("trim", {}),
    ("resize", {"max_side": 2000}),
    ("pad", {"aspect_ratio": "1:1", "margin": "5%", "color": "white"}),
)
RENDITION = Rendition("JPEG", quality=85)


def main(photos: Path, output: Path, workers: int) -> None:
    """Work through the folder and print the seconds it took."""
    output.mkdir()
    built = [build(name, name, STEPS[name].fields.model_validate(fields)) for name, fields in CHAIN]
    steps = [step for step in built if isinstance(step, LocalStep)]
    sources = sorted(photos.iterdir())

    def finish(source: Path) -> None:
        with renderer(steps, source, output / f".{source.name}", several=False) as write:
            write(output / source.name, RENDITION)

    begun = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(finish, sources))
    print(time.perf_counter() - begun)  # noqa: T201 - the figure is what the program is for


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
