"""Bytes to and from a bucket: whole or not at all, in the version that was asked for, written at most once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from venice_batch.errors import ItemError
from venice_batch.storage.s3 import errors
from venice_batch.storage.state_store import Blob
from venice_batch.storage.store import Changed, Exists

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_CHUNK: Final = 1 << 20
#: How often a body that broke off is asked for anew, each time with all of botocore's own retries.
_READS: Final = 5
#: How often a conditional write is tried that met another one at the same moment, and the pause between, in seconds.
_CONFLICTS: Final = 10
_PAUSE: Final = 0.1


@dataclass(frozen=True, slots=True)
class Written:
    """An object that is durable now: its etag without quotes, and when, Unix seconds by the server's clock."""

    etag: str
    date: float


def blob(client: S3Client, request: Mapping[str, Any]) -> Blob | None:
    """Return the object whole, or None where there is none."""
    for last in _tries(_READS):
        try:
            answer = client.get_object(**request)
            content = answer["Body"].read()
        except ClientError as error:
            if errors.status(error) == HTTPStatus.NOT_FOUND and errors.code(error) != "NoSuchBucket":
                return None
            raise
        except errors.BROKEN_OFF:
            if last:
                raise
            continue
        etag, modified = answer["ETag"].strip('"'), answer["LastModified"].timestamp()
        return Blob(content, etag, modified, _date(answer), answer["Metadata"])
    raise AssertionError


def download(client: S3Client, request: Mapping[str, Any], into: Path) -> str:
    """Write the object, or the range asked for, to the new file `into`; return the SHA-256 of it, in hex.

    A body that breaks off is asked for anew from its first byte: so the checksum that the store keeps is compared.

    Raises:
        Changed: there is no such object, or not with the etag asked for; `into` is gone then, as after any error.
        ItemError: it is archived, or this one may not be read: another owner's, or encrypted with a key of theirs.
    """
    with into.open("xb") as file:
        try:
            return _downloaded(client, request, file)
        except BaseException:
            into.unlink(missing_ok=True)
            raise


def _downloaded(client: S3Client, request: Mapping[str, Any], file: IO[bytes]) -> str:
    for last in _tries(_READS):
        file.seek(0)
        file.truncate()
        try:
            return _streamed(client, request, file)
        except ClientError as error:
            if (
                errors.code(error) == "InvalidRange"
                or errors.status(error) == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
            ):
                return hashlib.sha256().hexdigest()  # the first bytes of an empty object
            raise _unreadable(error, request) from None
        except errors.BROKEN_OFF:
            if last:
                raise
    raise AssertionError


def _streamed(client: S3Client, request: Mapping[str, Any], file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    # Not as its own context manager: that gives out the bare stream, without the checks of length and checksum.
    with closing(client.get_object(**request)["Body"]) as body:
        while chunk := body.read(_CHUNK):
            digest.update(chunk)
            file.write(chunk)
    file.flush()
    return digest.hexdigest()


def _unreadable(error: ClientError, request: Mapping[str, Any]) -> Exception:
    status, code = errors.status(error), errors.code(error)
    if code == "InvalidObjectState":
        kind = errors.ARCHIVED
        return ItemError("archived", kind.what, remedy=kind.remedy, lasting=False)
    if (kind := errors.kind_of(error)) in {errors.DENIED, errors.KMS}:
        remedy = kind.remedy.format(right="s3:GetObject")
        return ItemError("unreadable", f"cannot be read: {kind.what} ({code or status})", remedy=remedy, lasting=False)
    if status == HTTPStatus.PRECONDITION_FAILED or (status == HTTPStatus.NOT_FOUND and code != "NoSuchBucket"):
        return Changed(request["Key"])
    return error


def upload(
    client: S3Client,
    request: Mapping[str, Any],
    body: IO[bytes],
    condition: Mapping[str, Any],
    sleep: Callable[[float], None],
) -> Written:
    """Put the object, with the checksum that botocore adds and the store compares.

    Raises:
        Exists: ``IfNoneMatch``, and there is one.
        Changed: ``IfMatch``, and there is none or another.
    """
    for last in _tries(_CONFLICTS):
        body.seek(0)
        try:
            answer = client.put_object(**request, **condition, Body=body)
            return Written(answer["ETag"].strip('"'), _date(answer))
        except ClientError as error:
            if errors.code(error) == "ConditionalRequestConflict" and not last:
                sleep(_PAUSE)
                continue
            if not condition or not _is_unmet(error, condition):
                raise
            if (own := _written_before(client, request, body, error)) is not None:
                return own
            raise (Exists if "IfNoneMatch" in condition else Changed)(request["Key"]) from None
    raise AssertionError


def _is_unmet(error: ClientError, condition: Mapping[str, Any]) -> bool:
    status = errors.status(error)
    # Of a key with no object AWS says 404, others 412.
    gone = "IfMatch" in condition and status == HTTPStatus.NOT_FOUND and errors.code(error) != "NoSuchBucket"
    return status == HTTPStatus.PRECONDITION_FAILED or gone


def _written_before(
    client: S3Client, request: Mapping[str, Any], body: IO[bytes], error: ClientError
) -> Written | None:
    """Return the object that is there if it is our own: the first answer was lost, and the repetition met it."""
    if not error.response["ResponseMetadata"].get("RetryAttempts"):
        return None
    body.seek(0)
    try:
        there = client.get_object(Bucket=request["Bucket"], Key=request["Key"])
    except ClientError as other:
        if errors.status(other) == HTTPStatus.NOT_FOUND:
            return None
        raise
    with closing(there["Body"]) as stored:
        while True:
            chunk = stored.read(_CHUNK)
            if chunk != body.read(_CHUNK):
                return None
            if not chunk:
                return Written(there["ETag"].strip('"'), there["LastModified"].timestamp())


def copy(client: S3Client, request: Mapping[str, Any]) -> Written:
    """Have the store copy an object.

    Raises:
        Changed: the source is gone, or not with the etag asked for.
    """
    try:
        answer = client.copy_object(**request)
    except ClientError as error:
        raise _unreadable(error, request) from None
    return Written(answer["CopyObjectResult"]["ETag"].strip('"'), _date(answer))


def _date(answer: Mapping[str, Any]) -> float:
    """Return the server's clock, Unix seconds; 0 where it does not tell."""
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    return parsedate_to_datetime(date).timestamp() if date else 0.0


def _tries(count: int) -> list[bool]:
    """Return one value for each try: whether it is the last."""
    return [False] * (count - 1) + [True]
