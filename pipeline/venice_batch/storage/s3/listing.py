"""Listing at a few microseconds a key: botocore signs, sends, retries and judges; the page is taken apart here.

botocore's own parser takes about 70 us a key, most of it for the dates. Its event ``before-parse`` comes after the
answer was read, and before it is parsed: what is a page is parsed here, and an empty one left for botocore.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

from venice_batch.errors import Unavailable
from venice_batch.storage.s3 import keys
from venice_batch.storage.store import Entry

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

#: Under this name botocore calls us before its own handler, which parses every page in search of an error inside an
#: answer of 200: it then finds the empty page. Were the order another, all would still be right, only slower.
_EVENT = "before-parse.*.ListObjectsV2"
_PAGE = "VeniceBatchPage"
_EMPTY = b"<ListBucketResult/>"


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing as the server sent it.

    Attributes:
        objects: key, size in bytes, etag without quotes, and Unix seconds of each.
        next: the token of the page that follows, or empty.
    """

    objects: list[tuple[str, int, str, float]]
    next: str


def install(client: S3Client) -> None:
    """Have the pages of `client` parsed here."""
    client.meta.events.register(_EVENT, _parse_page)


def pages(client: S3Client, bucket: str, prefix: str, reading: Mapping[str, Any]) -> Iterator[list[Entry]]:
    """Yield what lies below `prefix`, at most 1,000 at a time; hidden objects and folder markers are left out.

    Args:
        client: one with `install`.
        bucket: its name.
        prefix: cut off from the keys.
        reading: further parameters of the request.

    Raises:
        ClientError: the store refused.
        BotoCoreError: it cannot be reached.
        Unavailable: it sends what is no listing.
    """
    token: dict[str, Any] = {}
    while True:
        answer: dict[str, Any] = dict(client.list_objects_v2(Bucket=bucket, Prefix=prefix, **reading, **token))
        page = answer.get(_PAGE)
        if not isinstance(page, Page) or (page.next and page.next == token.get("ContinuationToken")):
            # Taken for an end, it would make every picture that was not listed a vanished one.
            raise Unavailable(
                f"cannot list s3://{bucket}/{prefix}: the store sent a page that cannot be read or does not go on",
                remedy="check that `endpoint_url` is an S3 store",
            )
        found = (entry(key.removeprefix(prefix), size, etag, modified) for key, size, etag, modified in page.objects)
        yield [entry for entry in found if entry is not None]
        if not page.next:
            return
        token = {"ContinuationToken": page.next}


def entry(key: str, size: int, etag: str, modified: float) -> Entry | None:
    """Return the entry of an object, its key relative to the place; None for what a listing leaves out."""
    if not key or (key.endswith("/") and not size) or keys.is_hidden(key):
        return None
    return Entry(key, size, f"{etag}-{size}", keys.problem(key, size), modified)


def _parse_page(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    """Parse a page, and leave an empty one to botocore; anything else (errors, broken XML) is left as it is."""
    if response_dict["status_code"] != 200:  # noqa: PLR2004 - HTTP's own number
        return
    try:
        page = parse(response_dict["body"])
    except (ET.ParseError, KeyError, ValueError):
        return
    customized_response_dict[_PAGE] = page
    response_dict["body"] = _EMPTY


def parse(body: bytes) -> Page:
    """Take the XML of a page apart.

    Raises:
        xml.etree.ElementTree.ParseError: it is no XML.
        KeyError: an object has no key, size, etag or date.
        ValueError: it is another document, a size or date is none, or there is more and no token to ask for it.
    """
    root = ET.fromstring(body)  # noqa: S314 - expat limits what entities may grow to, and reads no other file
    namespace, _, name = root.tag.rpartition("}")
    if name != "ListBucketResult":
        raise ValueError(f"<{name}> is no listing")
    space = namespace + "}" if namespace else ""
    encoded = root.findtext(space + "EncodingType") == "url"
    tags = tuple(space + tag for tag in ("Key", "Size", "ETag", "LastModified"))
    found = [_object(element, tags, encoded=encoded) for element in root.iterfind(space + "Contents")]
    more = root.findtext(space + "IsTruncated") == "true"
    token = root.findtext(space + "NextContinuationToken") or ""
    if more and not token:
        raise ValueError("there is more, and no way to ask for it")
    return Page(found, token if more else "")


def _object(element: ET.Element, tags: tuple[str, ...], *, encoded: bool) -> tuple[str, int, str, float]:
    fields = {child.tag: child.text for child in element}
    key, size, etag, modified = (fields[tag] or "" for tag in tags)
    if encoded and ("%" in key or "+" in key):
        key = unquote_plus(key)
    # Whole seconds, as a HEAD has no more.
    return key, int(size), etag.strip('"'), datetime.fromisoformat(modified[:19] + "Z").timestamp()
