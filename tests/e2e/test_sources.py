"""Jobs that do not start from a folder, and steps that take several pictures."""

from __future__ import annotations

import functools
import http.server
import io
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
import trustme
from PIL import Image

from tests.e2e.conftest import CUT, ENLARGE, Work, draw

GENERATE = {"generate": {"model": "z-image-turbo", "variants": 2, "format": "png", "width": 320, "height": 320}}
ROWS = [{"id": "spring", "prompt": 'flowers, "wild"'}, {"id": "autumn", "prompt": "leaves"}]


def _write_rows(work: Work, name: str) -> None:
    if name.endswith(".csv"):
        lines = ["id,prompt", 'spring,"flowers, ""wild"""', "autumn,leaves"]
    else:
        lines = [json.dumps(row) for row in ROWS]
    (work.root / name).write_text("\n".join(lines) + "\n", "utf-8")


def test_every_row_of_a_prompts_file_gives_its_variants_each_enlarged(work: Work) -> None:
    _write_rows(work, "prompts.csv")
    work.write(GENERATE, ENLARGE, source={"prompts": "prompts.csv"})
    plan = work.asked("plan")
    assert (plan["items"]["total"], plan["calls"]) == (4, 6)
    ended = work.run()
    assert ended.code == 0, ended.text
    assert sorted(work.outputs()) == ["autumn-1.png", "autumn-2.png", "spring-1.png", "spring-2.png"]
    assert all(Image.open(io.BytesIO(data)).size == (640, 640) for data in work.outputs().values())
    assert len({*work.outputs().values()}) == 4
    assert sorted(call["params"]["prompt"] for call in work.vendor.paid("/image/generate")) == sorted(
        row["prompt"] for row in ROWS
    )
    assert len(work.vendor.paid("/image/upscale")) == 4
    assert work.vendor.billed() == Decimal(plan["cost"]["high"])
    assert work.run().code == 0
    assert len(work.vendor.paid()) == 6


def test_a_changed_prompt_buys_its_own_row_alone(work: Work) -> None:
    _write_rows(work, "prompts.jsonl")
    work.write(GENERATE, source={"prompts": "prompts.jsonl"})
    assert work.run().code == 0
    assert sorted(work.outputs()) == ["autumn-1.png", "autumn-2.png", "spring-1.png", "spring-2.png"]
    text = (work.root / "prompts.jsonl").read_text("utf-8")
    (work.root / "prompts.jsonl").write_text(text.replace("leaves", "mushrooms"), "utf-8")
    assert work.run().code == 0
    assert [call["params"]["prompt"] for call in work.vendor.paid()][2:] == ["mushrooms"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,prompt\na,b\n", "prompts.csv:1: the first line must name the columns `id` and `prompt`"),
        ("id,prompt\na,b,c\n", "prompts.csv:2: the row has 3 values, and there are 2 columns"),
        ("id,prompt\na,b\na,c\n", "'a' stands there twice"),
        ("id,prompt\n,b\n", "prompts.csv:2: the row has no id"),
    ],
)
def test_a_broken_prompts_file_ends_with_2_and_its_place(work: Work, text: str, words: str) -> None:
    (work.root / "prompts.csv").write_text(text, "utf-8")
    work.write(GENERATE, source={"prompts": "prompts.csv"})
    ended = work.run()
    assert ended.code == 2
    assert words in ended.err
    assert work.vendor.paid() == []


def test_a_missing_prompts_file_ends_with_2(work: Work) -> None:
    work.write(GENERATE, source={"prompts": "nowhere.csv"})
    ended = work.run()
    assert ended.code == 2
    assert "nowhere.csv" in ended.err


def test_multi_edit_takes_the_current_picture_earlier_steps_files_and_the_source(work: Work) -> None:
    work.draw("a.jpg")
    draw(work.root / "brand" / "logo.png", (300, 300))
    images = ["current", {"step": "cut"}, {"file": "brand/logo.png"}, "source"]
    several = {"prompt": "all together", "images": images, "modelId": "nano-banana-pro-edit", "output_format": "png"}
    work.write({CUT: None, "id": "cut"}, ENLARGE, {"multi-edit": several})
    plan = work.asked("plan")
    ended = work.run()
    assert ended.code == 0, ended.text
    (call,) = work.vendor.paid("/image/multi-edit")
    assert len(call["params"]["images"]) == 4
    assert call["params"]["modelId"] == "nano-banana-pro-edit"
    assert work.vendor.billed() == Decimal(plan["cost"]["high"])
    draw(work.root / "brand" / "logo.png", (310, 300))
    assert work.run().code == 0
    assert [entry["path"] for entry in work.vendor.paid()][3:] == ["/image/multi-edit"], (
        "the file is part of the recipe"
    )


def test_a_file_that_a_step_names_and_that_is_missing_ends_with_2(work: Work) -> None:
    work.draw("a.jpg")
    work.write({"multi-edit": {"prompt": "x", "images": ["current", {"file": "brand/logo.png"}]}})
    ended = work.run()
    assert ended.code == 2
    assert "logo.png" in ended.err


# Lists of addresses


def test_addresses_are_edited_where_they_are_without_a_download(work: Work) -> None:
    (work.root / "urls.txt").write_text(
        "# two\nhttps://cdn.example.com/a.png\nhttps://cdn.example.com/b/c.png\n", "utf-8"
    )
    work.write({"edit": {"prompt": "on marble"}}, CUT, source={"urls": "urls.txt"})
    ended = work.run()
    assert ended.code == 0, ended.text
    edits = work.vendor.paid("/image/edit")
    assert {call["transport"] for call in edits} == {"json"}
    assert {call["params"]["image"] for call in edits} == {
        "https://cdn.example.com/a.png",
        "https://cdn.example.com/b/c.png",
    }
    assert sorted(work.outputs()) == ["cdn.example.com/a.png", "cdn.example.com/b/c.png"]
    assert work.run().code == 0
    assert len(work.vendor.paid()) == 4


def test_an_address_that_is_not_https_ends_with_2_and_its_line(work: Work) -> None:
    (work.root / "urls.txt").write_text("https://cdn.example.com/a.png\nhttp://cdn.example.com/b.png\n", "utf-8")
    work.write(CUT, source={"urls": "urls.txt"})
    ended = work.run()
    assert ended.code == 2
    assert "urls.txt:2" in ended.err


@dataclass(frozen=True)
class Shop:
    """A web server over TLS with a folder of pictures, and the certificate authority that vouches for it."""

    url: str
    folder: Path
    authority: Path
    asked: list[str]


class _Pages(http.server.SimpleHTTPRequestHandler):
    """Serves files in silence and remembers who asked for what."""

    def __init__(self, asked: list[str], *arguments: object, **options: object) -> None:
        self.asked = asked
        super().__init__(*arguments, **options)  # type: ignore[arg-type]  # passed through as they came

    def do_GET(self) -> None:
        self.asked.append(f"{self.path} {self.headers.get('authorization')}")
        super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    folder, asked = tmp_path / "shop", list[str]()
    folder.mkdir()
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    pages = functools.partial(_Pages, asked, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), pages) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield Shop(f"https://127.0.0.1:{server.server_address[1]}", folder, tmp_path / "authority.pem", asked)
        server.shutdown()
        thread.join()


def test_an_address_that_the_api_cannot_read_is_fetched_and_sent_as_bytes(work: Work, shop: Shop) -> None:
    draw(shop.folder / "a.png")
    (work.root / "urls.txt").write_text(f"{shop.url}/a.png\n", "utf-8")
    work.write(CUT, source={"urls": "urls.txt"})
    unreadable = {"status": 400, "body": {"error": "image_url is invalid or corrupt"}}
    work.vendor.faults({"match": {"path": "/image/background-remove", "nth": 1}, "do": unreadable})
    ended = work.run(env={"SSL_CERT_FILE": str(shop.authority)})
    assert ended.code == 0, ended.text
    first, second = work.vendor.paid()
    assert first["params"] == {"image_url": f"{shop.url}/a.png"}
    assert second["transport"] == "multipart"
    assert shop.asked == ["/a.png None"], "fetched once, and without our key"
    assert len(work.vendor.bought()) == 1
    assert work.run(env={"SSL_CERT_FILE": str(shop.authority)}).code == 0
    assert len(work.vendor.paid()) == 2, "the address or its bytes: it is the same purchase"


def test_a_step_that_takes_only_bytes_fetches_the_address_first(work: Work, shop: Shop) -> None:
    draw(shop.folder / "a.png")
    (work.root / "urls.txt").write_text(f"{shop.url}/a.png\n{shop.url}/missing.png\n", "utf-8")
    work.write(ENLARGE, source={"urls": "urls.txt"})
    ended = work.run(env={"SSL_CERT_FILE": str(shop.authority)})
    assert ended.code == 3, ended.text
    assert "missing.png" in ended.err
    assert sorted(work.outputs()) == ["127.0.0.1/a.png"]
    assert len(work.vendor.paid()) == 1


# How pictures are sent


def test_with_transport_json_pictures_go_as_base64_and_give_the_same_result(work: Work) -> None:
    work.draw("a.jpg")
    work.write(CUT, api={"transport": "json"})
    assert work.run().code == 0
    assert [call["transport"] for call in work.vendor.paid()] == ["json"]
    work.write(CUT)
    assert work.run().code == 0
    assert len(work.vendor.paid()) == 1, "transport is no part of what was bought"


def test_a_415_falls_back_from_multipart_to_json_once(work: Work) -> None:
    work.draw("a.jpg", "b.jpg")
    work.write(CUT)
    work.vendor.faults({"match": {"path": "/image/background-remove", "nth": 1}, "do": {"status": 415}})
    ended = work.run("--workers", "1")
    assert ended.code == 0, ended.text
    assert [call["transport"] for call in work.vendor.paid()][:2] == ["multipart", "json"]
    assert len(work.vendor.bought()) == 2


def test_every_documented_field_of_a_valid_job_is_taken_by_a_strict_server(work: Work) -> None:
    work.draw("a.jpg")
    work.write(
        {"edit": {"prompt": "p", "modelId": "nano-banana-pro-edit", "aspect_ratio": "4:5", "resolution": "1K"}},
        {"multi-edit": {"prompt": "p", "model": "gpt-image-2-edit", "quality": "low", "safe_mode": False}},
        CUT,
        {"upscale": {"scale": 2, "creativity": 0.01}},
    )
    ended = work.run()
    assert ended.code == 0, ended.text
    assert {call["status"] for call in work.vendor.paid()} == {200}


def test_a_condition_leaves_a_step_out_and_the_plan_shows_a_range_where_it_is_open(work: Work) -> None:
    draw(work.photos / "small.jpg", (320, 240))
    draw(work.photos / "large.jpg", (640, 480))
    work.write({**ENLARGE, "when": {"max_side_below": 500}})
    plan = work.asked("plan")
    assert plan["cost"] == {"low": "0.02", "high": "0.02"}
    assert work.run().code == 0
    assert len(work.vendor.paid()) == 1
    sizes = {name: Image.open(io.BytesIO(data)).size for name, data in work.outputs().items()}
    assert sizes == {"small.png": (640, 480), "large.png": (640, 480)}
    work.write({"edit": {"prompt": "p"}}, {**ENLARGE, "when": {"max_side_below": 1030}})
    plan = work.asked("plan")
    assert plan["cost"] == {"low": "0.08", "high": "0.12"}
    assert work.run().code == 0
    assert work.vendor.billed() == Decimal("0.14")
