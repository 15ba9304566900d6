"""The `notify` section: what it takes, what it refuses, and that it never shows an address."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jsonschema
import pytest

from venice_batch.job.environment import substitute
from venice_batch.job.json_schema import json_schema
from venice_batch.job.notify import EVENTS, Address, Metrics, Notify, Ping
from venice_batch.job.positions import places, plain
from venice_batch.job.problems import Problems, validate
from venice_batch.job.yaml_tree import Entries, compose

SECRET = "B00/s3cr3t-t0ken"  # noqa: S105 - made up, to be looked for where it must not be
HOOK = f"https://hooks.slack.com/services/{SECRET}"
ENVIRON: Mapping[str, str] = MappingProxyType({"HOOK": HOOK, "EMPTY": ""})


def read(text: str) -> tuple[Notify | None, list[str]]:
    """Read the section as `load` does; return it, and every complaint."""
    root, problems = compose(f"notify: {text}\n", "job.yaml")
    assert isinstance(root, Entries)
    filled, more = substitute(root, ENVIRON)
    problems_found = Problems(places(filled), [*problems, *more])
    data = plain(filled)
    assert isinstance(data, dict)
    context = {"folder": Path("/jobs")}
    section = validate(Notify, data["notify"], ("notify",), problems_found, context=context)
    complaints = [str(problem) for problem in problems_found.in_order()]
    return (None, complaints) if section is None else (section, complaints)


def good(text: str) -> Notify:
    found, complaints = read(text)
    assert complaints == []
    assert found is not None
    return found


def test_a_section_with_everything() -> None:
    found = good(
        "{webhook: '${HOOK}', on: [success, money], ping: {start: https://a/s, success: https://a/ok},"
        " metrics: {textfile: out/v.prom, pushgateway: 'http://pushgateway:9091', labels: {instance: web-1, n: 7}}}"
    )
    assert found == Notify(
        webhook=Address(HOOK),
        on=("success", "money"),
        ping=Ping(start=Address("https://a/s"), success=Address("https://a/ok")),
        metrics=Metrics(
            textfile=Path("/jobs/out/v.prom"),
            pushgateway=Address("http://pushgateway:9091"),
            labels=(("instance", "web-1"), ("n", "7")),
        ),
    )


def test_a_section_without_keys_tells_nobody() -> None:
    assert good("{}") == Notify()
    assert set(Notify().on) == {"failure", "money"}


def test_one_ping_address_is_a_base() -> None:
    assert good("{ping: https://hc-ping.com/uuid}").ping == Ping(url=Address("https://hc-ping.com/uuid"))
    assert good("{ping: {url: https://hc-ping.com/uuid}}") == good("{ping: https://hc-ping.com/uuid}")


def test_an_empty_variable_tells_nobody() -> None:
    text = "{webhook: '${EMPTY:-}', ping: '${EMPTY}', metrics: {pushgateway: '${NONE:-}'}}"
    assert good(text) == Notify()


def test_one_event_needs_no_list() -> None:
    assert good("{on: failure}").on == ("failure",)


@pytest.mark.parametrize(
    "url", ["http://localhost:8000/x", "http://127.0.0.1/x", "http://[::1]:80/x", "https://u:p@host.example/x?y=1"]
)
def test_addresses_that_are_taken_everywhere(url: str) -> None:
    assert good(f"{{webhook: '{url}', ping: '{url}', metrics: {{pushgateway: '{url}'}}}}").webhook == Address(url)


BAD = [
    "hooks.slack.com/x",
    "ftp://host/x",
    "https://",
    "https://host:99999/x",
    "https://host:0/x",
    "https://ho st/x",
    "https://host/x#part",
    "https://host/\\x",
    "https://höst/x",
    "https://host/\u202ex",
    "https://[::1/x",
    "7",
    "true",
]


@pytest.mark.parametrize("key", ["webhook: {}", "ping: {}", "ping: {{start: {}}}", "metrics: {{pushgateway: {}}}"])
@pytest.mark.parametrize("url", BAD)
def test_what_is_no_address_is_refused(key: str, url: str) -> None:
    _, complaints = read("{" + key.format(json.dumps(url, ensure_ascii=False)) + "}")
    assert len(complaints) == 1
    assert "this is not an http(s) address; write https://..." in complaints[0]
    assert complaints[0].startswith("job.yaml:1:")


@pytest.mark.parametrize(
    "host", ["pushgateway", "10.0.0.7:9091", "192.168.1.4", "push.monitoring.svc", "push.ns.svc.cluster.local", "a.lan"]
)
def test_a_gateway_in_a_private_network_may_speak_http_and_nobody_else(host: str) -> None:
    url = f"http://{host}/"
    assert good(f"{{metrics: {{pushgateway: '{url}'}}}}").metrics.pushgateway == Address(url)
    for key in ("webhook", "ping"):
        assert "http is refused here" in read(f"{{{key}: '{url}'}}")[1][0]


@pytest.mark.parametrize("host", ["push.example.com", "8.8.8.8", "169.254.169.254", "0.0.0.0", "me:pw@pushgateway"])  # noqa: S104 - it is refused
def test_a_gateway_out_there_or_with_a_password_needs_https(host: str) -> None:
    (complaint,) = read(f"{{metrics: {{pushgateway: 'http://{host}/'}}}}")[1]
    assert "http is refused here" in complaint


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{on: []}", "on names something that is no event; write a list of success, failure, money"),
        ("{on: [failure, faliure]}", "no event"),
        ("{on: [[failure]]}", "no event"),
        ("{ping: {url: https://a/b, start: https://a/c}}", "notify.ping.url: url stands for all three addresses"),
        ("{ping: [https://a/b]}", "a mapping is expected here"),
        ("{metrics: 5}", "a mapping is expected here"),
        ("{metrics: {textfile: v.txt}}", "not the path of a .prom file"),
        ("{metrics: {textfile: .prom}}", "not the path of a .prom file"),
        ("{metrics: {textfile: [v.prom]}}", "not the path of a .prom file"),
        ("{metrics: {labels: [a]}}", "labels are a mapping"),
        ("{metrics: {labels: {a-b: c}}}", "a label has a name that cannot be used"),
        ("{metrics: {labels: {__a: c}}}", "a label has a name that cannot be used"),
        ("{metrics: {labels: {step: c}}}", "a label has a name that cannot be used"),
        ("{metrics: {labels: {a: ''}}}", "the label a has no value"),
        ("{metrics: {labels: {a: {b: c}}}}", "the label a has no value"),
        ("{webhok: https://a/b}", "unknown key"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_place_and_the_remedy(text: str, complaint: str) -> None:
    _, complaints = read(text)
    assert len(complaints) == 1
    assert complaint in complaints[0]


@pytest.mark.parametrize(
    "text",
    [
        "{on: '${HOOK}'}",
        "{on: ['${HOOK}']}",
        "{on: {a: '${HOOK}'}}",
        "{webhook: ['${HOOK}']}",
        "{webhook: {url: '${HOOK}'}}",
        "{webhook: '${HOOK}#x'}",
        "{ping: ['${HOOK}']}",
        "{ping: {start: ['${HOOK}']}}",
        "{ping: {url: 'x${HOOK}'}}",
        "{metrics: '${HOOK}'}",
        "{metrics: {textfile: '${HOOK}'}}",
        "{metrics: {textfile: '${HOOK}.prom'}}",
        "{metrics: {pushgateway: '\\${HOOK}'}}",
        "{metrics: {labels: '${HOOK}'}}",
        "{metrics: {labels: {a: ['${HOOK}']}}}",
    ],
)
def test_no_complaint_repeats_an_address_wherever_it_was_put(text: str) -> None:
    _, complaints = read(text)
    assert complaints
    assert SECRET not in "\n".join(complaints)


def test_values_show_the_host_alone() -> None:
    url = f"https://me:{SECRET.replace('/', '')}@hc-ping.com:8443/{SECRET}?token={SECRET}"
    shown = repr(Notify(webhook=Address(url), ping=Ping(url=Address(url)), metrics=Metrics(pushgateway=Address(url))))
    assert shown.count("Address(hc-ping.com:8443)") == 3
    assert "s3cr3t" not in shown + str(Address(url)) + f"{Address(url)}"
    assert Address(url).reveal() == url


def test_an_address_cannot_travel_by_pickle_or_copy() -> None:
    for carry in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            carry(Address(HOOK))


def test_addresses_are_equal_when_all_of_them_is() -> None:
    assert Address(HOOK) == Address(HOOK)
    assert Address(HOOK) != Address(HOOK + "x")
    assert len({Address(HOOK), Address(HOOK)}) == 1


@pytest.mark.parametrize(
    ("base", "below"),
    [
        ("https://hc-ping.com/u", "https://hc-ping.com/u/fail"),
        ("https://hc-ping.com/u/", "https://hc-ping.com/u/fail"),
        ("https://hc-ping.com/key/slug?create=1", "https://hc-ping.com/key/slug/fail?create=1"),
    ],
)
def test_what_lies_below_an_address_keeps_its_query(base: str, below: str) -> None:
    assert Address(base).below("fail") == Address(below)


def test_the_schema_needs_no_definitions_and_takes_what_is_read() -> None:
    schema: dict[str, Any] = json_schema()["properties"]["notify"]
    assert "$ref" not in json.dumps(schema)
    # The schema is committed: a set's order would change with every start of Python.
    assert schema["properties"]["on"]["default"] == ["failure", "money"]
    for document in (
        {},
        {"webhook": HOOK, "on": ["failure"], "ping": "https://a/b", "metrics": {"textfile": "a.prom"}},
        {"on": "money", "ping": {"start": "https://a/b"}, "metrics": {"pushgateway": "http://p", "labels": {"a": 1}}},
    ):
        jsonschema.validate(document, schema)
    for wrong in ({"on": ["never"]}, {"ping": {"begin": "x"}}, {"hook": "x"}, {"metrics": {"textfile": "a.txt"}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_every_key_has_a_description() -> None:
    fields = Notify.model_fields
    assert all(field.description for field in fields.values())
    assert all(event in (fields["on"].description or "") for event in EVENTS)
