"""A prefix of a bucket as a store, and what a state needs of a bucket beyond that: conditions and metadata."""

from __future__ import annotations

import http
import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from venice_batch.errors import Unavailable
from venice_batch.storage.s3 import clients, errors, keys, listing, transfer
from venice_batch.storage.s3.place import S3Place
from venice_batch.storage.state_store import Blob, StateStore
from venice_batch.storage.store import Changed, Entry, Store

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


class S3Store(StateStore):
    """The objects below one prefix; hidden ones and folder markers do not count.

    Nothing is asked of the network until the first call. Every method raises `Unavailable` (exit 6) with the remedy
    where the store cannot be reached or refuses.
    """

    is_remote = True
    place: S3Place

    def __init__(self, place: S3Place, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.place = place
        self._access = place.access
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"S3Store({str(self.place)!r})"

    @property
    def endpoint(self) -> str:
        """The store's address: two places with the same one are in one store (see `clients.endpoint`)."""
        with self._translating(f"reach {self.place}", "s3:ListBucket"):
            return clients.endpoint(self._access)

    # What every store does

    def list(self) -> Iterator[Entry]:
        """Yield every object below the prefix in the server's order: by bytes on AWS (see `Store.list`)."""
        pages = self._pages()
        while True:
            with self._translating(f"list {self.place}", "s3:ListBucket"):
                page = next(pages, None)
            if page is None:
                return
            yield from page

    def _pages(self) -> Iterator[Sequence[Entry]]:
        # A generator of its own: the client is made within it, so that what goes wrong there is translated, too.
        yield from listing.pages(self._client, self.place.bucket, self.place.prefix, self._paying)

    def stat(self, key: str) -> Entry | None:
        """Return the object as it is now, or None where there is none (one HEAD)."""
        head = self._head(key)
        if head is None:
            return None
        size, etag = head["ContentLength"], head["ETag"].strip('"')
        return Entry(key, size, f"{etag}-{size}", keys.problem(key, size), head["LastModified"].timestamp())

    def read(self, key: str, into: Path, version: str | None = None) -> str:
        """Download to the new file `into` and return the SHA-256 of its bytes, in hex (see `Store.read`)."""
        if version is None:
            return self._download(key, into, {})
        etag, _, size = version.rpartition("-")
        sha256 = self._download(key, into, {"IfMatch": f'"{etag}"'})
        if str(into.stat().st_size) != size:
            into.unlink()
            raise Changed(key)
        return sha256

    def peek(self, key: str, into: Path, count: int) -> Path:
        """Download the first `count` bytes to the new file `into` (see `Store.peek`)."""
        self._download(key, into, {"Range": f"bytes=0-{count - 1}"})
        return into

    def put(self, file: Path, key: str, *, replace: bool) -> Entry:
        """Store the file in one request (see `Store.put`); up to 5 GB, S3's limit for that."""
        condition = {} if replace else {"IfNoneMatch": "*"}
        with _opened(file) as body:
            size = file.stat().st_size
            written = self._write(key, body, dict(self._access.metadata), condition)
        return Entry(key, size, f"{written.etag}-{size}", modified=written.date)

    def delete(self, key: str) -> None:
        """Remove the object; removing what is not there is no error.

        Raises:
            OutputError: the key leads out of the place.
        """
        keys.refuse_leading_out(key, str(self.place))
        with self._translating(f"delete {self._printable(key)}", "s3:DeleteObject"):
            self._client.delete_object(**self._at(key))

    # What a state needs beyond that

    def get(self, key: str) -> Blob | None:
        """Return a small object whole (see `StateStore.get`)."""
        if not keys.is_relative(key):
            return None
        with self._translating(f"read {self._printable(key)}", "s3:GetObject"):
            return transfer.blob(self._client, {**self._at(key), **self._paying})

    def write(
        self,
        key: str,
        content: bytes,
        *,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> str:
        """Store a small object in one request (see `StateStore.write`)."""
        condition = {"IfNoneMatch": "*"} if if_absent else {}
        if if_match is not None:
            condition = {"IfMatch": f'"{if_match}"'}
        return self._write(key, io.BytesIO(content), dict(metadata or {}), condition).etag

    def keep(self, file: Path, key: str, metadata: Mapping[str, str], *, if_absent: bool) -> str:
        """Store a file in one request (see `StateStore.keep`)."""
        with _opened(file) as body:
            return self._write(key, body, dict(metadata), {"IfNoneMatch": "*"} if if_absent else {}).etag

    def metadata(self, key: str) -> Mapping[str, str] | None:
        """Return what is kept with an object (one HEAD; see `StateStore.metadata`)."""
        head = self._head(key)
        return None if head is None else head["Metadata"]

    def can_copy_from(self, source: Store) -> bool:
        """Whether it is at the same endpoint, asked by the same credentials (see `Store.can_copy_from`)."""
        if not isinstance(source, S3Store):
            return False
        ours, theirs = self._access, source.place.access
        return all(getattr(ours, name) == getattr(theirs, name) for name in ("endpoint_url", "profile", "role_arn"))

    def copy(self, source: Store, there: Entry, key: str) -> Entry:
        """Copy within the endpoint (see `Store.copy`).

        The copy is a finished file: content type by its key, metadata and the rest as this place asks for them.
        """
        if not isinstance(source, S3Store):
            raise TypeError("only an object of a bucket is copied by its store")
        return self._copied(source, there, key)

    def _copied(self, source: S3Store, there: Entry, key: str) -> Entry:
        etag = there.version.rpartition("-")[0]
        request = {
            **self._written(key, dict(self._access.metadata)),
            "CopySource": {"Bucket": source.place.bucket, "Key": source.place.prefix + there.key},
            "CopySourceIfMatch": f'"{etag}"',
            "MetadataDirective": "REPLACE",
            **source._paying,
        }
        with self._translating(f"copy {source._printable(there.key)} to {self._printable(key)}", "s3:PutObject"):
            copied = transfer.copy(self._client, request)
        return Entry(key, there.size, f"{copied.etag}-{there.size}", modified=copied.date)

    def address(self, key: str, seconds: int) -> str:
        """Return an https address that whoever has it may GET the object at, for so many seconds; a secret.

        Signed with SigV4 (at most 7 days, less where the credentials are temporary); no request is made.
        """
        with self._translating(f"sign an address of {self._printable(key)}", "s3:GetObject"):
            return self._client.generate_presigned_url(
                "get_object", Params={**self._at(key), **self._paying}, ExpiresIn=seconds
            )

    # How

    @property
    def _client(self) -> S3Client:
        return clients.client(self._access, self.place.bucket)

    @property
    def _paying(self) -> dict[str, Any]:
        return {"RequestPayer": "requester"} if self._access.requester_pays else {}

    def _at(self, key: str) -> dict[str, Any]:
        return {"Bucket": self.place.bucket, "Key": self.place.prefix + key}

    def _printable(self, key: str) -> str:
        return keys.printable(f"{self.place}{key}")

    def _translating(self, doing: str, right: str) -> AbstractContextManager[None]:
        return errors.translating(errors.Call(doing, right, self.place), self._access.endpoint_url)

    def _head(self, key: str) -> Mapping[str, Any] | None:
        if not keys.is_relative(key):
            return None
        with self._translating(f"look at {self._printable(key)}", "s3:GetObject"):
            try:
                return cast("Mapping[str, Any]", self._client.head_object(**self._at(key), **self._paying))
            except ClientError as error:
                if errors.status(error) == http.HTTPStatus.NOT_FOUND:
                    return None
                raise

    def _download(self, key: str, into: Path, condition: Mapping[str, str]) -> str:
        if not keys.is_relative(key):
            raise Changed(key)  # on its way such a key would be made another, perhaps one outside of this place
        with self._translating(f"read {self._printable(key)}", "s3:GetObject"):
            return transfer.download(self._client, {**self._at(key), **self._paying, **condition}, into)

    def _write(
        self, key: str, body: IO[bytes], metadata: dict[str, str], condition: dict[str, str]
    ) -> transfer.Written:
        keys.refuse_leading_out(key, str(self.place))
        with self._translating(f"write {self._printable(key)}", "s3:PutObject"):
            return transfer.upload(self._client, self._written(key, metadata), body, condition, self._sleep)

    def _written(self, key: str, metadata: dict[str, str]) -> dict[str, Any]:
        """Return what every write says of its object. Never an ACL: buckets of today refuse every one."""
        access = self._access
        headers = {
            "Metadata": metadata,
            "ContentType": keys.content_type(key),
            "CacheControl": access.cache_control,
            "StorageClass": access.storage_class,
            "ServerSideEncryption": access.sse,
            "SSEKMSKeyId": access.kms_key_id,
        }
        return {**self._at(key), **{name: value for name, value in headers.items() if value}}


def _opened(file: Path) -> IO[bytes]:
    try:
        return file.open("rb")
    except OSError as error:
        raise Unavailable(
            f"cannot read {file}: {error.strerror}", remedy="see whether the disk is in order, then run the job again"
        ) from error
