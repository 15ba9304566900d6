"""What the answers look like: real enlargements, real cut-outs, edits that can be seen."""

from __future__ import annotations

import base64
import http.server
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest
from PIL import Image, ImageChops, ImageStat

from tests.contract.emulator.conftest import BACKDROP, SUBJECT, EmulatorClient, OpenClient, opened, photo, text
from venice_batch.emulator import Settings
from venice_batch.emulator.pictures import UPSCALE_CAP, upscaled_size


def _far(one: object, other: tuple[int, int, int]) -> int:
    assert isinstance(one, tuple)
    return max(abs(int(a) - b) for a, b in zip(one[:3], other, strict=True))


@pytest.mark.parametrize(("scale", "size"), [("2", (800, 600)), ("4", (1600, 1200))])
def test_an_upscale_is_an_enlargement_of_the_same_picture(
    client: EmulatorClient, scale: str, size: tuple[int, int]
) -> None:
    source = Image.open(io.BytesIO(photo()))
    large = opened(client.form("/image/upscale", photo(), scale=scale))
    assert (large.format, large.size) == ("PNG", size)
    difference = ImageChops.difference(large.convert("RGB").resize(source.size), source)
    assert max(ImageStat.Stat(difference).mean) < 2


def test_the_upscale_cap_keeps_the_aspect() -> None:
    width, height = upscaled_size((4000, 3000), 4)
    assert UPSCALE_CAP * 0.999 < width * height <= UPSCALE_CAP
    assert abs(width / height - 4 / 3) < 0.001


def test_a_cut_out_keeps_the_subject_and_loses_the_backdrop(client: EmulatorClient) -> None:
    cut = opened(client.form("/image/background-remove", photo()))
    assert (cut.format, cut.mode, cut.size) == ("PNG", "RGBA", (400, 300))
    assert cut.getpixel((5, 5)) == (*BACKDROP, 0)
    assert cut.getpixel((200, 150)) == (*SUBJECT, 255)
    levels = cut.getchannel("A").histogram()
    assert 0.70 < levels[0] / 120_000 < 0.85
    assert 0.15 < levels[255] / 120_000 < 0.25
    assert sum(levels[1:255]) > 0, "the edge is soft"


def test_even_one_plain_colour_gets_both_kinds_of_pixels(client: EmulatorClient) -> None:
    held = io.BytesIO()
    Image.new("RGB", (300, 300), "red").save(held, "PNG")
    low, high = opened(client.form("/image/background-remove", held.getvalue())).getchannel("A").getextrema()
    assert (low, high) == (0, 255)


def test_an_edit_sets_the_cut_out_on_a_backdrop_that_follows_from_the_prompt(client: EmulatorClient) -> None:
    cut = client.form("/image/background-remove", photo()).content
    one = opened(client.form("/image/edit", cut, prompt="white marble")).convert("RGB")
    other = opened(client.form("/image/edit", cut, prompt="dark wood")).convert("RGB")
    assert one.size == (1024, 768)
    centre = (one.width // 2, round(one.height * 0.48))
    assert _far(one.getpixel(centre), SUBJECT) < 12
    assert _far(one.getpixel((5, 5)), BACKDROP) > 12
    assert one.getpixel((5, 5)) != other.getpixel((5, 5))


@pytest.mark.parametrize(
    ("fields", "kind", "size"),
    [
        ({}, "PNG", (1024, 768)),
        ({"aspect_ratio": "1:1"}, "PNG", (1024, 1024)),
        ({"aspect_ratio": "4:5", "resolution": "2K"}, "JPEG", (1638, 2048)),
        ({"aspect_ratio": "21:9", "resolution": "4K"}, "JPEG", (4096, 1755)),
        ({"resolution": "2K", "output_format": "png"}, "PNG", (2048, 1536)),
        ({"output_format": "webp"}, "WEBP", (1024, 768)),
    ],
)
def test_an_edit_has_the_size_and_format_of_its_tier(
    client: EmulatorClient, fields: dict[str, str], kind: str, size: tuple[int, int]
) -> None:
    answer = client.form("/image/edit", photo(), prompt="x", model="nano-banana-pro-edit", **fields)
    picture = opened(answer)
    assert (picture.format, picture.size) == (kind, size)
    assert answer.headers["content-type"] == f"image/{kind.lower()}"
    assert answer.headers["x-venice-model-id"] == "nano-banana-pro-edit"
    assert answer.headers["x-venice-emulated"] == "true"


def _drawn(answer: httpx2.Response) -> list[bytes]:
    assert answer.status_code == 200, answer.text
    return [base64.b64decode(each) for each in answer.json()["images"]]


def test_generation_follows_prompt_and_seed_and_variants_differ(client: EmulatorClient) -> None:
    def draw(prompt: str, seed: int) -> list[bytes]:
        fields = {"model": "qwen-image-2", "prompt": prompt, "seed": seed, "variants": 3, "format": "png"}
        return _drawn(client.json("/image/generate", **fields))

    vase = draw("a vase", 7)
    assert len(set(vase)) == 3
    assert draw("a vase", 7) == vase
    assert draw("a vase", 8)[0] != vase[0]
    assert draw("a bowl", 7)[0] != vase[0]


@pytest.mark.parametrize(
    ("fields", "kind", "size"),
    [
        ({"model": "z-image-turbo"}, "WEBP", (1024, 1024)),
        ({"model": "z-image-turbo", "width": 640, "height": 480, "format": "jpeg"}, "JPEG", (640, 480)),
        ({"model": "nano-banana-pro", "aspect_ratio": "16:9", "resolution": "2K"}, "WEBP", (2048, 1152)),
    ],
)
def test_generation_has_the_size_that_was_asked_for(
    client: EmulatorClient, fields: dict[str, object], kind: str, size: tuple[int, int]
) -> None:
    picture = opened(client.json("/image/generate", prompt="x", return_binary=True, **fields))
    assert (picture.format, picture.size) == (kind, size)


def test_safe_mode_blurs_and_says_so(client: EmulatorClient) -> None:
    blurred = client.form("/image/edit", photo(), prompt="blurme please")
    assert blurred.headers["x-venice-is-blurred"] == "true"
    sharp = client.form("/image/edit", photo(), prompt="blurme please", safe_mode="false")
    assert "x-venice-is-blurred" not in sharp.headers


def test_a_deprecated_model_warns_in_its_headers(client: EmulatorClient) -> None:
    headers = client.form("/image/edit", photo(), prompt="x", model="seedream-v4-edit").headers
    assert headers["x-venice-deprecated"] == "true"
    assert headers["x-venice-deprecated-replacement"] == "qwen-image-3-edit"
    assert "x-venice-model-deprecation-warning" in headers
    assert "x-venice-model-deprecation-date" in headers


@contextmanager
def _picture_server(data: bytes) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/photo.png" else 302)
            self.send_header("Location", "/photo.png")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_a_loopback_url_is_fetched_without_following_redirects(client: EmulatorClient) -> None:
    with _picture_server(photo((512, 256))) as address:
        fetched = client.json("/image/background-remove", image_url=f"{address}/photo.png")
        assert opened(fetched).size == (512, 256)
        redirected = client.json("/image/background-remove", image_url=f"{address}/elsewhere")
        assert redirected.status_code == 400
        assert "image_url is invalid or corrupt" in redirected.text


def test_an_unreachable_host_is_a_400_and_any_other_a_placeholder(client: EmulatorClient) -> None:
    assert client.json("/image/edit", image="https://shop.invalid/a.png", prompt="x").status_code == 400
    one = client.json("/image/edit", image="https://shop.example/a.png", prompt="x")
    other = client.json("/image/edit", image="https://shop.example/b.png", prompt="x")
    assert opened(one).size == opened(other).size
    assert one.content != other.content


def test_canned_pictures_have_the_right_shape_and_cost_the_same(open_client: OpenClient) -> None:
    client = open_client(Settings(pictures="canned"))
    cut = client.form("/image/background-remove", photo())
    assert (opened(cut).mode, opened(cut).size) == ("RGBA", (400, 300))
    assert client.form("/image/background-remove", photo()).content == cut.content
    assert opened(client.form("/image/upscale", photo(), scale="4")).size == (1600, 1200)
    assert opened(client.json("/image/edit", image=text(photo()), prompt="x")).size == (1024, 768)
    drawn = _drawn(client.json("/image/generate", model="z-image-turbo", prompt="x", variants=2))
    assert len(drawn) == 2
    assert client.running.books.billed_by_sku().keys() == {
        "bria-bg-remover",
        "upscaler-4x",
        "firered-image-edit",
        "z-image-turbo",
    }
