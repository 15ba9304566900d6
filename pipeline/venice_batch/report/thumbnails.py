"""Small pictures beside the review page: made once for each content, at most so many, and for at most so long."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from venice_batch.errors import ItemError, VeniceBatchError
from venice_batch.imaging import Limits, fitted_size, oriented
from venice_batch.imaging.decode import probe
from venice_batch.imaging.pixels import upright
from venice_batch.report.report_data import Picture
from venice_batch.storage import DISK, temporary_beside

#: The folder of thumbnails, beside the page.
FOLDER = "thumbnails"
#: The longer side of a thumbnail, in pixels.
SIDE = 480
_QUALITY = 80
#: Content, then the size of the picture that is shown: reading the name is enough to lay out the page.
_NAME = re.compile(r"([0-9a-f]{24})-(\d+)x(\d+)\.webp")

#: Opens the bytes of a picture: returns a local file, which is the path given where they had to be fetched. None: there
#: is no such picture.
Opener = Callable[[Path], Path | None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A picture to show.

    Attributes:
        identity: says which bytes; the same identity is never decoded again.
        open: gets the bytes.
    """

    identity: str
    open: Opener

    @property
    def digest(self) -> str:
        """The first part of the thumbnail's name."""
        return hashlib.sha256(self.identity.encode("utf-8", "surrogatepass")).hexdigest()[:24]


class Thumbnails:
    """The thumbnails of one report folder.

    Attributes:
        failures: why bytes could not be had; pictures that cannot be decoded are not among them.
    """

    def __init__(
        self,
        folder: Path,
        *,
        scratch: Path,
        clock: Callable[[], float],
        seconds: float,
        known: Collection[str] = (),
        threads: int = 2,
    ) -> None:
        """Look at what is there already.

        Args:
            folder: of the report.
            scratch: a private folder for bytes that have to be fetched.
            clock: monotonic seconds.
            seconds: after this long no further picture is opened; those that are there are still shown.
            known: names of thumbnails that exist elsewhere (a report kept in a bucket) and need not be made.
            threads: how many pictures to decode at once.
        """
        self._folder = folder / FOLDER
        self._scratch = scratch
        self._clock = clock
        self._until = clock() + seconds
        self._threads = threads
        self.failures: list[str] = []
        # Lists, since threads may add to one at the same time.
        self._late: list[Wanted] = []
        there = [entry.name for entry in self._folder.iterdir()] if self._folder.is_dir() else []
        self._have = {name.partition("-")[0]: picture for name in (*known, *there) if (picture := _named(name))}

    @property
    def late(self) -> int:
        """How many pictures were left for the next report because the time was up."""
        return len(self._late)

    def make(self, wanted: Iterable[Wanted]) -> dict[str, Picture]:
        """Return the thumbnails by identity, making those that are missing.

        A picture that cannot be shown is left out and noted in `failures`: a report must be made all the same.

        Args:
            wanted: the most important first.

        Raises:
            OSError: the folder cannot be written.
        """
        asked = {one.digest: one for one in wanted}
        missing = [one for digest, one in asked.items() if digest not in self._have]
        if missing:
            DISK.make_folder(self._folder)
            with ThreadPoolExecutor(self._threads) as pool:
                made = pool.map(self._made, missing)
                self._have.update((one.digest, picture) for one, picture in zip(missing, made, strict=True) if picture)
            DISK.sync(self._folder)
        return {one.identity: self._have[digest] for digest, one in asked.items() if digest in self._have}

    def _made(self, wanted: Wanted) -> Picture | None:
        if self._clock() >= self._until:
            self._late.append(wanted)
            return None
        fetched = temporary_beside(self._scratch / wanted.digest)
        try:
            path = wanted.open(fetched)
            return None if path is None else self._shrunk(path, wanted.digest)
        except (ItemError, FileNotFoundError):
            # What cannot be decoded is why its item failed, and the item says so.
            return None
        except (VeniceBatchError, OSError) as error:
            self.failures.append(str(error))
            return None
        finally:
            fetched.unlink(missing_ok=True)

    def _shrunk(self, path: Path, digest: str) -> Picture:
        small, (width, height) = shrunk(path)
        target = self._folder / f"{digest}-{width}x{height}.webp"
        temporary = temporary_beside(target)
        try:
            with temporary.open("xb") as file:
                small.save(file, "WEBP", quality=_QUALITY, method=2)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        return Picture(target.name, width, height)


def shrunk(path: Path) -> tuple[Image.Image, tuple[int, int]]:
    """Return a picture at most `SIDE` pixels wide and high, upright and in sRGB, and the size it had, upright.

    Args:
        path: an untrusted local file.

    Raises:
        ItemError: it cannot be decoded (see `venice_batch.imaging.verify`).
    """
    header = probe(path)
    size = oriented(header).size
    return upright(path, header, fitted_size(size, Limits(max_side=SIDE)), rough=True), size


def sweep(folder: Path, keep: Collection[str]) -> int:
    """Remove thumbnails that no page refers to any more; return how many.

    Args:
        folder: of the report.
        keep: names to keep. Files that are no thumbnails of ours are never touched.
    """
    stale = [path for path in (folder / FOLDER).glob("*.webp") if _named(path.name) and path.name not in keep]
    for path in stale:
        path.unlink(missing_ok=True)
    return len(stale)


def is_thumbnail(name: str) -> bool:
    """Whether a file of this name is a thumbnail of ours."""
    return _named(name) is not None


def _named(name: str) -> Picture | None:
    found = _NAME.fullmatch(name)
    return None if found is None else Picture(name, int(found[2]), int(found[3]))
