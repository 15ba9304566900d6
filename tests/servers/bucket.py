"""A bucket on a running test server, and every way a test may want to reach it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from venice_batch.storage.s3.place import Access, S3Place

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

KEY_ID = "test-key-id"
SECRET = "test-secret"  # noqa: S105 - of servers that live as long as the tests
REGION = "us-east-1"
BUCKET = "itest"


@dataclass(frozen=True)
class Bucket:
    """One bucket of a server.

    Attributes:
        endpoint: the server's address.
        ca: the certificate authority to trust, where the server speaks TLS.
        name: of the bucket.
    """

    endpoint: str
    ca: Path | None = None
    name: str = BUCKET
    key_id: str = KEY_ID
    secret: str = SECRET

    @property
    def access(self) -> Access:
        return Access(endpoint_url=self.endpoint)

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs to reach the server: credentials, and nothing of this machine's own."""
        trust = {"AWS_CA_BUNDLE": str(self.ca)} if self.ca else {}
        return {**safe_variables(), "AWS_ENDPOINT_URL_S3": self.endpoint, **trust}

    def fresh(self) -> S3Place:
        """Return a place that nobody has used yet; the bucket is one, as a new one is slow on its first write."""
        return S3Place(self.name, f"{secrets.token_hex(6)}/", self.access)

    def at(self, endpoint: str) -> Bucket:
        """Return the same bucket as it is reached at another address, such as a proxy's."""
        return replace(self, endpoint=endpoint)

    def client(self, *, retries: int = 3) -> S3Client:
        """Return a plain boto3 client, to look at the bucket without what is tested."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=self.key_id,
            aws_secret_access_key=self.secret,
            verify=str(self.ca) if self.ca else None,
            config=Config(
                s3={"addressing_style": "path"},
                signature_version="s3v4",
                connect_timeout=5,
                read_timeout=30,
                retries={"total_max_attempts": retries, "mode": "standard"},
            ),
        )

    def fill(self, place: S3Place, objects: Mapping[str, bytes]) -> None:
        """Put objects below `place`."""
        client = self.client()
        for key, content in objects.items():
            client.put_object(Bucket=self.name, Key=place.prefix + key, Body=content)
        client.close()

    def content(self, place: S3Place, key: str) -> bytes:
        client = self.client()
        try:
            return client.get_object(Bucket=self.name, Key=place.prefix + key)["Body"].read()
        finally:
            client.close()

    def keys(self, place: S3Place) -> list[str]:
        """Return every key below `place`, in the server's order."""
        client = self.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=place.prefix)
        found = [entry["Key"].removeprefix(place.prefix) for page in pages for entry in page.get("Contents", [])]
        client.close()
        return found


def safe_variables() -> dict[str, str]:
    """Return AWS variables with the servers' credentials, which look at no file and no metadata service."""
    return {
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def only_these_variables() -> Iterator[None]:
    """Replace every AWS variable of this process by the safe ones, and put them back afterwards."""
    before = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(("AWS_", "BOTO"))}
    os.environ.update(safe_variables())
    try:
        yield
    finally:
        for name in [name for name in os.environ if name.startswith(("AWS_", "BOTO"))]:
            del os.environ[name]
        os.environ.update(before)
