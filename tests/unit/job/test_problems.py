from __future__ import annotations

from collections.abc import Callable

import pytest

from venice_batch.steps.table import STEPS

Complaints = Callable[..., list[str]]

HEAD = "version: 1\nname: a\nsource: ./in\noutput: ./out\n"


def _with_step(line: str) -> str:
    return f"{HEAD}steps:\n  - {line}\n"


#: Name of the case, text, and the whole of what is complained about.
BAD_FILES = [
    ("no keys at all", "", ["1:1: the job file is empty; start with version: 1"]),
    ("only a comment", "# nothing\n", ["1:1: the job file is empty; start with version: 1"]),
    (
        "a list",
        "- a\n",
        ["1:1: a job file is a mapping of keys; start with version: 1, then name, source, steps and output"],
    ),
    (
        "unknown and missing keys",
        "version: 1\nnmae: x\nsource: a\noutput: b\nsteps: [upscale]\n",
        ["1:1: name is missing; write name: ...", '2:1: unknown key "nmae"; did you mean name?'],
    ),
    (
        "a key nothing is near",
        HEAD + "steps: [upscale]\nzzz: 1\n",
        ['6:1: unknown key "zzz"; known: version, name, source, steps, output, budget, api, run, state'],
    ),
    (
        "another version",
        HEAD.replace("1", "2", 1) + "steps: [upscale]\n",
        ["1:10: version: 2 is not a version of the job file that this program knows; write version: 1"],
    ),
    (
        "a name with capitals",
        HEAD.replace("name: a", "name: Ab") + "steps: [upscale]\n",
        ['2:7: name: "Ab" is not a name; write 1 to 64 of a-z, 0-9 and -, not starting with -'],
    ),
    (
        "a key written twice",
        HEAD + "steps: [upscale]\nname: b\n",
        ["6:1: the key name is written twice (first in line 2); keep one of them"],
    ),
    (
        "a field written twice",
        _with_step("upscale: {scale: 2, scale: 4}"),
        ["6:25: the key scale is written twice (first in line 6); keep one of them"],
    ),
    (
        "a key without a value",
        HEAD + "steps: [upscale]\nbudget:\n  max_usd:\n",
        ["7:3: max_usd has no value; write one, or remove the line"],
    ),
    (
        "an unknown step",
        _with_step("background_remove"),
        ['6:5: unknown step "background_remove"; did you mean background-remove?'],
    ),
    (
        "a step nothing is near",
        _with_step("zzz: {a: 1}"),
        [
            f'6:5: unknown step "zzz"; known: {", ".join(STEPS)}',
        ],
    ),
    (
        "two steps in one item",
        HEAD + "steps:\n  - upscale: {scale: 2}\n    orient:\n",
        ["7:5: two steps in one item: upscale and orient; begin each step with its own -"],
    ),
    (
        "fields beside the step",
        HEAD + "steps:\n  - edit:\n    prompt: x\n",
        ["7:5: prompt stands beside edit, not inside it; indent it further than edit, or write edit: {prompt: ...}"],
    ),
    ("an item of nothing but an id", _with_step("id: x"), ["6:5: no step is named here; known: upscale, "]),
    ("no step", HEAD + "steps: []\n", ["5:8: steps: there is no step; write - edit: {prompt: ...}"]),
    (
        "one step without a list",
        HEAD + "steps: upscale\n",
        ['5:8: steps: "upscale" where a list of steps is expected; write - edit: {prompt: ...}'],
    ),
    (
        "scale 5",
        _with_step("upscale: {scale: 5}"),
        ["6:22: upscale.scale: 5 is not offered by the API; write 2 to 4"],
    ),
    (
        "scale 1 alone",
        _with_step("upscale: {scale: 1}"),
        [
            "6:22: upscale.scale: scale 1 changes nothing without enhance; add enhance: true, or write 2 to 4",
        ],
    ),
    (
        "a misspelt field",
        _with_step("upscale: {creativty: 0.01}"),
        ['6:15: unknown key "creativty" in upscale; did you mean creativity?'],
    ),
    (
        "a field where there are none",
        _with_step("background-remove: {model: x}"),
        ['6:25: unknown key "model" in background-remove; known: anon_user_id'],
    ),
    (
        "a picture in a step",
        _with_step("edit: {prompt: x, image: a.png}"),
        ["6:23: image is not written in a job file; remove it: the picture comes from the chain"],
    ),
    (
        "an address in a step",
        _with_step("background-remove: {image_url: https://a.example/b}"),
        ["6:25: image_url is not written in a job file; remove it: the picture comes from the chain"],
    ),
    (
        "the model under both of its names",
        _with_step("edit: {prompt: x, model: a, modelId: b}"),
        ["6:42: edit.modelId: model and modelId are the same field, written twice; keep model"],
    ),
    ("an edit without a prompt", _with_step("edit"), ["6:5: edit.prompt is missing; write prompt: ..."]),
    (
        "an empty prompt",
        _with_step('edit: {prompt: " "}'),
        ["6:20: edit.prompt: the text is empty; write some text, or remove the field"],
    ),
    (
        "a format the API lacks",
        _with_step("edit: {prompt: x, output_format: tiff}"),
        ['6:38: edit.output_format: "tiff" is not offered; write jpeg, png or webp'],
    ),
    (
        "quality on edit",
        _with_step("edit: {prompt: x, quality: high}"),
        ['6:23: unknown key "quality" in edit; known: prompt, model, '],
    ),
    (
        "a ratio as a number",
        _with_step("edit: {prompt: x, aspect_ratio: 1.5}"),
        ["6:37: edit.aspect_ratio: 1.5 is not an aspect ratio; write it as width:height, such as 4:5, or auto"],
    ),
    (
        "neither true nor false",
        _with_step("edit: {prompt: x, safe_mode: no}"),
        ['6:34: edit.safe_mode: "no" is neither true nor false; write true or false'],
    ),
    (
        "words for a number",
        _with_step("generate: {model: x, steps: many}").replace("./in", "{prompts: p.csv}"),
        ['6:33: generate.steps: "many" is not a number; write a number'],
    ),
    (
        "numbers out of range",
        _with_step("generate: {model: x, width: 0, cfg_scale: 0, variants: 5, steps: 2.5}").replace(
            "./in", "{prompts: p.csv}"
        ),
        [
            "6:33: generate.width: 0 is out of range; write a number of at least 1",
            "6:47: generate.cfg_scale: 0 is out of range; write a number above 0",
            "6:60: generate.variants: 5 is out of range; write a number of at most 4",
            "6:70: generate.steps: 2.5 is not a whole number; write a number without a fraction",
        ],
    ),
    (
        "variants as raw bytes",
        _with_step("generate: {model: x, variants: 2, return_binary: true}").replace("./in", "{prompts: p.csv}"),
        ["6:36: generate.variants: variants and return_binary exclude each other; remove return_binary"],
    ),
    (
        "fit without a limit",
        _with_step("fit"),
        ["6:5: fit: fit has no limit; write max_side, max_pixels or max_bytes"],
    ),
    (
        "a size in words",
        _with_step("fit: {max_bytes: big}"),
        ['6:22: fit.max_bytes: "big" is not a size; write bytes, or a size such as 500KB or 20MB'],
    ),
    (
        "a picture nobody knows",
        _with_step("multi-edit: {prompt: x, images: [current, logo.png]}"),
        ['6:47: multi-edit.images[1]: "logo.png" does not name a picture; write current, source, '],
    ),
    (
        "an http address",
        _with_step("multi-edit: {prompt: x, images: [{url: 'http://a.example/b'}]}"),
        ['6:38: multi-edit.images[0]: "http://a.example/b" is not an https address; write https://HOST/PATH'],
    ),
    (
        "a later step",
        HEAD + "steps:\n  - multi-edit: {prompt: x, images: [{step: b}]}\n  - upscale:\n    id: b\n",
        ['6:38: multi-edit.images[0]: step "b" is not done yet at this point; write current'],
    ),
    (
        "a step nobody named",
        HEAD + "steps:\n  - upscale\n  - multi-edit: {prompt: x, images: [{step: b}]}\n",
        ['7:38: multi-edit.images[0]: no step has the id "b"; earlier steps: upscale'],
    ),
    (
        "an id used twice",
        HEAD + "steps:\n  - upscale:\n    id: b\n  - orient:\n    id: b\n",
        ["9:9: id: b names an earlier step too; choose another id"],
    ),
    (
        "generate from pictures",
        _with_step("generate: {model: x}"),
        ["6:5: generate starts from prompts, not from pictures; write source: {prompts: FILE}"],
    ),
    (
        "generate in the middle",
        HEAD.replace("./in", "{prompts: p.csv}") + "steps:\n  - generate: {model: x}\n  - generate: {model: x}\n",
        ["7:5: generate can only be the first step; move it to the top"],
    ),
    (
        "prompts without generate",
        _with_step("upscale").replace("./in", "{prompts: p.csv}"),
        [
            "6:5: a job that starts from prompts begins with generate; begin with - generate: {model: ...}",
        ],
    ),
    (
        "the source of a prompt",
        HEAD.replace("./in", "{prompts: p.csv}")
        + "steps:\n  - generate: {model: x}\n  - multi-edit: {prompt: x, images: [source]}\n",
        [
            "7:38: multi-edit.images[0]: there is no source picture in a job that starts from prompts; write current",
        ],
    ),
    (
        "two sources",
        _with_step("upscale").replace("./in", "{path: a, urls: b}"),
        ["3:19: two sources: path and urls; keep one; write a second job for the other"],
    ),
    (
        "a source of nothing",
        _with_step("upscale").replace("./in", "{}"),
        ["3:9: source: a mapping names no source; write source: {path: ./photos}, {prompts: FILE} or {urls: FILE}"],
    ),
    (
        "globs for prompts",
        _with_step("generate: {model: x}").replace("./in", "{prompts: p, include: [a]}"),
        ["3:22: include belongs to a folder of pictures; remove it: prompts takes the whole file"],
    ),
    (
        "no buckets",
        "version: 1\nname: a\nsource: {path: s3://a}\noutput: {path: S3://bb//c}\nstate: s3:cc\nsteps: [upscale]\n",
        [
            "3:16: source.path: 's3://a' names no bucket; write s3://BUCKET/PREFIX/",
            "4:16: output.path: 'S3://bb//c' has an empty or dotted part; write s3://BUCKET/PREFIX/",
            "5:8: state: 's3:cc' names no bucket; write s3://BUCKET/PREFIX/",
        ],
    ),
    (
        "a public memory",
        _with_step("upscale").replace("./out", "s3://acme/web/"),
        [
            (
                "1:1: state is missing: an output on S3 is often public, and ledger and held pictures must not be;"
                " write state: s3://BUCKET/PREFIX/, or a local folder"
            )
        ],
    ),
    (
        "buckets that nobody uses",
        _with_step("upscale")
        .replace("./in", "{path: ./in, s3: {region: x}}")
        .replace("./out", "{path: ./out, s3: {profile: y}}")
        + "lease: 30s\n",
        [
            "3:22: the source does not lie in a bucket; remove it",
            "4:23: neither output nor state lies in a bucket; remove it",
            "7:1: lease belongs to a state on S3; remove it: a local state is locked by the system",
        ],
    ),
    (
        "how a bucket is reached",
        (
            "version: 1\nname: a\nstate: s3://bb/s\nlease: 1s\nsteps: [upscale]\n"
            "source: {path: s3://bb/in, s3: {regoin: x, endpoint_url: 'https://k:s@h'}}\n"
            "output: {path: s3://bb/out, s3: {acl: public, sse: on, metadata: {Ünï: x}, storage_class: 1}}\n"
        ),
        [
            '4:8: lease: "1s" is out of range; write 2s to 1h, or unsafe for a store without conditional writes',
            '6:33: unknown key "regoin" in s3; did you mean region?',
            (
                '6:58: source.s3.endpoint_url: "https://k:s@h" is not an http(s) address;'
                " write https://HOST, without keys and without a bucket"
            ),
            (
                '7:34: unknown key "acl" in s3; known: profile, endpoint_url, region, path_style, role_arn,'
                " requester_pays, sse, kms_key_id, storage_class, cache_control, metadata"
            ),
            '7:52: output.s3.sse: "on" is not offered; write AES256 or aws:kms',
            '7:66: output.s3.metadata: ünï: "x" cannot be an object\'s metadata; use a-z, 0-9, - and plain ASCII',
        ],
    ),
    (
        "a home folder",
        _with_step("upscale").replace("./out", "~/out"),
        ["4:9: output.path: ~ is not expanded; write ${HOME} instead (a folder named ~ is ./~)"],
    ),
    (
        "a placeholder nobody fills",
        _with_step("upscale").replace("./out", '{path: o, name: "{dri}/{stem}.{ext}"}'),
        ["4:25: output.name: unknown placeholder {dri}; known: {dir}, {stem}, {ext} and {variant}"],
    ),
    (
        "a name that leaves the output",
        _with_step("upscale").replace("./out", '{path: o, name: "../{stem}.{ext}"}'),
        ['4:25: output.name: "../{stem}.{ext}" does not name a file inside the output; write "{dir}/{stem}.{ext}"'],
    ),
    (
        "amounts of nothing",
        HEAD + "steps: [upscale]\nbudget: {max_usd: 0, max_usd_per_day: $5, max_usd_per_month: -1}\n",
        [
            "6:19: budget.max_usd: 0 is not an amount above 0; write US dollars as a number, such as 25 or 0.50",
            '6:39: budget.max_usd_per_day: "$5" is not an amount above 0; write US dollars as a number, ',
            "6:62: budget.max_usd_per_month: -1 is not an amount above 0; write US dollars as a number, ",
        ],
    ),
    (
        "how the API is reached",
        HEAD + "steps: [upscale]\napi: {base_url: ftp://x, transport: ftp, timeout: soon}\n",
        [
            '6:17: api.base_url: "ftp://x" is not an http(s) address; write https://HOST/PATH, or emulator',
            '6:37: api.transport: "ftp" is not offered; write multipart, json or url',
            '6:51: api.timeout: "soon" is not a duration; write seconds, or text such as 300s or 5m',
        ],
    ),
    (
        "a password in the address",
        HEAD + "steps: [upscale]\napi: {base_url: https://me:pass@x.example/}\n",
        [
            (
                "6:17: api.base_url: the address holds a user name; "
                "remove it: keys and passwords have no place in a job file"
            )
        ],
    ),
    (
        "how it runs",
        HEAD
        + "steps: [upscale]\nrun: {concurrency: 65, max_failure_rate: 50, uncertain: maybe, on_flagged: release}\n",
        [
            "6:20: run.concurrency: 65 is out of range; write auto, or 1 to 64",
            "6:42: run.max_failure_rate: 50 is out of range; write 0% to 100%, or 0 to 1",
            '6:57: run.uncertain: "maybe" is not offered; write retry or hold',
            '6:76: run.on_flagged: "release" is not offered; write hold, fail, publish or retry',
        ],
    ),
    (
        "expectations of what is no answer, or cannot be",
        HEAD
        + "steps:\n  - fit: {max_side: 9}\n    expect: {min_side: 5}\n"
        + "  - upscale:\n    expect: {min_sid: 5, alpha_share: [90%, 5%], sharpness: 200}\n"
        + "  - background-remove:\n    expect: {}\n  - background-remove:\n    expect:\n",
        [
            "7:5: fit is done on this machine: there is no answer to expect anything of; move expect to a paid step",
            '9:14: unknown key "min_sid" in expect; did you mean min_side?',
            "9:39: expect.alpha_share: the first share is larger than the second; write [least, most]",
            "9:61: expect.sharpness: 200 is out of range; write a number of at most 127",
            "11:13: expect: nothing is expected; write a test such as min_side: 1000, or remove the line",
            "13:5: expect has no value; write one, or remove the line",
        ],
    ),
    (
        "the shape of nothing kept",
        HEAD.replace("./in", "{prompts: p.csv}")
        + "steps:\n  - generate: {model: m}\n    expect: {min_width: 5, aspect_within: 2%}\n",
        ["7:28: generate is sent no picture whose shape could be kept; remove it; min_width and min_height ask for"],
    ),
    (
        "a condition misspelt",
        HEAD + "steps:\n  - upscale:\n    when: {max_side_blow: 3, any: [{width_below: x}, {format: [jpg, jpgg]}]}\n",
        [
            '7:12: unknown test "max_side_blow"; did you mean max_side_below?',
            '7:50: when.any[0].width_below: "x" is not a number; write a number',
            '7:63: when.any[1].format: unknown format "jpgg"; did you mean jpg?',
        ],
    ),
]


@pytest.mark.parametrize(("text", "expected"), [case[1:] for case in BAD_FILES], ids=[case[0] for case in BAD_FILES])
def test_a_bad_file_is_complained_about_with_place_and_remedy(
    complaints: Complaints, text: str, expected: list[str]
) -> None:
    lines = complaints(text)
    assert len(lines) == len(expected), lines
    for line, start in zip(lines, expected, strict=True):
        assert line.startswith(f"/jobs/a.yaml:{start}"), line


def test_all_problems_come_at_once_in_the_order_of_the_file(complaints: Complaints) -> None:
    lines = complaints(
        "version: 2\nname: A\nsource: s3://a\nsteps:\n  - upscal\n  - upscale: {scale: 5, x: 1}\n  - fit:\n"
        "output: {path: '', existing: no}\nbudget: {max_usd: x}\nrun: {drain: x}\nfoo: 1\n"
    )
    places = [tuple(int(part) for part in line.split(":")[1:3]) for line in lines]
    assert places == sorted(places)
    assert [line for line, _ in places] == [1, 2, 3, 5, 6, 6, 7, 8, 8, 9, 10, 11]


@pytest.mark.parametrize("name", ["api_key", "key", "token", "apiKey"])
def test_there_is_no_place_for_the_key(complaints: Complaints, name: str) -> None:
    lines = complaints(HEAD + f"steps: [upscale]\napi: {{{name}: abc}}\n")
    assert lines == ["/jobs/a.yaml:6:7: the API key is never written in a job file; remove it, and set VENICE_API_KEY"]
