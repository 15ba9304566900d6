"""An answer that is an error: raised anywhere below a route, turned into HTTP at its edge."""

from __future__ import annotations

from collections.abc import Mapping


class Refusal(Exception):
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
