from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from venice_batch.errors import UsageError
from venice_batch.job import FolderSource, Job, PromptsSource, UrlsSource, load
from venice_batch.steps.conditions import All
from venice_batch.steps.fields import MultiEditFields, as_sent
from venice_batch.steps.references import Current, FileRef, Source, StepRef, UrlRef
from venice_batch.storage import Access, LocalPlace, S3Place

Loader = Callable[..., Job]

FULL = """\
version: 1
name: nightly-catalogue
source:
  path: ./photos
  include: ["**/*.jpg", "**/*.png"]
  exclude: ["**/_drafts/**"]
steps:
  - background-remove
  - upscale: {scale: 2}
    when: {max_side_below: 2000, has_alpha: true}
  - edit: {prompt: "white marble", model: nano-banana-pro-edit, resolution: 2K, aspect_ratio: 4:5}
    id: staged
  - multi-edit:
      prompt: add the logo
      images: [current, source, {step: staged}, {file: brand/logo.png}, {url: https://a.example/b.png}]
      modelId: nano-banana-pro-edit
  - fit: {max_bytes: 500KB, max_side: 2000}
output:
  path: ./web
  name: "{dir}/{stem}-{variant}.{ext}"
  existing: skip
budget: {max_usd: 25, max_usd_per_day: 60.10, max_usd_per_month: "900"}
api: {base_url: https://api.venice.ai/api/v1/, transport: json, timeout: 5m}
run: {concurrency: 8, max_failure_rate: 25%, uncertain: hold, drain: 10s, on_flagged: hold}
state: ../state
"""


def test_every_key_of_a_full_job_arrives(job: Loader) -> None:
    loaded = job(FULL)
    assert loaded.name == "nightly-catalogue"
    assert loaded.source == FolderSource(
        path=Path("/jobs/photos"), include=("**/*.jpg", "**/*.png"), exclude=("**/_drafts/**",)
    )
    assert [spec.id for spec in loaded.steps] == ["background-remove", "upscale", "staged", "multi-edit", "fit"]
    assert (loaded.output.path, loaded.output.existing) == (LocalPlace("/jobs/web"), "skip")
    assert loaded.budget.max_usd_per_day == Decimal("60.10")
    assert str(loaded.budget.max_usd_per_day) == "60.10"
    assert loaded.budget.max_usd_per_month == 900
    assert (loaded.api.base_url, loaded.api.transport, loaded.api.timeout) == (
        "https://api.venice.ai/api/v1",
        "json",
        300.0,
    )
    assert (loaded.run.concurrency, loaded.run.max_failure_rate, loaded.run.uncertain) == (8, 0.25, "hold")
    assert loaded.run.drain == 10.0
    assert loaded.state == LocalPlace("/jobs/../state")


NIGHTLY = """
version: 1
name: nightly
source:
  path: s3://acme/raw
  keys: today.txt
  s3: {profile: studio, endpoint_url: https://minio.acme.example/, requester_pays: true}
steps: [background-remove]
output:
  path: S3://acme/web/2026/
  on_vanished: delete
  max_deleted: 5%
  s3: {region: eu-central-1, sse: aws:kms, cache_control: max-age=60, metadata: {Shop: acme}}
state: s3://acme-private/state/
lease: 2m
"""


def test_a_job_may_live_in_buckets_altogether(job: Loader) -> None:
    loaded = job(NIGHTLY)
    studio = Access(profile="studio", endpoint_url="https://minio.acme.example", requester_pays=True)
    assert loaded.source == FolderSource(path=S3Place("acme", "raw/", studio), keys=Path("/jobs/today.txt"))
    assert isinstance(loaded.output.path, S3Place)
    assert str(loaded.output.path) == "s3://acme/web/2026/"
    assert loaded.output.path.access == Access(
        region="eu-central-1", sse="aws:kms", cache_control="max-age=60", metadata=(("shop", "acme"),)
    )
    assert (loaded.output.on_vanished, loaded.output.max_deleted, loaded.lease) == ("delete", 0.05, 120)
    # The state is reached as the output is, but its objects are nobody's web pages.
    assert loaded.state == S3Place("acme-private", "state/", Access(region="eu-central-1", sse="aws:kms"))


def test_a_store_without_conditional_writes_has_to_be_called_unsafe(job: Loader) -> None:
    assert job(NIGHTLY.replace("2m", "unsafe")).lease is None
    assert job(NIGHTLY.replace("lease: 2m", "")).lease == 60


def test_only_the_fields_that_were_written_are_sent(job: Loader) -> None:
    sent = [as_sent(spec.fields) for spec in job(FULL).steps]
    assert sent == [
        {},
        {"scale": 2},
        {"prompt": "white marble", "model": "nano-banana-pro-edit", "resolution": "2K", "aspect_ratio": "4:5"},
        {"prompt": "add the logo", "modelId": "nano-banana-pro-edit"},
        {"max_bytes": 500_000, "max_side": 2000},
    ]


def test_multi_edit_names_its_pictures(job: Loader) -> None:
    fields = job(FULL).steps[3].fields
    assert isinstance(fields, MultiEditFields)
    assert fields.images == (
        Current(),
        Source(),
        StepRef("staged"),
        FileRef(Path("/jobs/brand/logo.png")),
        UrlRef("https://a.example/b.png"),
    )


def test_a_condition_of_several_keys_is_their_conjunction(job: Loader) -> None:
    assert isinstance(job(FULL).steps[1].when, All)


def test_defaults_are_those_of_the_documentation(step: Loader) -> None:
    loaded = step("background-remove")
    assert loaded.source == FolderSource(path=Path("/jobs/in"))
    assert (loaded.output.name, loaded.output.existing) == ("{dir}/{stem}.{ext}", "fail")
    assert loaded.state == LocalPlace("/jobs/out/.venice-batch/a")
    assert loaded.api.base_url == "https://api.venice.ai/api/v1"
    assert (loaded.api.transport, loaded.api.timeout) == ("multipart", 300.0)
    assert (loaded.run.concurrency, loaded.run.max_failure_rate) == (None, 0.5)
    assert (loaded.run.uncertain, loaded.run.drain, loaded.run.on_flagged) == ("retry", 25.0, "hold")
    assert loaded.budget.max_usd is None


def test_repeated_steps_get_numbered_ids_around_those_that_were_chosen(job: Loader) -> None:
    text = "version: 1\nname: a\nsource: x\noutput: y\nsteps: [upscale, {upscale: , id: upscale-2}, upscale, orient]\n"
    assert [spec.id for spec in job(text).steps] == ["upscale", "upscale-2", "upscale-3", "orient"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{prompts: p.csv}", PromptsSource(prompts=Path("/jobs/p.csv"))),
        ("{urls: /abs/u.txt}", UrlsSource(urls=Path("/abs/u.txt"))),
        ("{path: ./in}", FolderSource(path=Path("/jobs/in"))),
    ],
)
def test_each_kind_of_source_is_read(job: Loader, source: str, expected: object) -> None:
    first = "generate: {model: z-image-turbo}" if "prompts" in source else "orient"
    text = f"version: 1\nname: a\nsource: {source}\noutput: y\nsteps:\n  - {first}\n"
    assert job(text).source == expected


def test_a_file_is_read_and_its_folder_is_where_paths_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "a.yaml").write_bytes(b"\xef\xbb\xbf" + FULL.replace("\n", "\r\n").encode())
    monkeypatch.chdir(tmp_path)
    loaded = load(Path("jobs/a.yaml"), environ={})
    assert loaded.file == Path("jobs/a.yaml")
    assert loaded.output.path == LocalPlace(tmp_path / "jobs" / "web")
    assert str(loaded.problem(("steps", 1, "scale"), "too large")) == "jobs/a.yaml:9:22: too large"


def test_later_checks_can_point_at_any_value(job: Loader) -> None:
    loaded = job(FULL)
    assert loaded.place(("steps", 2, "model")) == (11, 43)
    assert loaded.place(("steps", 3, "model")) == (16, 16), "the model of multi-edit was written as modelId"
    assert loaded.place(("steps", 3, "images", 3)) == (15, 49)
    assert loaded.place(("steps", 1, "when", "has_alpha")) == (10, 45)
    assert loaded.place(("output", "path")) == (19, 9)
    assert loaded.place(("steps", 0, "model")) == (8, 5), "what is not written has the place of its step"
    assert loaded.place(("steps", 1, "creativity")) == (9, 5)
    assert loaded.place(("nothing",)) == (1, 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no such job file"),
        (b"name: caf\xe9", "not UTF-8 text (line 1)"),
        ("version: 1".encode("utf-16"), "not UTF-8 text"),
    ],
)
def test_an_unreadable_file_says_so_with_a_remedy(tmp_path: Path, content: bytes | None, words: str) -> None:
    file = tmp_path / "a.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        load(file, environ={})
    assert words in caught.value.message
    assert str(file) in caught.value.message
    assert caught.value.remedy


def test_a_folder_is_not_a_job_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="this is a folder"):
        load(tmp_path, environ={})


def test_a_job_cannot_be_changed(step: Loader) -> None:
    loaded = step("upscale: {scale: 4}")
    with pytest.raises(AttributeError):
        loaded.name = "b"  # type: ignore[misc]  # the point of the test
    with pytest.raises(ValueError, match="frozen"):
        loaded.steps[0].fields.scale = 2  # type: ignore[attr-defined]  # the point of the test
