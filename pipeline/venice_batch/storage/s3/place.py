"""A prefix of a bucket as a place, and the way to reach it. Nothing here imports boto3."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from venice_batch.storage.place import Place

if TYPE_CHECKING:
    from venice_batch.storage.s3.store import S3Store

#: What S3 itself demands of a bucket's name, read loosely: other stores also know capitals and underscores.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
_SCHEME = "s3://"


@dataclass(frozen=True, slots=True)
class Access:
    """How a bucket is reached, and how objects are written there; what is None is left to boto3 and the environment.

    Attributes:
        profile: of the AWS configuration files.
        endpoint_url: of a store other than AWS.
        region: of the bucket; found out where nobody says it.
        path_style: the bucket in the path instead of the host name; None: whenever there is an endpoint of its own.
        role_arn: a role to assume first.
        requester_pays: this account pays for reading.
        sse: ``AES256`` or ``aws:kms``: encryption at rest that every write asks for.
        kms_key_id: with ``aws:kms``; None is the account's default key.
        storage_class: such as ``STANDARD_IA``.
        cache_control: of every object written.
        metadata: name and value pairs of every object written.
    """

    profile: str | None = None
    endpoint_url: str | None = None
    region: str | None = None
    path_style: bool | None = None
    role_arn: str | None = None
    requester_pays: bool = False
    sse: str | None = None
    kms_key_id: str | None = None
    storage_class: str | None = None
    cache_control: str | None = None
    metadata: tuple[tuple[str, str], ...] = ()

    def for_state(self) -> Access:
        """Return it without what is meant for finished files alone."""
        return replace(self, storage_class=None, cache_control=None, metadata=())


@dataclass(frozen=True, slots=True)
class S3Place(Place):
    """A prefix of a bucket (see `Place`).

    Attributes:
        bucket: its name.
        prefix: empty, or ending in ``/``.
        access: how it is reached.
    """

    versions_are_content: ClassVar[bool] = True  # a version is etag and size
    bucket: str
    prefix: str = ""
    access: Access = field(default=Access(), repr=False)

    def __str__(self) -> str:
        """Render as the user writes it."""
        return f"{_SCHEME}{self.bucket}/{self.prefix}"

    def __truediv__(self, name: str) -> S3Place:
        """Return the place `name` below this one."""
        return replace(self, prefix=f"{self.prefix}{name.strip('/')}/")

    @property
    def endpoint_url(self) -> str:
        """The address of a store other than AWS (see `Place.endpoint_url`)."""
        return self.access.endpoint_url or ""

    @property
    def identity(self) -> str:
        """The address with its endpoint (see `Place.identity`)."""
        return f"{self.endpoint_url} {self}"

    def holds(self, other: Place) -> bool:
        """Whether `other` lies below this prefix, in the same store (see `Place.holds`)."""
        if not isinstance(other, S3Place) or self.bucket != other.bucket or not other.prefix.startswith(self.prefix):
            return False
        # An endpoint may come from a variable, so that one store is written in two ways.
        ways = {(place.access.endpoint_url, place.access.profile) for place in (self, other)}
        return len(ways) == 1 or self.store().endpoint == other.store().endpoint

    def with_access(self, access: Access) -> S3Place:
        """Return it reached in this way (see `Place.with_access`)."""
        return replace(self, access=access)

    def url_problem(self, *, from_here: bool) -> str:
        """Return a problem where the endpoint speaks no TLS (see `Place.url_problem`)."""
        if from_here or urlsplit(self.endpoint_url).scheme != "http":
            return ""
        return f"the API reads https addresses only, and the bucket is at {self.endpoint_url}"

    def store(self) -> S3Store:
        """Return the store there (see `Place.store`)."""
        from venice_batch.storage.s3.store import S3Store  # noqa: PLC0415 - boto3 takes 0.2 s that local jobs can spare

        return S3Store(self)

    def state_store(self) -> S3Store:
        """Return the store there, written without what is meant for finished files (see `Place.state_store`)."""
        return self.with_access(self.access.for_state()).store()


def parse(text: str, access: Access) -> S3Place:
    """Take ``s3://bucket/prefix/`` apart; a prefix without its last slash gets one.

    Raises:
        ValueError: it names no bucket, or the prefix has empty, ``.`` or ``..`` parts.
    """
    bucket, _, prefix = text[len(_SCHEME) :].partition("/")
    if not text.lower().startswith(_SCHEME) or not _BUCKET.fullmatch(bucket):
        raise ValueError(f"{text!r} names no bucket")
    parts = prefix.removesuffix("/").split("/") if prefix.removesuffix("/") else []
    if any(part in {"", ".", ".."} for part in parts):
        raise ValueError(f"{text!r} has an empty or dotted part")
    return S3Place(bucket, "".join(f"{part}/" for part in parts), access)
