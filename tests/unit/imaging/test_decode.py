from __future__ import annotations

import errno
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from venice_batch.errors import ItemError
from venice_batch.imaging import Facts, probe, verify
from venice_batch.imaging.containers import is_complete
from venice_batch.imaging.decode import decode, pillow_errors
from venice_batch.imaging.facts import DECODE_MAX_PIXELS

Save = Callable[..., Path]
ROOT = Path(__file__).parents[3]

# What production ignores at import, pytest's own filters turn back on: remarks of Pillow on damaged files.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_claiming(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(bytes(1000))) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def code_of(path: Path) -> str:
    with pytest.raises(ItemError) as caught:
        verify(path)
    assert caught.value.message.isprintable()
    return caught.value.code


def test_facts_of_a_jpeg_are_read_from_its_header(save: Save, picture: Image.Image) -> None:
    path = save(picture, "a.jpg")
    assert probe(path) == Facts(
        96, 64, "JPEG", "RGB", has_alpha=False, orientation=1, frames=1, bytes=path.stat().st_size
    )
    assert verify(path) == probe(path)


def test_the_format_is_found_in_the_bytes_not_in_the_name(save: Save, picture: Image.Image) -> None:
    assert probe(save(picture, "a.jpg", format="PNG")).format == "PNG"


@pytest.mark.parametrize(
    ("mode", "name", "alpha"),
    [
        ("RGBA", "a.png", True),
        ("LA", "a.png", True),
        ("RGB", "a.png", False),
        ("P", "a.gif", False),
        ("L", "a.jpg", False),
    ],
)
def test_an_alpha_channel_is_noticed(save: Save, picture: Image.Image, mode: str, name: str, alpha: bool) -> None:  # noqa: FBT001  # a table's column
    assert probe(save(picture.convert(mode), name)).has_alpha is alpha


def test_a_transparent_palette_entry_counts_as_alpha(save: Save, picture: Image.Image) -> None:
    assert probe(save(picture.convert("P"), "a.png", transparency=3)).has_alpha


def test_a_transparent_colour_counts_as_alpha(save: Save, picture: Image.Image) -> None:
    assert probe(save(picture, "a.png", transparency=(90, 90, 90))).has_alpha


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_is_told_as_stored_with_its_orientation(
    save: Save, picture: Image.Image, name: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    facts = probe(save(picture, name, exif=exif))
    assert (facts.size, facts.orientation) == ((96, 64), orientation)


def test_a_nonsense_orientation_means_upright(save: Save, picture: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 77
    assert probe(save(picture, "a.jpg", exif=exif)).orientation == 1


def test_exif_behind_the_pixels_of_a_png_is_found(save: Save, picture: Image.Image, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = save(picture, "a.png").read_bytes()
    late = tmp_path / "late.png"
    late.write_bytes(whole[:-12] + png_chunk(b"eXIf", exif.tobytes()[6:]) + whole[-12:])
    assert probe(late).orientation == 6


def test_probing_does_not_decode_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_claiming(5000, 5000))
    assert probe(path).pixels == 25_000_000
    assert code_of(path) == "broken"


def test_frames_of_an_animation_are_counted(save: Save, picture: Image.Image) -> None:
    more = [Image.new("RGB", picture.size, colour) for colour in ("red", "blue")]
    for name in ("a.gif", "a.webp", "a.png"):
        assert probe(save(picture, name, save_all=True, append_images=more)).frames == 3


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    assert code_of(tmp_path / "a.jpg") == "empty"


@pytest.mark.parametrize(
    "text", [b"just some notes\n", b"<html><body>404</body></html>", b'{"error": "no"}', b"x", b"\x1b[31m\x00"]
)
def test_text_renamed_to_jpg_is_not_a_picture(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(text)
    assert code_of(tmp_path / "a.jpg") == "not-a-picture"


def test_postscript_and_pdf_are_not_opened(tmp_path: Path) -> None:
    for head in (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", b"%PDF-1.7\n"):
        (tmp_path / "a.jpg").write_bytes(head)
        assert code_of(tmp_path / "a.jpg") == "not-a-picture"


def test_a_decompression_bomb_is_refused_from_its_header(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    for side in (50_000, 15_000):
        path.write_bytes(png_claiming(side, side))
        with pytest.raises(ItemError) as caught:
            probe(path)
        assert caught.value.code == "too-large"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_refused_even_where_warnings_are_off(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_claiming(DECODE_MAX_PIXELS // 10_000 + 1, 10_000))
    assert code_of(path) == "too-large"


def test_a_missing_file_may_come_back(tmp_path: Path) -> None:
    with pytest.raises(ItemError) as caught:
        probe(tmp_path / "gone.png")
    assert (caught.value.code, caught.value.lasting) == ("unreadable", False)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_a_picture_cut_anywhere_is_broken(save: Save, picture: Image.Image, name: str) -> None:
    path = save(picture.resize((64, 48)), name)
    whole = path.read_bytes()
    offsets = {*range(16, len(whole), max(1, len(whole) // 60)), len(whole) - 1, len(whole) - 2, len(whole) - 4}
    for offset in offsets:
        path.write_bytes(whole[:offset])
        assert code_of(path) == "broken", f"cut at {offset} of {len(whole)}"


def test_a_jpeg_without_its_last_marker_is_broken_even_with_a_thumbnail_inside(
    save: Save, picture: Image.Image
) -> None:
    path = save(picture, "a.jpg", comment=b"\xff\xd9 looks like the end")
    path.write_bytes(path.read_bytes()[:-2])
    assert code_of(path) == "broken"


def test_what_phones_append_to_a_jpeg_does_no_harm(save: Save, picture: Image.Image) -> None:
    path = save(picture, "a.jpg", progressive=True)
    path.write_bytes(path.read_bytes() + b"\xff\xda MotionPhoto" * 100)
    assert verify(path).format == "JPEG"


def test_a_flipped_bit_in_the_pixels_of_a_png_is_noticed(save: Save, picture: Image.Image) -> None:
    path = save(picture, "a.png")
    whole = bytearray(path.read_bytes())
    at = whole.index(b"IDAT") + 40
    whole[at] ^= 1
    path.write_bytes(whole)
    assert code_of(path) == "broken"


def test_a_wrong_checksum_on_a_remark_behind_the_pixels_is_forgiven(save: Save, picture: Image.Image) -> None:
    path = save(picture, "a.png")
    whole = path.read_bytes()
    remark = png_chunk(b"tEXt", b"Comment\0hello")[:-1] + b"?"
    path.write_bytes(whole[:-12] + remark + whole[-12:])
    assert verify(path).format == "PNG"


@pytest.mark.parametrize("padding", range(3))
def test_the_end_of_a_large_jpeg_is_found_across_the_edge_of_a_block(tmp_path: Path, padding: int) -> None:
    # Files are scanned in blocks of 1 MiB from the first compressed byte on.
    compressed, path = b"\x42" * ((1 << 20) - padding), tmp_path / "a.jpg"
    path.write_bytes(b"\xff\xd8\xff\xda\x00\x02" + compressed + b"\xff\xd9")
    assert is_complete(path, "JPEG")
    path.write_bytes(path.read_bytes()[:-1])
    assert not is_complete(path, "JPEG")


def test_a_draft_is_no_larger_than_needed_and_no_smaller_than_asked(save: Save, picture: Image.Image) -> None:
    path = save(picture.resize((960, 640)), "a.jpg")
    facts, image = decode(path, draft=(200, 130))
    assert (facts.size, image.size) == ((960, 640), (240, 160))


def test_the_first_use_may_come_from_many_threads_at_once(save: Save, picture: Image.Image) -> None:
    code = (
        "import sys, pathlib, concurrent.futures as f, venice_batch.imaging as i\n"
        "with f.ThreadPoolExecutor(8) as pool:\n"
        "    print({x.format for x in pool.map(lambda _: i.verify(pathlib.Path(sys.argv[1])), range(32))})"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(save(picture, "a.avif"))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("{'AVIF'}\n", "")


def test_nothing_is_said_on_stderr_about_a_bomb(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_claiming(15_000, 15_000))
    code = (
        "import sys, pathlib, venice_batch.imaging as i, venice_batch.errors as e\n"
        "try: i.probe(pathlib.Path(sys.argv[1]))\n"
        "except e.ItemError as error: print(error.code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("too-large\n", "")


@pytest.mark.parametrize(
    "error", [OSError(errno.EMFILE, "too many open files"), OSError(errno.EIO, "input/output error"), MemoryError()]
)
def test_what_this_machine_is_short_of_says_nothing_about_the_picture(error: Exception) -> None:
    with pytest.raises(ItemError) as caught, pillow_errors():
        raise error
    assert (caught.value.code, caught.value.lasting) == ("unreadable", False)


@pytest.mark.parametrize("error", [OSError("image file is truncated"), OSError(errno.EINVAL, "seek"), IndexError()])
def test_what_a_decoder_stumbles_over_is_damage(error: Exception) -> None:
    with pytest.raises(ItemError) as caught, pillow_errors():
        raise error
    assert (caught.value.code, caught.value.lasting) == ("broken", True)
