"""boto3 clients: one for each way to reach a bucket, made at first use and shared by all threads."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3.session
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    DeferredRefreshableCredentials,
)
from botocore.exceptions import ClientError
from botocore.loaders import Loader, create_loader
from botocore.session import Session

from venice_batch import __version__
from venice_batch.storage.s3 import listing
from venice_batch.storage.s3.place import Access

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

#: More than there are threads: a connection beyond the pool is thrown away after each call.
_POOL = 80
_ATTEMPTS = 10
#: AWS answers to it for every bucket, with the region where the bucket really is.
_ANY_REGION = "us-east-1"
#: With a dot in it, the certificate of AWS would not fit the bucket's host name.
_HOST_LABEL = re.compile(r"[a-z0-9-]{3,63}")
_PAYER = "x-amz-request-payer"
_AWS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")


@dataclass(frozen=True, slots=True)
class Connection:
    """What makes two clients different: who asks, and where."""

    profile: str | None
    endpoint_url: str | None
    region: str | None
    path_style: bool | None
    role_arn: str | None

    @classmethod
    def of(cls, access: Access) -> Connection:
        """Return the part of `access` that a client needs."""
        return cls(access.profile, access.endpoint_url, access.region, access.path_style, access.role_arn)


_clients: dict[tuple[Connection, str], S3Client] = {}
_lock = threading.Lock()


def client(access: Access, bucket: str) -> S3Client:
    """Return the client for `bucket`, the same one every time; a bucket of AWS is asked for its region once.

    Raises:
        BotoCoreError: no such profile, no such region, no network.
    """
    wanted = Connection.of(access), bucket
    with _lock:
        if wanted not in _clients:
            _clients[wanted] = _made(*wanted)
        return _clients[wanted]


def region_of(asking: S3Client, bucket: str) -> str | None:
    """Return the region that the store says the bucket is in; a refusal says it, too.

    Source: HeadBucket, header ``x-amz-bucket-region``, also of 301 and 403.
    """
    try:
        headers = asking.head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPHeaders"]
    except ClientError as error:
        headers = error.response["ResponseMetadata"]["HTTPHeaders"]
    return headers.get("x-amz-bucket-region")


def _made(connection: Connection, bucket: str) -> S3Client:
    session = _session(connection.profile)
    region = connection.region or session.get_config_variable("region") or _ANY_REGION
    if connection.role_arn is not None:
        role = _AssumedRole(_session(connection.profile), connection.role_arn, region)
        session.register_component("credential_provider", CredentialResolver([role]))
    attempts = session.get_config_variable("max_attempts") or _ATTEMPTS
    # One for all clients made here: each puts its own handlers into the session below it.
    maker = boto3.session.Session(botocore_session=session)

    def make(region: str, *, path_style: bool) -> S3Client:
        config = _config(attempts, path_style=path_style)
        made: S3Client = maker.client("s3", region_name=region, endpoint_url=connection.endpoint_url, config=config)
        listing.install(made)
        made.meta.events.register("before-sign.s3.GetObject", _move_payer)
        return made

    path_style = _path_style(connection, bucket)
    made = make(region, path_style=path_style)
    if not _is_aws(made.meta.endpoint_url):
        # The endpoint may also have come from a variable or a profile: that is known only now.
        return made if path_style or connection.path_style is not None else make(region, path_style=True)
    # Calls would find their way by redirects, but a signed address is only good for the right region.
    found = None if connection.region else region_of(made, bucket)
    return made if found in {None, region} else make(found or region, path_style=path_style)


def _path_style(connection: Connection, bucket: str) -> bool:
    """Return whether the bucket stands in the path: stores other than AWS rarely have a host name for each.

    Never botocore's "auto": it signs addresses for the one host of all regions, where new buckets cannot be read.
    """
    if connection.path_style is not None:
        return connection.path_style
    elsewhere = connection.endpoint_url is not None and not _is_aws(connection.endpoint_url)
    return elsewhere or _HOST_LABEL.fullmatch(bucket) is None


def _session(profile: str | None) -> Session:
    session = Session(profile=profile)
    session.register_component("data_loader", _loader())
    return session


@cache
def _loader() -> Loader:
    # One for all: the description of S3 takes 0.1 s to read and 10 MB to keep.
    return create_loader()


def _move_payer(request: AWSRequest, signature_version: str, **_: object) -> None:
    """Have a signed address carry who pays as a parameter: whoever opens it sends no headers of ours."""
    if signature_version.endswith("-query") and request.headers.get(_PAYER):
        del request.headers[_PAYER]
        request.url = f"{request.url}{'&' if '?' in str(request.url) else '?'}{_PAYER}=requester"


def endpoint(access: Access) -> str:
    """Return where requests go, in one spelling: ``aws`` for all of AWS, where a bucket's name is unique.

    The endpoint may come from a variable or a profile. No request is made.

    Raises:
        BotoCoreError: no such profile.
    """
    maker = boto3.session.Session(botocore_session=_session(access.profile))
    made: S3Client = maker.client("s3", region_name=access.region or _ANY_REGION, endpoint_url=access.endpoint_url)
    address = made.meta.endpoint_url
    made.close()
    if _is_aws(address):
        return "aws"
    parts = urlsplit(address)
    return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def _is_aws(endpoint: str) -> bool:
    return (urlsplit(endpoint).hostname or "").endswith(_AWS)


def _config(attempts: int, *, path_style: bool) -> Config:
    return Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if path_style else "virtual"},
        max_pool_connections=_POOL,
        connect_timeout=10,
        read_timeout=60,
        tcp_keepalive=True,
        # "adaptive" halves the throughput.
        retries={"mode": "standard", "total_max_attempts": attempts},
        user_agent_extra=f"venice-batch/{__version__}",
    )


class _AssumedRole(CredentialProvider):
    """Credentials of a role, fetched at first use and again before they expire."""

    METHOD = "assume-role"
    CANONICAL_NAME = "AssumeRole"

    def __init__(self, source: Session, role_arn: str, region: str) -> None:
        super().__init__(source)
        self._source = source
        self._region = region
        self._role_arn = role_arn

    def load(self) -> DeferredRefreshableCredentials | None:
        """Return the credentials, or None where there are none to begin with."""
        begin = self._source.get_credentials()
        if begin is None:
            return None
        fetcher = AssumeRoleCredentialFetcher(
            client_creator=partial(self._source.create_client, region_name=self._region),
            source_credentials=begin,
            role_arn=self._role_arn,
            extra_args={"RoleSessionName": "venice-batch"},
        )
        return DeferredRefreshableCredentials(refresh_using=fetcher.fetch_credentials, method=self.METHOD)
