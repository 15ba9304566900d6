"""Header probe and safe decode of untrusted files: the one place where Pillow opens bytes that nobody has checked."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from venice_batch.errors import ItemError, VeniceBatchError
from venice_batch.imaging.containers import is_complete, late_png_exif
from venice_batch.imaging.facts import DECODE_MAX_PIXELS, READ_FORMATS, SIDEWAYS, Facts

# Process-wide, therefore set once, here, before any thread decodes, and never changed again. Pillow raises above twice
# its limit and only warns above it; the filter turns the warning into an error too, so that nothing reaches stderr and
# the limits inside its plugins (TIFF tiles, GIF frames) hold as well. Should a host program reset the filters,
# `_refuse_bomb` still refuses.
Image.MAX_IMAGE_PIXELS = DECODE_MAX_PIXELS
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
# Remarks such as "Corrupt EXIF data" name no file and would tear a progress display; what matters raises.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
# Plugins register themselves on first use; done here so that threads never see a half-filled table.
Image.init()
# Left to itself, glibc keeps freed pixels in the heap of the thread that used them, up to 8 heaps a core: 64 threads
# that decode 16 megapixels, two at a time, then hold 900 MB instead of 190. From this size in bytes on, memory goes
# straight back to the system. Other C libraries have no such function.
_M_MMAP_THRESHOLD, _GIVEN_BACK = -3, 2 << 20
if sys.platform == "linux":
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _GIVEN_BACK)

_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"II*\x00", b"MM\x00*", b"BM", b"8BPS", b"qoif", b"\x00\x00\x00\x0cjP")
_WEBP_MAGIC, _AVIF_MAGIC = (b"RIFF", b"WEBP"), (b"ftyp", b"avi")


def probe(path: Path) -> Facts:
    """Read what the header says, without decoding a pixel.

    Args:
        path: a local file.

    Returns:
        The facts, with width and height as stored.

    Raises:
        ItemError: ``empty`` (no bytes), ``not-a-picture`` (text or an unknown format), ``too-large`` (more than
            `DECODE_MAX_PIXELS`), ``broken`` (a damaged header) or, perhaps only for now, ``unreadable``.
    """
    with open_image(path) as image:
        return _facts_of(image, path)


def verify(path: Path) -> Facts:
    """Probe a file and decode its first picture to the last pixel.

    Args:
        path: a local file.

    Returns:
        The same facts as `probe`.

    Raises:
        ItemError: as `probe`; ``broken`` also when the pixels are damaged or the end of the file is missing.
    """
    facts, _ = decode(path)
    return facts


def decode(path: Path, *, draft: tuple[int, int] | None = None) -> tuple[Facts, Image.Image]:
    """Decode the first picture of a file in full.

    Args:
        path: a local file.
        draft: a size in stored pixels that is enough; a JPEG is then decoded at 1/2, 1/4 or 1/8 while still at least
            that large, which saves most of the memory and time.

    Returns:
        Facts of the file, and the picture, detached from it. Pillow turns TIFFs upright by itself (`pending_turn`).

    Raises:
        ItemError: as `verify`.
    """
    with open_image(path) as image:
        facts = _facts_of(image, path)
        if draft is not None:
            image.draft(None, draft)
        image.load()
        if not is_complete(path, facts.format):
            raise _broken("the end of the file is missing or its checksum is wrong")
        return facts, image


def pending_turn(facts: Facts, *, orient: bool) -> int:
    """Return the EXIF orientation still to be applied to decoded pixels so that they end up as asked.

    Args:
        facts: of the file that was decoded.
        orient: whether the picture should be upright; False leaves it as stored.
    """
    if facts.format != "TIFF":
        return facts.orientation if orient else 1
    undo = {6: 8, 8: 6}
    return 1 if orient else undo.get(facts.orientation, facts.orientation)


@contextmanager
def open_image(path: Path) -> Iterator[ImageFile.ImageFile]:
    """Open a picture for as long as the block lasts; what goes wrong in the block is taken for damage in the file.

    Raises:
        ItemError: as `probe`.
    """
    with _stream(path) as stream:
        head = stream.read(32)
        if not head:
            raise ItemError("empty", "the file has no bytes", remedy="upload or export it again")
        # A stream, not a name: given a name Pillow may map the file into memory, where a file that shrinks kills us.
        with pillow_errors(head), Image.open(stream, formats=READ_FORMATS) as image:
            _refuse_bomb(image.size)
            yield image


@contextmanager
def pillow_errors(head: bytes = b"") -> Iterator[None]:
    """Turn whatever Pillow raises over a picture into an ItemError.

    Args:
        head: first bytes of the file, to tell damage from something that never was a picture.

    Raises:
        ItemError: ``broken``, ``not-a-picture``, ``too-large`` or ``unreadable``.
    """
    try:
        yield
    except VeniceBatchError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large("it unpacks to more pixels") from error
    except UnidentifiedImageError as error:
        raise (_broken("its header is damaged") if _was_a_picture(head) else _not_a_picture(head)) from error
    except OSError as error:
        # Pillow's own have no number; EINVAL is what a seek to a nonsensical offset gives. All others are this
        # machine's: a disk that fails, or no more files to open.
        if error.errno not in {None, errno.EINVAL}:
            raise _unreadable(error) from error
        raise _broken(str(error)) from error
    except MemoryError as error:
        # Pictures that would unpack to too much were refused before: it is this machine that is short of memory, and
        # a good answer taken for a damaged one would be bought again.
        raise _unreadable(OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))) from error
    except Exception as error:
        # Fed with damaged bytes, decoders raise nearly anything: SyntaxError, struct.error, IndexError …
        raise _broken(str(error) or type(error).__name__) from error


def printable(text: str, *, limit: int = 160) -> str:
    """Return text safe for a terminal: control characters and line breaks replaced, cut to `limit` characters."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:limit])


def _stream(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise _unreadable(error) from error


def _facts_of(image: ImageFile.ImageFile, path: Path) -> Facts:
    orientation = _orientation(image, path)
    width, height = image.size
    if image.format == "TIFF" and orientation in SIDEWAYS:
        # Pillow already tells the size of a TIFF as it will be turned on loading; facts are about what is stored.
        width, height = height, width
    return Facts(
        width=width,
        height=height,
        format=image.format or "",
        mode=image.mode,
        has_alpha=image.has_transparency_data,
        orientation=orientation,
        frames=getattr(image, "n_frames", 1),
        bytes=path.stat().st_size,
    )


def _orientation(image: ImageFile.ImageFile, path: Path) -> int:
    if image.format == "PNG" and "exif" not in image.info and (late := late_png_exif(path)):
        image.info["exif"] = late
    # The base class on purpose: the PNG plugin's own method decodes the whole picture in search of EXIF.
    found = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    return found if isinstance(found, int) and found in range(1, 9) else 1


def _refuse_bomb(size: tuple[int, int]) -> None:
    if size[0] * size[1] > DECODE_MAX_PIXELS:
        raise _too_large(f"{size[0]}x{size[1]} has {size[0] * size[1]:,} pixels")


def _was_a_picture(head: bytes) -> bool:
    in_riff = (head[:4], head[8:12]) == _WEBP_MAGIC
    in_box = (head[4:8], head[8:11]) == _AVIF_MAGIC
    return head.startswith(_MAGIC) or in_riff or in_box


def _not_a_picture(head: bytes) -> ItemError:
    begin = printable(head.decode("ascii", "replace"), limit=24)
    return ItemError(
        "not-a-picture",
        f"not a picture that can be read: it begins with '{begin}'",
        remedy="exclude it, or export it as JPEG, PNG or WebP",
    )


def _too_large(what: str) -> ItemError:
    return ItemError(
        "too-large", f"{what}, more than {DECODE_MAX_PIXELS:,} are never decoded", remedy="make the picture smaller"
    )


def _broken(what: str) -> ItemError:
    return ItemError("broken", f"the picture is damaged: {printable(what)}", remedy="replace it with an intact copy")


def _unreadable(error: OSError) -> ItemError:
    return ItemError("unreadable", f"the file cannot be read: {printable(error.strerror or str(error))}", lasting=False)
