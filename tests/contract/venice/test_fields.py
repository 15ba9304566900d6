"""A field of the API stands in three places: the client's table, the step that sends it, the emulator that takes it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from venice_batch.emulator import request_bodies as emulator
from venice_batch.steps.fields import known_fields
from venice_batch.steps.table import STEPS
from venice_batch.venice.error_body import response_failure
from venice_batch.venice.fields import ENDPOINT_FIELDS, MODEL_FIELDS, PARAMETERS, PICTURE_FIELDS

if TYPE_CHECKING:
    from pydantic import BaseModel

BODIES: dict[str, type[BaseModel]] = {
    "image/upscale": emulator.UpscaleBody,
    "image/background-remove": emulator.BackgroundRemoveBody,
    "image/edit": emulator.EditBody,
    "image/multi-edit": emulator.MultiEditBody,
    "image/generate": emulator.GenerateBody,
}
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
    assert taken - deprecated == ENDPOINT_FIELDS[endpoint]


@pytest.mark.parametrize("field", sorted(PARAMETERS | MODEL_FIELDS | PICTURE_FIELDS | {"prompt"}))
def test_an_error_about_a_parameter_stops_the_run_and_one_about_the_item_does_not(field: str) -> None:
    body = {"error": "Invalid request", "issues": [{"path": [field], "message": "is wrong"}]}
    code = response_failure(400, {}, json.dumps(body).encode(), 0).code
    expected = dict.fromkeys(PARAMETERS, "bad-parameter") | dict.fromkeys(MODEL_FIELDS, "bad-model")
    assert code == expected.get(field, "refused-input")


@pytest.mark.parametrize("field", sorted(PARAMETERS))
def test_the_name_of_a_parameter_in_an_errors_text_stops_the_run(field: str) -> None:
    body = json.dumps({"error": f"Something is wrong with {field}"}).encode()
    assert response_failure(400, {}, body, 0).code == "bad-parameter"
