"""A field of the API stands in three places: the client's table, the step that sends it, the emulator that takes it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from venice_batch.emulator import request_bodies as emulator
from venice_batch.steps.fields import known_fields
from venice_batch.steps.table import STEPS
from venice_batch.venice.error_body import response_failure
from venice_batch.venice.fields import ENDPOINT_FIELDS, MODEL_FIELDS, PICTURE_FIELDS

if TYPE_CHECKING:
    from pydantic import BaseModel

BODIES: dict[str, type[BaseModel]] = {
    "image/upscale": emulator.UpscaleBody,
    "image/background-remove": emulator.BackgroundRemoveBody,
    "image/edit": emulator.EditBody,
    "image/multi-edit": emulator.MultiEditBody,
    "image/generate": emulator.GenerateBody,
}
#: Fields of the original API that today's takes like any unknown one, and leaves out of account.
IGNORED = {"image/upscale": frozenset({"enhance", "enhanceCreativity", "enhancePrompt", "replication"})}
#: The fields of the step that calls each endpoint.
SENT = {kind.call.endpoint.lstrip("/"): kind.fields for kind in STEPS.values() if kind.call is not None}


def test_every_endpoint_is_known_to_all_three() -> None:
    assert ENDPOINT_FIELDS.keys() == BODIES.keys() == SENT.keys()


@pytest.mark.parametrize("endpoint", ENDPOINT_FIELDS)
def test_a_step_has_exactly_the_fields_of_its_endpoint(endpoint: str) -> None:
    assert set(known_fields(SENT[endpoint])) - PICTURE_FIELDS == ENDPOINT_FIELDS[endpoint]


@pytest.mark.parametrize("endpoint", ENDPOINT_FIELDS)
def test_the_emulator_takes_exactly_the_fields_of_the_endpoint(endpoint: str) -> None:
    taken = set(known_fields(BODIES[endpoint])) - PICTURE_FIELDS
    # The API still takes the deprecated name of edit's model; steps send the new one.
    deprecated = {"modelId"} if endpoint == "image/edit" else set()
    assert taken - deprecated == ENDPOINT_FIELDS[endpoint] - IGNORED.get(endpoint, frozenset())


@pytest.mark.parametrize("field", sorted(frozenset().union(*ENDPOINT_FIELDS.values(), PICTURE_FIELDS)))
def test_a_schema_error_names_its_field_whatever_the_form_of_its_tree(field: str) -> None:
    forms: list[dict[str, object]] = [
        {"issues": [{"path": [field], "message": "is wrong"}]},
        {"issues": [{"code": "unrecognized_keys", "keys": [field], "path": [], "message": "?"}]},
        {"issues": [{"code": "unrecognized_keys", "path": [], "message": f"Unrecognized key(s) in object: '{field}'"}]},
        {"details": {"_errors": [], field: {"_errors": ["is wrong"]}}},
        {"details": {"errors": [], "properties": {field: {"errors": ["is wrong"]}}}},
        {"details": {"formErrors": [], "fieldErrors": {field: ["is wrong"]}}},
    ]
    kinds = dict.fromkeys(MODEL_FIELDS, "bad-model") | dict.fromkeys(PICTURE_FIELDS, "refused-input")
    for form in forms:
        failure = response_failure(400, {}, json.dumps({"error": "Invalid request", **form}).encode(), 0)
        assert failure.fields == {field}
        assert failure.code == kinds.get(field, "bad-parameter")


@pytest.mark.parametrize("field", sorted(frozenset().union(*ENDPOINT_FIELDS.values())))
def test_the_name_of_a_field_in_a_sentence_says_nothing(field: str) -> None:
    for text in (f"Something is wrong with {field}", f"Unrecognized key: {field}", f"the {field} of this picture"):
        failure = response_failure(400, {}, json.dumps({"error": text, "details": text}).encode(), 0)
        assert (failure.code, failure.fields) == ("refused-input", frozenset())
