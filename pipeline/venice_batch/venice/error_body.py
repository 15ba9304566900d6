"""Reading the body of an error: the server's words decide what its status leaves open.

One status means several things here: a 400 may be about this picture or about every call of the job,
a 402 about the account or about the key, a 429 about the rate, the model or the error budget. The
vendor tells them apart by text only (facts of 2026-10-02).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from venice_batch.venice.failures import CallFailed, code_of_status
from venice_batch.venice.fields import MODEL_FIELDS, PARAMETERS
from venice_batch.venice.waits import reset_after, retry_after

#: The error budget's block, in seconds, where no header says otherwise.
ERROR_BUDGET_BLOCK = 30.0

_PICTURE = re.compile(
    r"dimension|pixel|corrupt|decod|too (?:large|small|big)|megapixel|file size|image size|image data"
    r"|(?:invalid|unsupported|broken|truncated|unreadable|empty) (?:image|picture|file)"
    r"|image format|process (?:the|this|your) image",
    re.IGNORECASE,
)
_POLICY = re.compile(
    r"content polic|polic(?:y|ies) violat|violat\w* .{0,40}polic|moderat|safety (?:system|filter)|prohibited"
    r"|nsfw|inappropriate|explicit|sexual",
    re.IGNORECASE,
)
_MODEL = re.compile(
    r"(?:invalid|unknown|unsupported|unrecogni[sz]ed|deprecated|retired|no such|missing) .{0,20}\bmodel"
    r"|\bmodel(?:id)?\b.{0,80}?(?:not (?:found|exist|valid|available|supported|allowed|offered|an? )|does not"
    r"|invalid|unknown|unsupported|retired|deprecated|removed|offline|unavailable|no longer|is required)",
    re.IGNORECASE,
)
_PARAMETER = re.compile(
    r"unrecogni[sz]ed key|unknown (?:key|field|parameter)|unexpected (?:key|field|parameter)"
    r"|aspect ratio|\b(?:" + "|".join(sorted(PARAMETERS, key=len, reverse=True)) + r")\b",
    re.IGNORECASE,
)
#: What an error says, it says at its beginning; patterns take seconds over 64 KB that are made for it.
_MOST_TEXT = 4096


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What a failing answer says, read leniently.

    Attributes:
        text: the error as one line, for people.
        fields: the request fields that ``issues`` and ``details`` complain about.
        unknown_keys: whether the body was refused for fields the endpoint does not know.
        json: the parsed JSON object, empty where the body was none.
    """

    text: str
    fields: frozenset[str]
    unknown_keys: bool
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
        return ErrorBody(_plain(raw), frozenset(), unknown_keys=False, json={})
    issues = [issue for issue in _as_list(body.get("issues")) if isinstance(issue, dict)]
    fields = _issue_fields(issues) | _detail_fields(body.get("details"))
    unknown = any(issue.get("code") == "unrecognized_keys" for issue in issues)
    return ErrorBody(_sentence(body, issues)[:_MOST_TEXT], fields, unknown_keys=unknown, json=body)


def response_failure(status: int, headers: Mapping[str, str], raw: bytes, now: float) -> CallFailed:
    """Turn a failing answer into its failure.

    Args:
        status: any HTTP status that is no 2xx.
        headers: names in lower case.
        raw: the start of the body, with every key already blanked.
        now: Unix seconds.
    """
    body = read_error_body(raw)
    code = _code(status, headers, body)
    wait = _retry_after(code, headers, now)
    return CallFailed(code, body.text, status=status, request_id=request_id(headers), retry_after=wait)


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the vendor's name for a request: CF-RAY, which support asks for, or a generic header."""
    return headers.get("cf-ray") or headers.get("x-request-id") or headers.get("x-venice-request-id")


def _code(status: int, headers: Mapping[str, str], body: ErrorBody) -> str:
    code = code_of_status(status)
    if code is None:
        raise ValueError(f"{status} is no failure")
    if code == "refused-input":
        return _job_code(body) or ("content-policy" if _POLICY.search(body.text) else code)
    if code == "no-money-account":
        return _money_code(headers, body)
    if code == "rate-limited":
        return _wait_code(headers, body)
    if code == "gone" and (body.fields & MODEL_FIELDS or "model" in body.text.lower()):
        return "bad-model"
    return code


def _job_code(body: ErrorBody) -> str | None:
    """Return the code of an error that every item would meet, since it names the model or a parameter.

    A complaint about the picture or the prompt is about this item, even if it mentions a model.

    Returns:
        A code that stops the run (exit 2), or None where the item alone fails.
    """
    if body.fields & MODEL_FIELDS:
        return "bad-model"
    if body.unknown_keys or body.fields & PARAMETERS:
        return "bad-parameter"
    if body.fields or _PICTURE.search(body.text) or _POLICY.search(body.text):
        return None
    if _MODEL.search(body.text):
        return "bad-model"
    return "bad-parameter" if _PARAMETER.search(body.text) else None


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
    paths = (_as_list(issue.get("path")) for issue in issues)
    return frozenset(str(path[0]) for path in paths if path)


def _detail_fields(details: object) -> frozenset[str]:
    # A tree: {"_errors": [], "scale": {"_errors": ["…"]}}; a string names no field.
    return frozenset(details.keys() - {"_errors"}) if isinstance(details, dict) else frozenset()


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
