"""Reading the body of an error: the server's words decide what its status leaves open.

One status means several things here: a 400 may be about this picture or about a field of the request,
a 402 about the account or about the key, a 429 about the rate, the model or the error budget. The
vendor tells most of them apart by text only (facts of 2026-10-02). Only a schema error (``issues``,
``details``) names fields: a sentence is never searched for them. Whether a refusal concerns every item is not
decided here (see `run.stop_rules`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from venice_batch.venice.failures import CallFailed, code_of_status
from venice_batch.venice.fields import MODEL_FIELDS, PICTURE_FIELDS
from venice_batch.venice.waits import reset_after, retry_after

#: The error budget's block, in seconds, where no header says otherwise.
ERROR_BUDGET_BLOCK = 30.0
_NOT_FOUND, _UNPROCESSABLE = 404, 422

_POLICY = re.compile(
    r"content polic|polic(?:y|ies) violat|violat\w* .{0,40}polic|moderat|safety (?:system|filter)|prohibited"
    r"|nsfw|inappropriate|explicit|sexual",
    re.IGNORECASE,
)
#: The documented words for a model that the endpoint does not take; any other sentence may speak of this input alone.
_BAD_MODEL = re.compile(r"invalid model ?id\b", re.IGNORECASE)
_CONTENT_TYPE = re.compile(r"\W?content-type\W? must be\b", re.IGNORECASE)
_PRO_ONLY = re.compile(r"\bpro (?:users?|members?|accounts?|plan|subscri\w+)\b", re.IGNORECASE)
_PRIVACY = re.compile(r"privacy|private|anonymized", re.IGNORECASE)
#: Words of a schema error's tree that are no fields of the request.
_TREE_WORDS = frozenset({"_errors", "errors", "formErrors"})
#: Below these a schema error's tree keeps its fields.
_TREE_BRANCHES = ("fieldErrors", "properties")
#: What an error says, it says at its beginning; patterns take seconds over 64 KB that are made for it.
_MOST_TEXT = 4096


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What a failing answer says, read leniently.

    Attributes:
        text: the error as one line, for people.
        fields: the request fields that ``issues`` and ``details`` complain about, unknown ones included.
        json: the parsed JSON object, empty where the body was none.
    """

    text: str
    fields: frozenset[str]
    json: Mapping[str, object]


def read_error_body(raw: bytes) -> ErrorBody:
    """Read an error body: ``{error}``, ``{error, details, issues}``, ``{code, message}`` or plain text.

    Args:
        raw: at most the first 64 KB of the body.
    """
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        return ErrorBody(_plain(raw), frozenset(), json={})
    issues = [issue for issue in _as_list(body.get("issues")) if isinstance(issue, dict)]
    fields = _issue_fields(issues) | _detail_fields(body.get("details"))
    return ErrorBody(_sentence(body, issues)[:_MOST_TEXT], fields, json=body)


def response_failure(
    status: int, headers: Mapping[str, str], raw: bytes, now: float, *, endpoint: str = ""
) -> CallFailed:
    """Turn a failing answer into its failure.

    Args:
        status: any HTTP status that is no 2xx.
        headers: names in lower case.
        raw: the start of the body, with every key already blanked.
        now: Unix seconds.
        endpoint: the paid one that was asked, such as ``image/edit``; empty for a free call.
    """
    body = read_error_body(raw)
    code = _code(status, headers, body, endpoint)
    return CallFailed(
        code,
        body.text,
        status=status,
        request_id=request_id(headers),
        retry_after=_retry_after(code, headers, now),
        # The picture may have been made before it was found wanting.
        billed=(status == _UNPROCESSABLE and bool(endpoint)) or None,
        fields=body.fields,
    )


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the vendor's name for a request: CF-RAY, which support asks for, or a generic header."""
    return headers.get("cf-ray") or headers.get("x-request-id") or headers.get("x-venice-request-id")


def _code(status: int, headers: Mapping[str, str], body: ErrorBody, endpoint: str) -> str:
    code = code_of_status(status)
    if code is None:
        raise ValueError(f"{status} is no failure")
    match code:
        case "refused-input":
            code = _refusal_code(status, body)
        case "no-money-account":
            code = _money_code(headers, body)
        case "rate-limited":
            code = _wait_code(headers, body)
        case "key-refused" if _PRO_ONLY.search(body.text):
            code = "pro-only"
        case "no-rights" if _PRIVACY.search(body.text):
            code = "private-only"
        case "gone" if status == _NOT_FOUND and endpoint:
            code = _not_found_code(body, endpoint)
        case "gone" if _names_model(body):
            code = "bad-model"
    return code


def _refusal_code(status: int, body: ErrorBody) -> str:
    """Return whether a refused request was refused for its form, its model, fields of its own, or its input."""
    if _CONTENT_TYPE.match(body.text):
        return "wrong-content-type"
    blocked = _POLICY.search(body.text)
    if blocked and status == _UNPROCESSABLE:
        # Whatever field the moderation names: another picture or prompt passes.
        return "content-policy"
    if body.fields & MODEL_FIELDS or _BAD_MODEL.match(body.text):
        return "bad-model"
    if body.fields - PICTURE_FIELDS:
        return "bad-parameter"
    return "content-policy" if blocked else "refused-input"


def _not_found_code(body: ErrorBody, endpoint: str) -> str:
    """Tell a model that is not found, which only generate answers, from an input that cannot be found or fetched."""
    if endpoint != "image/generate":
        return "input-not-found"
    return "bad-model" if _names_model(body) else "refused-input"


def _names_model(body: ErrorBody) -> bool:
    return bool(body.fields & MODEL_FIELDS) or "model" in body.text.lower()


def _money_code(headers: Mapping[str, str], body: ErrorBody) -> str:
    if "payment-required" in headers or {"x402Version", "accepts"} & body.json.keys():
        return "no-money-x402"
    if body.json.get("code") == "PAYMENT_REQUIRED":
        return "no-money-x402"
    text = body.text.lower()
    if "key" in text and "limit" in text:
        return "no-money-key-diem" if "diem" in text else "no-money-key-usd"
    return "no-money-account"


def _wait_code(headers: Mapping[str, str], body: ErrorBody) -> str:
    text = body.text.lower()
    if "failed attempts" in text or "x-ratelimit-resets" in headers:
        return "error-budget"
    if "overload" in text or "capacity" in text:
        return "overloaded"
    limited = "rate limit" in text or "x-ratelimit-reset-requests" in headers
    return "overloaded" if "retry-after" in headers and not limited else "rate-limited"


def _retry_after(code: str, headers: Mapping[str, str], now: float) -> float | None:
    if code == "error-budget":
        # Never less than the documented block: a reset header may speak of another window.
        return max(reset_after(headers, now) or 0.0, retry_after(headers, now) or 0.0, ERROR_BUDGET_BLOCK)
    if code == "rate-limited":
        reset = reset_after(headers, now)
        return reset if reset is not None else retry_after(headers, now)
    return retry_after(headers, now) if "retry-after" in headers else None


def _issue_fields(issues: list[dict[str, object]]) -> frozenset[str]:
    fields: set[str] = set()
    for issue in issues:
        path = _as_list(issue.get("path"))
        if path:
            fields.add(str(path[0]))
        elif issue.get("code") == "unrecognized_keys":
            # The names stand in a list of their own; some servers have them in the message alone.
            keys = _as_list(issue.get("keys")) or re.findall(r"'([^']+)'", str(issue.get("message")))
            fields.update(map(str, keys))
    return frozenset(fields)


def _detail_fields(details: object) -> frozenset[str]:
    # A tree: {"_errors": [], "scale": {"_errors": ["…"]}}, perhaps below a branch; a string names no field.
    if not isinstance(details, dict):
        return frozenset()
    branch = next((details[name] for name in _TREE_BRANCHES if isinstance(details.get(name), dict)), details)
    return frozenset(branch.keys() - _TREE_WORDS)


def _sentence(body: Mapping[str, object], issues: list[dict[str, object]]) -> str:
    error = body.get("error")
    if isinstance(error, dict):
        error = error.get("message")
    parts = [error, body.get("message"), body.get("details"), body.get("code") if not error else None]
    parts += [issue.get("message") for issue in issues]
    texts = [part for part in parts if isinstance(part, str) and part]
    return "; ".join(dict.fromkeys(texts)) or json.dumps(body)[:500]


def _plain(raw: bytes) -> str:
    text = raw[:_MOST_TEXT].decode("utf-8", "replace")
    return re.sub(r"<[^>]*>", " ", text) if "<" in text else text


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
