"""The metadata table: what its rows do to prompts, names, references and conditions of each item."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.plan.conftest import Bench, statuses
from tests.unit.steps.conftest import MODELS, catalogue_of, entry, usd
from venice_batch.errors import JobError, SourceError
from venice_batch.job.model import MetadataFile
from venice_batch.plan.model import Candidate, Plan, PlannedItem
from venice_batch.plan.reading.row_files import read_table
from venice_batch.plan.selection import ItemFilter
from venice_batch.steps.paid import PaidStep

Factory = pytest.TempPathFactory
TITLED = "edit: {prompt: 'put the {title} on marble'}"
BY_TABLE = "{path: ./in, metadata: catalogue.csv}"
PROMPTS = "{prompts: catalogue.csv}"


def catalogue(bench: Bench, text: str, name: str = "catalogue.csv") -> None:
    (bench.folder / name).write_text(text, "utf-8")


def pictures(bench: Bench, *keys: str) -> None:
    for number, key in enumerate(keys):
        bench.picture(key, (300 + number, 300))


def plan(bench: Bench, *steps: str, source: str = BY_TABLE, name: str = "{dir}/{stem}.{ext}") -> Plan:
    return bench.plan(*steps, source=source, output=f"{{path: ./out, name: '{name}'}}")


def sent(item: PlannedItem, number: int = 0) -> str:
    return str(item.chain.paid[number].sent["prompt"])


def prompts(made: Plan) -> dict[str, str]:
    return {item.key: sent(item) for item in made.items if item.status != "invalid"}


def only(made: Plan) -> PlannedItem:
    (item,) = made.items
    return item


def codes(made: Plan) -> dict[str, str]:
    return {warning.code: warning.text for warning in made.warnings}


# Rows and columns


def test_a_column_fills_the_prompt_of_each_item(bench: Bench) -> None:
    pictures(bench, "a/shoe.png", "a/bag.png")
    catalogue(bench, "key,title\na/shoe.png,red shoe\na/bag.png,blue bag\n")
    assert prompts(plan(bench, TITLED)) == {
        "a/bag.png": "put the blue bag on marble",
        "a/shoe.png": "put the red shoe on marble",
    }


def test_without_a_column_key_rows_are_found_by_the_stem(bench: Bench) -> None:
    pictures(bench, "deep/shoe.png")
    catalogue(bench, "title,stem\nred shoe,shoe\n")
    assert prompts(plan(bench, TITLED)) == {"deep/shoe.png": "put the red shoe on marble"}


def test_the_job_may_say_which_column_holds_the_stems(bench: Bench) -> None:
    pictures(bench, "4711.png")
    catalogue(bench, "key,sku,title\nnever/looked/at,4711,red shoe\n")
    source = "{path: ./in, metadata: {file: catalogue.csv, by: sku}}"
    assert prompts(plan(bench, TITLED, source=source)) == {"4711.png": "put the red shoe on marble"}


def test_json_lines_serve_like_csv(bench: Bench) -> None:
    pictures(bench, "a.png")
    catalogue(bench, json.dumps({"key": "a.png", "title": 42, "unused": [1]}) + "\n\n", "rows.jsonl")
    assert prompts(plan(bench, TITLED, source="{path: ./in, metadata: rows.jsonl}")) == {
        "a.png": "put the 42 on marble"
    }


def test_a_key_matches_however_its_letters_are_composed(bench: Bench) -> None:
    pictures(bench, "cafe\u0301.png")
    catalogue(bench, "key,title\ncaf\u00e9.png,cup\n")
    assert prompts(plan(bench, TITLED)) == {"cafe\u0301.png": "put the cup on marble"}


def test_addresses_have_rows_by_their_url(bench: Bench) -> None:
    (bench.folder / "urls.txt").write_text("https://cdn.example/a.png\n")
    catalogue(bench, "url,title\nhttps://cdn.example/a.png,cup\n")
    source = "{urls: urls.txt, metadata: {file: catalogue.csv, by: url}}"
    assert list(prompts(plan(bench, TITLED, source=source)).values()) == ["put the cup on marble"]


def test_a_prompts_file_is_its_own_table(bench: Bench) -> None:
    catalogue(bench, "id,prompt,colour\none,,red\ntwo,a {colour} cat,blue\n")
    made = plan(bench, "generate: {model: z-image-turbo, prompt: 'a {colour} dog'}", source=PROMPTS)
    # What a row brings along is its own text: braces in it are letters.
    assert prompts(made) == {"one": "a red dog", "two": "a {colour} cat"}


def test_without_a_table_braces_are_letters(bench: Bench) -> None:
    pictures(bench, "a.png")
    made = bench.plan('edit: {prompt: "write {title} and {{x}}"}')
    assert prompts(made) == {"a.png": "write {title} and {{x}}"}


def test_with_a_table_doubled_braces_are_letters(bench: Bench) -> None:
    pictures(bench, "a.png")
    catalogue(bench, "key,title\na.png,{title} {{x\n")
    made = plan(bench, "edit: {prompt: 'write {{title}} on {title} of {key}'}")
    assert prompts(made) == {"a.png": "write {title} on {title} {{x of a.png"}


# What is wrong


@pytest.mark.parametrize(
    ("step", "name", "place", "near"),
    [
        ("edit: {prompt: 'the {titel}'}", "{stem}.{ext}", ":8:20: ", "did you mean title?"),
        ("edit: {prompt: p}", "{brnd}/{stem}.{ext}", ":4:29: ", "did you mean brand?"),
        ("multi-edit: {prompt: p, images: [current, {file: '{brnad}.png'}]}", "{stem}.{ext}", ":8:47: ", "brand?"),
        ("{upscale: {}, when: {metadata: {tilte: x}}}", "{stem}.{ext}", ":8:25: ", "did you mean title?"),
    ],
)
def test_an_unknown_column_is_refused_with_its_place(bench: Bench, step: str, name: str, place: str, near: str) -> None:
    pictures(bench, "a.png")
    catalogue(bench, "key,title,brand\na.png,x,y\n")
    with pytest.raises(JobError) as caught:
        plan(bench, step, name=name)
    assert place in str(caught.value)
    assert near in str(caught.value)


def test_a_column_that_a_prompts_file_lacks_is_refused_too(bench: Bench) -> None:
    catalogue(bench, "id,prompt,colour\none,x,red\n")
    with pytest.raises(JobError, match="did you mean colour"):
        plan(bench, "generate: {model: z-image-turbo}", source=PROMPTS, name="{color}/{stem}.{ext}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("key,title\nb.png,x\n", ["catalogue.csv", "'title'", "row"]),
        ("key,title\na.png,  \n", ["catalogue.csv:2", "'title'", "empty"]),
    ],
)
def test_a_missing_row_or_value_makes_the_item_invalid(bench: Bench, text: str, told: list[str]) -> None:
    pictures(bench, "a.png")
    catalogue(bench, text)
    item = only(plan(bench, TITLED))
    assert (item.key, item.status, item.code) == ("a.png", "invalid", "metadata")
    assert all(word in item.reason for word in told), item.reason


def test_an_empty_value_that_nobody_needs_is_no_trouble(bench: Bench) -> None:
    pictures(bench, "a.png", "b.png")
    catalogue(bench, "key,title,note\na.png,cup,\n")
    assert statuses(plan(bench, TITLED)) == {"a.png": "new", "b.png": "invalid"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("key,title\na.png,x\nb.png,y\na.png,z\n", [":4:", "line 2"]),
        ("title,brand\nx,y\n", ["'key' or 'stem'", "title, brand"]),
        ("s3cret of somebody\nx\n", ["'key' or 'stem'", "one of its columns, whose names"]),
        ("key,title\n,x\n", [":2:", "no key"]),
        ("key,title\na.png,x,y\n", [":2:", "3 values"]),
        ("key,title,title\n", [":1:", "same name"]),
        ('key,title\na.png,"x\n', [":2:"]),
        ("", ["empty"]),
    ],
)
def test_a_broken_table_is_a_source_error_with_the_line(bench: Bench, text: str, told: list[str]) -> None:
    pictures(bench, "a.png")
    catalogue(bench, text)
    with pytest.raises(SourceError) as caught:
        plan(bench, TITLED)
    complaint = f"{caught.value.message} {caught.value.remedy}"
    assert all(word in complaint for word in told), complaint


def test_a_table_that_is_not_there_is_told(bench: Bench) -> None:
    with pytest.raises(SourceError, match=r"catalogue\.csv"):
        plan(bench, TITLED)


def test_rows_of_no_picture_are_counted(bench: Bench) -> None:
    pictures(bench, "a.png")
    catalogue(bench, "key,title\na.png,x\nb.png,y\nc.png,z\n")
    assert "2 rows of" in codes(plan(bench, TITLED))["unmatched-rows"]
    (bench.folder / "keys.txt").write_text("a.png\n")
    by_keys = plan(bench, TITLED, source="{path: ./in, keys: keys.txt, metadata: catalogue.csv}")
    assert "unmatched-rows" not in codes(by_keys)


def test_a_prompt_that_grows_too_long_for_the_model_is_refused_before_it_is_paid(bench: Bench) -> None:
    pictures(bench, "a.png", "b.png")
    catalogue(bench, f"key,title\na.png,{'x' * 100}\nb.png,cup\n")
    made = plan(bench, TITLED)
    assert statuses(made) == {"a.png": "invalid", "b.png": "new"}
    assert "100 at most" in made.items[0].reason


# Names of finished files


def test_columns_name_finished_files(bench: Bench) -> None:
    pictures(bench, "x/a.png")
    catalogue(bench, "key,Brand Name,sku\nx/a.png,Acme,4711\n")
    assert only(plan(bench, "upscale", name="{Brand Name}/{dir}/{sku}.{ext}")).outputs == ("Acme/x/4711.png",)


@pytest.mark.parametrize("value", ["../secret", "a/b", "..", ".", "con", ".venice-batch", "a\\b"])
def test_a_value_cannot_lead_a_name_out_of_its_place(bench: Bench, value: str) -> None:
    pictures(bench, "a.png")
    catalogue(bench, f"key,sku\na.png,{value}\n")
    item = only(plan(bench, "upscale", name="{sku}/{stem}.{ext}"))
    assert (item.status, item.code, item.outputs) == ("invalid", "name", ())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(value=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20))
def test_no_value_leads_a_finished_file_out_of_the_output(bench: Bench, value: str) -> None:
    pictures(bench, "a.png")
    catalogue(bench, json.dumps({"key": "a.png", "sku": value}), "rows.jsonl")
    made = plan(bench, "upscale", source="{path: ./in, metadata: rows.jsonl}", name="{sku}.{ext}")
    for name in only(made).outputs:
        assert (bench.folder / "out" / name).resolve().parent == bench.folder / "out"


def test_two_items_of_one_name_are_both_invalid(bench: Bench) -> None:
    pictures(bench, "a.png", "b.png")
    catalogue(bench, "key,sku\na.png,1\nb.png,1\n")
    made = plan(bench, "upscale", name="{sku}.{ext}")
    assert {item.code for item in made.items} == {"collision"}


# Overrides


def test_a_row_may_leave_its_item_out(bench: Bench) -> None:
    pictures(bench, "a.png", "b.png", "c.png")
    catalogue(bench, "key,skip,title\na.png,Yes,\nb.png,no,cup\nc.png,,pot\n")
    made = plan(bench, TITLED)
    assert list(prompts(made)) == ["b.png", "c.png"]
    assert "1 item is left out" in codes(made)["skipped"]
    assert "a.png" in codes(made)["skipped"]


def test_an_item_that_is_left_out_has_not_vanished_and_keeps_its_file(bench: Bench) -> None:
    pictures(bench, "a.png", "b.png")
    catalogue(bench, "key,skip\na.png,\nb.png,\n")
    for item in plan(bench, "upscale").items:
        bench.record(item, "done")
    catalogue(bench, "key,skip\na.png,1\nb.png,\n")
    made = plan(bench, "upscale")
    assert (made.vanished, made.dropped) == ((), ())


def test_a_skip_that_is_neither_yes_nor_no_is_no_guess(bench: Bench) -> None:
    pictures(bench, "a.png")
    catalogue(bench, "key,skip\na.png,maybe\n")
    item = only(plan(bench, "upscale"))
    assert (item.status, item.code) == ("invalid", "metadata")
    assert "catalogue.csv:2" in item.reason


def test_a_column_prompt_replaces_the_first_prompt_where_it_is_not_empty(bench: Bench) -> None:
    pictures(bench, "a.png", "b.png")
    catalogue(bench, "key,prompt,title\na.png,as it is {title},\nb.png,,cup\n")
    made = plan(bench, "upscale", TITLED, "edit: {prompt: then}")
    assert [sent(item, 1) for item in made.items] == ["as it is {title}", "put the cup on marble"]
    assert {sent(item, 2) for item in made.items} == {"then"}


def test_a_column_prompt_that_the_job_puts_somewhere_replaces_nothing(bench: Bench) -> None:
    pictures(bench, "a.png")
    catalogue(bench, "key,prompt\na.png,red\n")
    assert prompts(plan(bench, "edit: {prompt: '{prompt}, on white'}")) == {"a.png": "red, on white"}


# Conditions


def test_a_row_decides_a_condition_before_anything_is_priced(bench: Bench) -> None:
    pictures(bench, "a.png", "b.png", "c.png")
    catalogue(bench, "key,category\na.png,shoes\nb.png, bags \nc.png,hats\n")
    made = plan(bench, "{upscale: {}, when: {metadata: {category: [shoes, bags]}}}", "background-remove")
    assert (made.steps[0].calls_low, made.steps[0].calls) == (2, 2)
    assert made.steps[1].calls == 3


def test_what_a_step_lacks_is_not_missed_where_the_step_is_not_done(bench: Bench) -> None:
    pictures(bench, "a.png", "b.png")
    catalogue(bench, "key,title\na.png,cup\nb.png,\n")
    step = "{edit: {prompt: 'a {title}'}, when: {metadata: {title: present}}}"
    made = plan(bench, step, "upscale")
    assert statuses(made) == {"a.png": "new", "b.png": "new"}
    assert [step.calls for step in made.steps] == [1, 2]


def test_rows_and_pictures_decide_together(bench: Bench) -> None:
    pictures(bench, "a.png", "b.png")
    catalogue(bench, "key,category\na.png,shoes\nb.png,bags\n")
    both = "{upscale: {}, when: {any: [{metadata: {category: shoes}}, {width_below: 301}]}}"
    neither = "{background-remove: {}, when: {not: {metadata: {category: shoes}}, width_below: 301}}"
    made = plan(bench, both, neither)
    assert [step.calls for step in made.steps] == [1, 0]


def test_a_condition_on_columns_needs_columns(bench: Bench) -> None:
    with pytest.raises(JobError, match=r":8:25: .*no metadata"):
        bench.job("{upscale: {}, when: {metadata: {category: shoes}}}")


# References


def test_a_reference_is_filled_and_its_content_is_part_of_what_is_bought(bench: Bench) -> None:
    pictures(bench, "a.png", "b.png")
    for brand, colour in (("acme", "red"), ("brio", "blue")):
        bench.picture(f"../brand/{brand}.png", colour=colour)
    catalogue(bench, "key,brand\na.png,acme\nb.png,brio\n")
    step = "multi-edit: {prompt: p, images: [current, {file: 'brand/{brand}.png'}]}"
    before = {item.key: item.fingerprint for item in plan(bench, step).items}
    bench.picture("../brand/brio.png", colour="green")
    after = {item.key: item.fingerprint for item in plan(bench, step).items}
    assert [before[key] == after[key] for key in ("a.png", "b.png")] == [True, False]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("../secret.png", "leads out"),
        ("link.png", "leads out"),
        ("missing.png", "No such file"),
        ("notes", "not a picture"),
    ],
)
def test_a_reference_that_leads_out_or_is_no_picture_makes_the_item_invalid(
    bench: Bench, value: str, told: str
) -> None:
    pictures(bench, "a.png")
    secret = bench.picture("../secret.png")
    (bench.folder / "brand").mkdir()
    (bench.folder / "brand" / "link.png").symlink_to(secret)
    (bench.folder / "brand" / "notes").write_text("no picture")
    catalogue(bench, f"key,brand\na.png,{value}\n")
    item = only(plan(bench, "multi-edit: {prompt: p, images: [current, {file: 'brand/{brand}'}]}"))
    assert (item.status, item.code) == ("invalid", "reference")
    assert told in item.reason


def test_a_value_that_is_a_whole_path_stays_within_the_jobs_folder(bench: Bench, tmp_path_factory: Factory) -> None:
    pictures(bench, "a.png", "b.png")
    bench.picture("../refs/one.png")
    elsewhere = bench.picture("../refs/two.png").rename(tmp_path_factory.mktemp("elsewhere") / "two.png")
    catalogue(bench, f"key,reference\na.png,refs/one.png\nb.png,{elsewhere}\n")
    made = plan(bench, "multi-edit: {prompt: p, images: [current, {file: '{reference}'}]}")
    assert statuses(made) == {"a.png": "new", "b.png": "invalid"}


def test_an_overlay_takes_the_brands_own_logo(bench: Bench) -> None:
    pictures(bench, "a.png", "b.png")
    bench.picture("../acme.png")
    bench.picture("../brio.png", colour="blue")
    catalogue(bench, "key,brand\na.png,acme\nb.png,brio\n")
    made = plan(bench, "upscale", "overlay: {file: '{brand}.png'}")
    assert len({item.fingerprint for item in made.items}) == 2


def test_an_address_takes_a_value_as_a_part_and_no_more(bench: Bench) -> None:
    pictures(bench, "a.png")
    catalogue(bench, "key,sku\na.png,1 2?x=#y\n")
    made = plan(bench, "multi-edit: {prompt: p, images: [current, {url: 'https://cdn.example/{sku}.png'}]}")
    assert "https://cdn.example/1%202%3Fx%3D%23y.png" in repr(only(made).chain.paid[0].images)


# What a run does again


def test_only_items_whose_own_values_changed_are_done_again(bench: Bench) -> None:
    pictures(bench, "a.png", "b.png")
    catalogue(bench, "key,title,note\na.png,cup,1\nb.png,pot,2\n")
    for item in plan(bench, TITLED).items:
        bench.record(item, "done")
        for name in item.outputs:
            (bench.folder / "out").mkdir(exist_ok=True)
            (bench.folder / "out" / name).write_bytes(b"finished")
    catalogue(bench, "note,key,title\nother,b.png,pan\nother,a.png,cup\n")
    made = plan(bench, TITLED)
    assert (made.done, statuses(made)) == (1, {"b.png": "changed"})


def test_a_new_value_in_a_name_makes_the_item_anew(bench: Bench) -> None:
    pictures(bench, "a.png")
    catalogue(bench, "key,sku\na.png,1\n")
    before = only(plan(bench, "upscale", name="{sku}.{ext}")).fingerprint
    catalogue(bench, "key,sku\na.png,2\n")
    assert only(plan(bench, "upscale", name="{sku}.{ext}")).fingerprint != before


def test_items_of_equal_values_share_one_chain(bench: Bench) -> None:
    pictures(bench, "a.png", "b.png", "c.png")
    catalogue(bench, "key,title\na.png,cup\nb.png,pot\nc.png,cup\n")
    chains = [id(item.chain) for item in plan(bench, TITLED).items]
    assert chains[0] == chains[2] != chains[1]


def test_a_table_changes_nothing_for_a_job_that_asks_nothing_of_it(bench: Bench) -> None:
    pictures(bench, "a.png")
    catalogue(bench, "key,title\na.png,cup\n")
    before = only(bench.plan("upscale")).fingerprint
    assert only(bench.plan("upscale", source=BY_TABLE)).fingerprint == before


def test_rows_of_pictures_that_a_filter_excludes_count_as_matched(bench: Bench) -> None:
    pictures(bench, "a.png", "b.png")
    catalogue(bench, "key,title\na.png,cup\nb.png,pot\n")
    job = bench.job(TITLED, source=BY_TABLE)
    assert "unmatched-rows" not in codes(bench.plan_of(job, ItemFilter(only="a.png")))


@pytest.mark.slow
def test_a_catalogue_of_100_000_rows_takes_less_than_30_megabytes(tmp_path: Path) -> None:
    file = tmp_path / "catalogue.csv"
    with file.open("w") as rows:
        rows.write("key,brand,description\n")
        rows.writelines(f"pictures/{n:07}.jpg,brand {n % 50},{'long words ' * 20}\n" for n in range(100_000))
    tracemalloc.start()
    table = read_table(MetadataFile(file=file), lambda columns: [name for name in columns if name == "brand"])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    row = table.row(Candidate("pictures/0000051.jpg", ""))
    assert row.values == {"brand": "brand 1"}
    assert peak < 30_000_000


def test_every_combination_of_conditions_is_settled_as_it_would_be_judged(bench: Bench) -> None:
    for number, (first, second) in enumerate(itertools.product(("x", "y"), repeat=2)):
        bench.picture(f"{first}{second}.png", (300 + number, 300))
    catalogue(bench, "stem,a,b\nxx,x,x\nxy,x,y\nyx,y,x\nyy,y,y\n")
    tests = {
        "{any: [{metadata: {a: x}}, {metadata: {b: x}}]}": 3,
        "{all: [{metadata: {a: x}}, {metadata: {b: x}}]}": 1,
        "{metadata: {a: x, b: x}}": 1,
        "{not: {metadata: {a: x, b: x}}}": 3,
        "{not: {any: [{metadata: {a: x}}, {metadata: {b: x}}]}}": 1,
    }
    for condition, calls in tests.items():
        made = plan(bench, f"{{upscale: {{}}, when: {condition}}}", "background-remove")
        assert made.steps[0].calls == made.steps[0].calls_low == calls, condition


def test_what_is_planned_holds_only_steps_that_can_be_bought(bench: Bench) -> None:
    pictures(bench, "a.png")
    catalogue(bench, "key,title\na.png,cup\n")
    assert all(isinstance(step, PaidStep) or not step.unpinned for step in only(plan(bench, TITLED)).chain.steps)


# Styles


def styled(bench: Bench, style: str, *, rows: str = "id,prompt\none,x\n") -> Plan:
    bench.catalogue = replace(bench.catalogue, styles=("Cinematic", "Line Art"))
    catalogue(bench, rows)
    return plan(bench, f"generate: {{model: z-image-turbo{style}}}", source=PROMPTS)


def test_a_style_that_the_api_lacks_is_refused_with_the_nearest_one(bench: Bench) -> None:
    with pytest.raises(JobError, match=":8:") as caught:
        styled(bench, ", style_preset: line art")
    assert "did you mean Line Art?" in str(caught.value)
    assert only(styled(bench, ", style_preset: Line Art")).status == "new"


def test_a_row_whose_style_or_model_does_not_exist_is_invalid_and_the_rest_goes_on(bench: Bench) -> None:
    rows = "id,prompt,look\none,x,Line Art\ntwo,y,Cubism\n"
    made = styled(bench, ", style_preset: '{look}'", rows=rows)
    assert statuses(made) == {"one": "new", "two": "invalid"}
    rows = "id,prompt,model\none,x,\ntwo,y,no-such-model\n"
    assert statuses(styled(bench, "", rows=rows)) == {"one": "new", "two": "invalid"}


def test_more_style_references_than_the_model_takes_are_refused(bench: Bench) -> None:
    model = entry("painter", "image", pricing={"generation": usd(0.01)}, constraints={"maxStyleReferences": 1})
    bench.catalogue = catalogue_of(*MODELS, model)
    catalogue(bench, "id,prompt\none,x\n")
    pictures_of_style = ", ".join("{image: 'https://a.example/" + name + ".png'}" for name in "ab")
    with pytest.raises(JobError, match="1 at most"):
        plan(bench, f"generate: {{model: painter, style_references: [{pictures_of_style}]}}", source=PROMPTS)
