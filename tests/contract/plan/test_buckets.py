"""Plans over buckets: what is listed, what is probed, and what is known without reading."""

from __future__ import annotations

import io
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from PIL import Image

from tests.servers.bucket import Bucket
from tests.servers.proxy import Proxy
from tests.unit.plan.conftest import Bench, amounts, statuses
from venice_batch import imaging
from venice_batch.errors import ItemError, JobError, OutputError
from venice_batch.imaging import Facts
from venice_batch.job import FolderSource, Job
from venice_batch.plan.model import Candidate, Plan
from venice_batch.plan.planner import PlanInputs, make_plan
from venice_batch.plan.pricing import Pricer
from venice_batch.plan.reading.finished_files import FinishedFiles
from venice_batch.plan.reading.prefetch import AT_ONCE
from venice_batch.plan.reading.probe import Inspector, Prober, ProbeResult, stored_results
from venice_batch.plan.reading.sources import candidates, refuse_overlap
from venice_batch.plan.selection import ItemFilter
from venice_batch.state import ItemId, ItemMoved, OutputPlanned, OutputWritten, SourceRead
from venice_batch.steps.canonical_json import canonical
from venice_batch.steps.chain import Purchase
from venice_batch.steps.conditions import Known
from venice_batch.steps.input_key import InputKey
from venice_batch.storage import Access, Entry, LocalPlace, Place, S3Place, parse
from venice_batch.storage.s3.store import S3Store
from venice_batch.venice.account import Account

BY_URL = "api: {transport: url}"


def drawn(size: tuple[int, int] = (300, 300), colour: str = "red", kind: str = "PNG", *, padding: int = 0) -> bytes:
    """Draw a picture; `padding` bytes follow its end, which no reader minds."""
    held = io.BytesIO()
    Image.new("RGB", size, colour).save(held, kind)
    return held.getvalue() + b"\0" * padding


@dataclass
class Cloud:
    """A bench whose source and output are places of a bucket."""

    bench: Bench
    bucket: Bucket
    source: S3Place
    output: S3Place

    def put(self, **pictures: bytes) -> None:
        self.bucket.fill(self.source, {f"{name}.png": content for name, content in pictures.items()})

    def finish(self, *keys: str) -> None:
        self.bucket.fill(self.output, dict.fromkeys(keys, b"finished"))

    def job(self, *steps: str, more: str = "", keys: str = "", exclude: str = "") -> Job:
        where = f"s3: {{endpoint_url: '{self.bucket.endpoint}'}}"
        listed = (f", keys: {keys}" if keys else "") + (f", exclude: ['{exclude}']" if exclude else "")
        source = f"{{path: '{self.source}', {where}{listed}}}"
        return self.bench.job(*steps, more=more, source=source, output=f"{{path: '{self.output}', {where}}}")

    def plan(self, *steps: str, item_filter: ItemFilter | None = None, **more: str) -> Plan:
        return self.bench.plan_of(self.job(*steps, **more), item_filter)

    def listed(self) -> dict[str, Candidate]:
        return {found.key: found for found in candidates(self.job("upscale"))}

    def read(self, key: str, sha256: str, content: bytes) -> None:
        """Record an object as a run would have that read it."""
        found = self.listed()[key]
        path = self.bench.folder / "copy"
        path.write_bytes(content)
        facts = canonical(imaging.probe(path).to_json())
        self.bench.state.commit([SourceRead("other", "another.png", found.version, found.size, sha256, facts)])


@pytest.fixture
def cloud(bench: Bench, moto: Bucket) -> Cloud:
    return Cloud(bench, moto, moto.fresh(), moto.fresh())


def calls(plan: Plan) -> int:
    return sum(step.calls for step in plan.steps)


# Status


def test_new_objects_are_new_and_finished_ones_are_done(cloud: Cloud) -> None:
    cloud.put(a=drawn(colour="red"), b=drawn(colour="blue"))
    plan = cloud.plan("upscale")
    assert statuses(plan) == {"a.png": "new", "b.png": "new"}
    assert amounts(plan) == ("0.04", "0.04")
    for item in plan.items:
        cloud.bench.record(item, "done")
    assert statuses(cloud.plan("upscale")) == {"a.png": "new", "b.png": "new"}
    cloud.finish("a.png", ".b.png")
    plan = cloud.plan("upscale")
    assert (statuses(plan), plan.done) == ({"b.png": "new"}, 1)


def test_an_object_with_other_bytes_is_changed(cloud: Cloud) -> None:
    cloud.put(a=drawn(colour="red"))
    cloud.bench.record(cloud.plan("upscale").items[0], "done")
    cloud.finish("a.png")
    cloud.put(a=drawn(colour="blue"))
    assert statuses(cloud.plan("upscale")) == {"a.png": "changed"}


@pytest.mark.parametrize(("state", "status"), [("running", "new"), ("pending", "new"), ("failed", "invalid")])
def test_a_file_that_a_killed_run_put_and_never_recorded_is_left_to_the_run_that_goes_on(
    cloud: Cloud, state: str, status: str
) -> None:
    cloud.put(a=drawn())
    (item,) = cloud.plan("upscale").items
    bench, job = cloud.bench, cloud.job("upscale")
    bench.state.commit([OutputPlanned(ItemId("job", item.key), "a.png")])
    bench.record(item, state, "exists" if state == "failed" else "")
    cloud.finish("a.png")
    account = Account(permitted=True, balances=bench.balances, rpm={"upscaler": 30})
    inputs = PlanInputs.gather(job, bench.state, bench.catalogue, account)
    assert statuses(make_plan(bench.pipeline(job), inputs)) == {"a.png": status}


class CountingStore(S3Store):
    """A bucket that counts what it is asked."""

    def __init__(self, place: S3Place) -> None:
        super().__init__(place)
        self.asked: Counter[str] = Counter()

    def list(self) -> Iterator[Entry]:
        self.asked["list"] += 1
        return super().list()

    def stat(self, key: str) -> Entry | None:
        self.asked["stat"] += 1
        return super().stat(key)


@pytest.mark.parametrize(("number", "asked"), [(3, {"stat": 3}), (150, {"list": 1})])
def test_the_output_is_asked_for_few_files_and_listed_once_for_many(
    cloud: Cloud, number: int, asked: dict[str, int]
) -> None:
    names = [f"{each}.png" for each in range(number)]
    cloud.finish(*names[1:], "strange.png")
    store = CountingStore(cloud.output)
    files = FinishedFiles(store, lambda _: {})
    assert files.look(names) == ["missing", *["foreign"] * (number - 1)]
    assert store.asked == asked
    files.look(names)
    assert store.asked["list"] <= 1


def test_names_that_collide_are_all_invalid_also_that_of_an_item_that_is_done(cloud: Cloud) -> None:
    cloud.put(a=drawn(colour="red"), b=drawn(colour="blue"))
    for item in cloud.plan("upscale").items:
        cloud.bench.record(item, "done")
    cloud.finish("a.png", "b.png")
    cloud.bucket.fill(cloud.source, {"A.jpg": drawn(colour="white", kind="JPEG")})
    plan = cloud.plan("upscale")
    assert statuses(plan) == {"A.jpg": "invalid", "a.png": "invalid"}
    assert {item.code for item in plan.items} == {"collision"}
    assert (plan.done, plan.counts()["total"], plan.vanished) == (1, 3, ())


def test_what_left_the_source_has_vanished(cloud: Cloud) -> None:
    cloud.put(a=drawn(colour="red"))
    (item,) = cloud.plan("upscale").items
    cloud.bench.record(item, "done")
    gone = ItemId("job", "b.png", 2)
    cloud.bench.state.commit([ItemMoved(gone, "v", "f", "done", 1.0), OutputWritten(gone, "b-2.png", "v", "s")])
    cloud.finish("a.png")
    plan = cloud.plan("upscale")
    assert (plan.vanished, plan.dropped, plan.done) == ((("b.png", 2),), ("b-2.png",), 1)


# Keys and time


def test_keys_of_a_bucket_are_looked_up_in_the_order_of_their_file(cloud: Cloud) -> None:
    names = [f"k{number:02}" for number in range(40)]
    cloud.put(**{name: drawn(colour=f"#0000{number:02}") for number, name in enumerate(names)})
    wanted = [f"{name}.png" for name in reversed(names)]
    (cloud.bench.folder / "keys.txt").write_text("\n".join([*wanted[:20], "gone.png", *wanted[20:]]))
    found = list(candidates(cloud.job("upscale", keys="keys.txt")))
    assert [each.key for each in found] == [*wanted[:20], "gone.png", *wanted[20:]]
    assert [each.code for each in found if each.problem] == ["missing"]
    listed = cloud.listed()
    assert all(each == listed[each.key] for each in found if not each.problem)


# What is known without reading


def purchase(cloud: Cloud, sha256: str, *steps: str) -> Purchase:
    """Return what the first paid step buys for bytes of this hash."""
    chain = cloud.bench.pipeline(cloud.job(*steps)).chain
    _, stop = chain.advance(chain.start(InputKey("source", sha256), Known()))
    assert isinstance(stop, Purchase)
    return stop


def test_two_new_objects_of_one_version_are_paid_for_once(cloud: Cloud) -> None:
    cloud.put(a=drawn(), b=drawn(), c=drawn(colour="blue"))
    plan = cloud.plan("upscale", "background-remove")
    assert statuses(plan) == {"a.png": "new", "b.png": "new", "c.png": "new"}
    assert amounts(plan) == ("0.10", "0.10")


def test_an_object_of_a_version_that_any_job_has_read_is_known_by_its_bytes(cloud: Cloud) -> None:
    content, sha256 = drawn(), "5" * 64
    cloud.put(renamed=content, other=drawn(colour="blue"))
    cloud.read("renamed.png", sha256, content)
    plan = cloud.plan("upscale")
    input_keys = {item.key: item.input_key for item in plan.items}
    assert input_keys["renamed.png"] == InputKey("source", sha256)
    assert input_keys["other.png"] == InputKey("unread", cloud.listed()["other.png"].version)
    cloud.bench.buy(purchase(cloud, sha256, "upscale").result)
    plan = cloud.plan("upscale")
    assert statuses(plan) == {"other.png": "new", "renamed.png": "reused"}
    assert amounts(plan) == ("0.02", "0.02")


# Probing


def test_headers_decide_conditions_and_limits_in_the_order_of_the_source(cloud: Cloud) -> None:
    large = {f"l{number:02}": drawn((900, 300), f"#{number:02}0000") for number in range(20)}
    small = {f"s{number:02}": drawn((300, 300), f"#{number:02}0000") for number in range(20)}
    cloud.put(**large, **small, tiny=drawn((50, 50)), empty=b"", text=b"no picture" * 10)
    plan = cloud.plan("{upscale: , when: {max_side_below: 500}}")
    assert calls(plan) == 20
    assert [item.key for item in plan.items] == sorted(item.key for item in plan.items)
    assert {item.key: item.code for item in plan.items if item.code} == {
        "empty.png": "empty",
        "text.png": "not-a-picture",
        "tiny.png": "too-small",
    }
    limited = cloud.plan("{upscale: , when: {max_side_below: 500}}", item_filter=ItemFilter(limit=25))
    assert [item.key for item in limited.to_do] == [f"{name}.png" for name in [*large, *small]][:25]
    assert calls(limited) == 5


class CountingProber(Prober):
    """Counts what it probes."""

    probed = 0

    def probe(self, candidate: Candidate) -> ProbeResult:
        self.probed += 1
        return super().probe(candidate)


def pricer_with(bench: Bench, job: Job, prober: Prober) -> Pricer:
    pipeline = bench.pipeline(job)
    inspect = Inspector(pipeline, bench.state, prober, {}).inspect
    return Pricer(pipeline, bench.catalogue, inspect, stored_results(bench.state, job.run.on_flagged))


@pytest.mark.parametrize("limit", [1, 2])
def test_beyond_a_limit_nothing_is_probed(bench: Bench, limit: int) -> None:
    for number in range(5):
        bench.picture(f"{number}.png", colour=f"#0{number}0000")
    job = bench.job("upscale")
    prober = CountingProber(LocalPlace(bench.folder / "in"), bench.folder)
    pricer = pricer_with(bench, job, prober)
    assert len(list(pricer.priced(deque(bench.plan_of(job).items), limit))) == limit
    assert prober.probed == limit


def test_beyond_a_limit_no_more_objects_are_probed_than_one_window(cloud: Cloud, tmp_path: Path) -> None:
    cloud.put(**{f"{number:02}": drawn(colour=f"#{number:02}0000") for number in range(30)})
    job = cloud.job("upscale")
    prober = CountingProber(cloud.source, tmp_path)
    pricer = pricer_with(cloud.bench, job, prober)
    assert len(list(pricer.priced(deque(cloud.bench.plan_of(job).items), 1))) == 1
    assert prober.probed <= 1 + AT_ONCE
    assert pricer.tally.calls == {("upscale", "upscaler"): 1}


def test_a_header_tells_the_real_size_of_the_object(cloud: Cloud, tmp_path: Path) -> None:
    content = drawn(padding=3_000_000)
    cloud.put(a=content)
    facts = Prober(cloud.source, tmp_path).probe(cloud.listed()["a.png"])
    assert isinstance(facts, Facts)
    assert (facts.width, facts.height, facts.format, facts.bytes) == (300, 300, "PNG", len(content))
    assert list(tmp_path.glob("in/*")) == []
    assert calls(cloud.plan("{upscale: , when: {bytes_below: 3000000}}")) == 0
    assert calls(cloud.plan("{upscale: , when: {bytes_below: 3100000}}")) == 1


@pytest.mark.parametrize(("behind", "seen"), [(300_000, True), (2_000_000, False)])
def test_a_header_behind_others_is_searched_in_a_megabyte_and_no_further(
    cloud: Cloud,
    tmp_path: Path,
    behind: int,
    seen: bool,  # noqa: FBT001 - a table
) -> None:
    cloud.put(a=_far_header(behind) + b"\0" * 3_000_000)
    facts = Prober(cloud.source, tmp_path).probe(cloud.listed()["a.png"])
    assert (facts is not None) is seen
    plan = cloud.plan("{upscale: , when: {max_side_below: 500}}")
    assert amounts(plan) == ("0.02" if seen else "0.00", "0.02")


def _far_header(behind: int) -> bytes:
    """Return a JPEG whose size stands behind so many bytes of comments."""
    picture = drawn(kind="JPEG")
    comment = b"\xff\xfe" + (60_002).to_bytes(2, "big") + b"x" * 60_000
    return picture[:2] + comment * (behind // 60_000) + picture[2:]


def test_what_is_gone_since_the_listing_is_told_and_does_not_end_the_plan(cloud: Cloud, tmp_path: Path) -> None:
    seen = Prober(cloud.source, tmp_path).probe(Candidate("gone.png", "v", 100))
    assert isinstance(seen, ItemError)
    assert not seen.lasting


def test_headers_take_64_kilobytes_each_where_they_are_needed_and_nothing_elsewhere(
    bench: Bench, seaweed: Bucket, proxy: Proxy
) -> None:
    bench.host = "loopback"
    through = seaweed.at(proxy.url)
    cloud = Cloud(bench, through, replace(through.fresh()), replace(through.fresh()))
    seaweed.fill(replace(cloud.source), {f"{n}.png": drawn((300 + n, 300), padding=2_000_000) for n in range(4)})
    proxy.reset_counts()
    cloud.plan("{upscale: , when: {max_side_below: 500}}")
    assert 4 * 65_536 <= proxy.down < 4 * 65_536 + 20_000
    proxy.reset_counts()
    cloud.plan("fit: {max_side: 100}")
    cloud.plan("background-remove", more=BY_URL)
    assert proxy.down < 20_000


# Sent by address


def test_an_object_sent_by_address_is_known_by_its_version_and_not_turned(cloud: Cloud) -> None:
    cloud.bench.host = "loopback"
    cloud.put(a=drawn(), b=drawn(), c=b"not read")
    plan = cloud.plan("edit: {prompt: p}", "upscale", more=BY_URL)
    listed = cloud.listed()
    assert {item.key: item.input_key for item in plan.items} == {
        key: InputKey("object", found.version) for key, found in listed.items()
    }
    assert [step.name for step in plan.items[0].chain.steps] == ["edit", "upscale"]
    assert amounts(plan) == ("0.12", "0.12")
    assert [warning.code for warning in plan.warnings] == ["by-url"]


def test_a_condition_on_an_object_sent_by_address_reads_its_header(cloud: Cloud) -> None:
    cloud.bench.host = "loopback"
    cloud.put(a=drawn((300, 300)), b=drawn((900, 300)))
    plan = cloud.plan("{background-remove: , when: {max_side_below: 500}}", more=BY_URL)
    assert amounts(plan) == ("0.03", "0.03")
    behind = cloud.plan("background-remove", "{upscale: , when: {max_side_below: 500}}", more=BY_URL)
    assert amounts(behind) == ("0.08", "0.08")


def test_an_address_that_the_api_cannot_reach_is_refused(cloud: Cloud) -> None:
    cloud.put(a=drawn())
    with pytest.raises(JobError, match=r"job\.yaml:\d+:\d+: the API reads https addresses only, .*multipart"):
        cloud.plan("edit: {prompt: p}", more=BY_URL)


def test_a_state_without_a_lease_is_a_warning(cloud: Cloud) -> None:
    cloud.put(a=drawn())
    job = replace(cloud.job("background-remove"), lease=None)
    assert "unsafe-lease" in {warning.code for warning in cloud.bench.plan_of(job).warnings}


@pytest.mark.parametrize("steps", [("upscale",), ("fit: {max_side: 100}", "edit: {prompt: p}")])
def test_a_first_step_that_needs_bytes_cannot_be_sent_an_address(cloud: Cloud, steps: tuple[str, ...]) -> None:
    cloud.put(a=drawn())
    with pytest.raises(JobError, match=r"job\.yaml:\d+:\d+: the first step, .*background-remove"):
        cloud.plan(*steps, more=BY_URL)


def test_a_folder_cannot_be_sent_by_address(bench: Bench) -> None:
    bench.picture("a.png")
    with pytest.raises(JobError, match=r"job\.yaml:\d+:\d+: only objects of a bucket .*multipart"):
        bench.plan("edit: {prompt: p}", more=BY_URL)


# Places within places


def place(text: str, endpoint: str | None = None) -> S3Place:
    return parse(text, Access(endpoint_url=endpoint))


A, OTHER = "s3://one/a/", "http://other.example"


@pytest.mark.parametrize(
    ("output", "state", "said"),
    [
        (place(A), place("s3://two/"), "output.path"),
        (place(A + "web/"), place("s3://two/"), "output.path"),
        (place("s3://one/"), place("s3://two/"), "inside output.path"),
        (place("s3://two/"), place(A + "state/"), "state"),
        (place("s3://two/"), place(A), "state"),
        (place("s3://one/ab/"), place("s3://one/"), ""),
        (place("s3://two/a/"), place("s3://two/a/state/"), ""),
        (place(A, OTHER), place(A, OTHER), ""),
        (LocalPlace("/one/a"), LocalPlace("/one/a/state"), ""),
    ],
)
def test_places_of_one_bucket_may_not_lie_within_one_another(
    cloud: Cloud, output: Place, state: Place, said: str
) -> None:
    job = cloud.job("upscale")
    assert isinstance(job.source, FolderSource)
    source = job.source.model_copy(update={"path": place(A)})
    job = replace(job, source=source, output=job.output.model_copy(update={"path": output}), state=state)
    if not said:
        return refuse_overlap(job)
    with pytest.raises(OutputError, match=said) as caught:
        refuse_overlap(job)
    assert caught.value.remedy
    return None


# Files beside the pictures


def test_a_mask_in_a_bucket_is_known_by_its_version_and_not_read(cloud: Cloud) -> None:
    def claimed(mask: str) -> str:
        cloud.put(a=drawn(), a_mask=drawn(colour=mask))
        step = "multi-edit: {prompt: p, images: [{beside: '{stem}_mask.png'}]}"
        (item,) = cloud.plan(step, exclude="*_mask.png").items
        _, stop = item.chain.advance(item.chain.start(item.input_key, item.known))
        assert isinstance(stop, Purchase)
        return stop.claim

    first, second = claimed("white"), claimed("black")
    assert first == claimed("white")
    assert first != second
