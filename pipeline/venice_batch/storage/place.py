"""Where something lies: a local folder, or a prefix of a bucket with the way to reach it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

#: What S3 itself demands of a bucket's name, read loosely: other stores also know capitals and underscores.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
SCHEME = "s3://"


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

    def bare(self) -> Access:
        """Return it without what is meant for finished files alone."""
        return replace(self, storage_class=None, cache_control=None, metadata=())


@dataclass(frozen=True, slots=True)
class S3Place:
    """A prefix of a bucket.

    Attributes:
        bucket: its name.
        prefix: empty, or ending in ``/``.
        access: how it is reached.
    """

    bucket: str
    prefix: str = ""
    access: Access = field(default=Access(), repr=False)

    def __str__(self) -> str:
        """Render as the user writes it."""
        return f"{SCHEME}{self.bucket}/{self.prefix}"

    def __truediv__(self, name: str) -> S3Place:
        """Return the place `name` below this one."""
        return replace(self, prefix=f"{self.prefix}{name.strip('/')}/")

    def holds(self, other: S3Place) -> bool:
        """Whether `other` is this place or lies below it, if both are in the same store."""
        return self.bucket == other.bucket and other.prefix.startswith(self.prefix)


Place: TypeAlias = Path | S3Place


def parse(text: str, access: Access) -> S3Place:
    """Take ``s3://bucket/prefix/`` apart; a prefix without its last slash gets one.

    Raises:
        ValueError: it names no bucket, or the prefix has empty, ``.`` or ``..`` parts.
    """
    bucket, _, prefix = text[len(SCHEME) :].partition("/")
    if not text.lower().startswith(SCHEME) or not _BUCKET.fullmatch(bucket):
        raise ValueError(f"{text!r} names no bucket")
    parts = prefix.removesuffix("/").split("/") if prefix.removesuffix("/") else []
    if any(part in {"", ".", ".."} for part in parts):
        raise ValueError(f"{text!r} has an empty or dotted part")
    return S3Place(bucket, "".join(f"{part}/" for part in parts), access)
