"""An answer that is an error: raised anywhere below a route, turned into HTTP at its edge."""

from __future__ import annotations

from collections.abc import Mapping


class ApiError(Exception):
    """The request is answered with an error status.

    Attributes:
        status: the HTTP status.
        body: the JSON document of the answer.
        headers: further headers.
    """

    def __init__(self, status: int, body: str | Mapping[str, object], headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.body: dict[str, object] = {"error": body} if isinstance(body, str) else dict(body)
        self.headers = dict(headers or {})
        super().__init__(f"{status} {self.body.get('error', '')}")


def invalid(details: object, **more: object) -> ApiError:
    """Return the 400 for fields that are wrong, in the API's form."""
    return ApiError(400, {"error": "Invalid request parameters", "details": details, **more})


def invalid_field(name: str, text: str) -> ApiError:
    """Return the 400 for one field that is wrong: named in the tree and in the list of issues."""
    tree = {"_errors": [], name: {"_errors": [text]}}
    return invalid(tree, issues=[{"code": "custom", "path": [name], "message": text}])


def too_large() -> ApiError:
    """Return the 413 of the API."""
    return ApiError(413, {"code": "PAYLOAD_TOO_LARGE", "error": "The request payload is too large."})


def corrupt(field: str, number: int) -> ApiError:
    """Return the 400 for an input that is no picture: named by its field, or by its number among several."""
    return ApiError(400, f"{f'Image {number}' if field == 'images' else field} is invalid or corrupt")
