"""What botocore raises, told as our errors: what happened where, and what to do about it; never a secret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from venice_batch.errors import OutputError, SourceError, Unavailable, VeniceBatchError
from venice_batch.storage.s3.place import S3Place

#: Everything that a call of a client, or reading its answer, may raise.
RAISED = (ClientError, BotoCoreError, ResponseParserError, HTTPError, RecursionError)
#: The body of an answer broke off or arrived damaged; asking again may help.
BROKEN_OFF = (
    boto.ResponseStreamingError,
    boto.IncompleteReadError,
    boto.ReadTimeoutError,
    boto.ConnectionClosedError,
    boto.ChecksumError,
    boto.FlexibleChecksumError,
    HTTPError,
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of failure: what it is, and the remedy. ``{bucket}``, ``{right}``, ``{endpoint}`` are filled in."""

    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Call:
    """What was being done when it failed.

    Attributes:
        doing: as it follows "cannot": ``read s3://bucket/key``.
        right: the permission that it needs.
        place: in which place.
    """

    doing: str
    right: str
    place: S3Place


NO_CREDENTIALS = Kind(
    "there are no credentials",
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a `profile`; in a container, give it a role",
)
BROKEN_CREDENTIALS = Kind(
    "the credentials could not be fetched",
    "log in again, or look whether the role, the token file or the metadata service is there",
)
ROLE = Kind("the role could not be assumed", "let these credentials assume `role_arn` (sts:AssumeRole), or change it")
WRONG_SECRET = Kind(
    "the secret key does not belong to the key id",
    "check AWS_SECRET_ACCESS_KEY or the profile; a proxy that changes requests has the same effect",
)
UNKNOWN_KEY = Kind(
    "the store does not know this access key",
    "check AWS_ACCESS_KEY_ID or the profile, AWS_SESSION_TOKEN, and whether `endpoint_url` is the right store",
)
EXPIRED = Kind("the credentials have expired", "log in again or renew the token, then run the job again")
NO_BUCKET = Kind(
    "there is no bucket {bucket!r}", "check its name, the account, and whether `endpoint_url` ({endpoint}) is right"
)
DENIED = Kind("access is denied", "give these credentials the right {right} there")
WRONG_REGION = Kind("the bucket is in another region", "set `region` to the bucket's, or remove it: it is found out")
CLOCK = Kind("this machine's clock differs too much from the store's", "set the clock (NTP), then run the job again")
BUSY = Kind("the store is overloaded or failing", "run the job again later: it goes on where it stopped")
UNREACHABLE = Kind("{endpoint} cannot be reached", "check the network, `endpoint_url` and proxy settings")
TLS = Kind(
    "no trusted TLS connection to {endpoint}",
    "name the authority that signed its certificate in AWS_CA_BUNDLE, or correct the address",
)
DAMAGED = Kind("the bytes did not arrive whole", "run the job again; if it stays, look for a faulty proxy or network")
FULL = Kind("the store takes no more", "free some space or raise the quota, then run the job again")
KMS = Kind(
    "the encryption key cannot be used", "check `kms_key_id`, and the rights kms:GenerateDataKey and kms:Decrypt on it"
)
SETTING = Kind(
    "the store refused the request", "check the settings under `s3`: sse, kms_key_id, storage_class, metadata"
)
UNKNOWN_OPERATION = Kind("the store cannot do this", "use a store that can, or leave out the setting that asks for it")
REDIRECTED = Kind(
    "{endpoint} sends every request elsewhere", "check `endpoint_url`: https instead of http, and the host's name"
)
PROFILE = Kind("there is no such profile", "check `profile` and AWS_PROFILE against ~/.aws/config")
CONFIGURATION = Kind("the AWS settings are not valid", "check the AWS variables and ~/.aws/config")
REGION = Kind("there is no such region", "check `region`, AWS_DEFAULT_REGION and the profile")
ARCHIVED = Kind("it is archived", "restore it, or exclude it, then run the job again")
LONG = Kind("its name is too long for the store", "shorten `output.name` or the prefix")
UNREADABLE = Kind(
    "the store sent an answer that is none of S3's", "check that `endpoint_url` ({endpoint}) is an S3 store"
)
BUG = Kind("a bug", "please report it")

#: Error codes of S3, STS and stores that speak the same, https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
#: A HEAD has no body: its code is the status.
CODES: dict[str, Kind] = {
    **dict.fromkeys(["NoSuchBucket", "InvalidBucketName", "404"], NO_BUCKET),
    **dict.fromkeys(
        ["AccessDenied", "AccountProblem", "AllAccessDisabled", "Forbidden", "InvalidObjectOwner", "403", "401"], DENIED
    ),
    **dict.fromkeys(["SignatureDoesNotMatch", "InvalidSecurity"], WRONG_SECRET),
    **dict.fromkeys(["InvalidAccessKeyId", "InvalidToken", "InvalidClientTokenId", "NotSignedUp"], UNKNOWN_KEY),
    **dict.fromkeys(["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"], EXPIRED),
    **dict.fromkeys(
        [
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException",
            "PermanentRedirect",
            "Redirect",
            "TemporaryRedirect",
            "301",
            "307",
        ],
        WRONG_REGION,
    ),
    "RequestTimeTooSkewed": CLOCK,
    **dict.fromkeys(
        [
            "BandwidthLimitExceeded",
            "ConditionalRequestConflict",
            "InternalError",
            "OperationAborted",
            "RequestLimitExceeded",
            "RequestTimeout",
            "ServiceUnavailable",
            "SlowDown",
            "Throttling",
            "ThrottlingException",
            "TooManyRequests",
            "TooManyRequestsException",
            "409",
            "429",
            "500",
            "502",
            "503",
            "504",
        ],
        BUSY,
    ),
    **dict.fromkeys(
        ["BadDigest", "IncompleteBody", "InvalidDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"],
        DAMAGED,
    ),
    **dict.fromkeys(["QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "507"], FULL),
    **dict.fromkeys(
        [
            "EntityTooLarge",
            "InvalidArgument",
            "InvalidEncryptionAlgorithmError",
            "InvalidRequest",
            "InvalidStorageClass",
            "InvalidTag",
            "MetadataTooLarge",
            "400",
        ],
        SETTING,
    ),
    **dict.fromkeys(["NotImplemented", "MethodNotAllowed", "405", "501"], UNKNOWN_OPERATION),
    "InvalidObjectState": ARCHIVED,
    **dict.fromkeys(["KeyTooLongError", "InvalidURI", "414"], LONG),
}

#: The first that fits counts: narrower classes stand before the wider ones.
CLASSES: tuple[tuple[Kind, tuple[type[BaseException], ...]], ...] = (
    (NO_CREDENTIALS, (boto.NoCredentialsError, boto.PartialCredentialsError, boto.NoAuthTokenError)),
    (
        BROKEN_CREDENTIALS,
        (
            boto.CredentialRetrievalError,
            boto.InfiniteLoopConfigError,
            boto.LoginError,
            boto.MetadataRetrievalError,
            boto.RefreshWithMFAUnsupportedError,
            boto.SSOError,
            boto.TokenRetrievalError,
            boto.UnknownCredentialError,
            boto.UnknownTokenProviderError,
        ),
    ),
    (PROFILE, (boto.ProfileNotFound,)),
    (
        REGION,
        (boto.InvalidRegionError, boto.NoRegionError, boto.UnknownRegionError, boto.UnknownFIPSEndpointError),
    ),
    (TLS, (boto.SSLError,)),
    (
        DAMAGED,
        (
            boto.AwsChunkedWrapperError,
            boto.ChecksumError,
            boto.EventStreamError,
            boto.FlexibleChecksumError,
            boto.IncompleteReadError,
            boto.ResponseStreamingError,
        ),
    ),
    (UNREACHABLE, (boto.HTTPClientError, boto.ConnectionError, HTTPError)),
    (UNREADABLE, (ResponseParserError,)),
    # A redirect that names no region makes botocore ask for the region, which is redirected, and so on for ever.
    (REDIRECTED, (RecursionError,)),
    (
        SETTING,
        (
            boto.InvalidDNSNameError,
            boto.ParamValidationError,
            boto.RangeError,
            boto.UnsupportedOutpostResourceError,
            boto.UnsupportedS3AccesspointConfigurationError,
            boto.UnsupportedS3ArnError,
            boto.UnsupportedS3ControlArnError,
            boto.UnsupportedS3ControlConfigurationError,
            boto.ValidationError,
        ),
    ),
    (
        CONFIGURATION,
        (
            boto.BaseEndpointResolverError,
            boto.ConfigNotFound,
            boto.ConfigParseError,
            boto.EndpointProviderError,
            boto.EndpointVariantError,
            boto.InvalidChecksumConfigError,
            boto.InvalidConfigError,
            boto.InvalidDefaultsMode,
            boto.InvalidEndpointConfigurationError,
            boto.InvalidEndpointDiscoveryConfigurationError,
            boto.InvalidHostLabelError,
            boto.InvalidIMDSEndpointError,
            boto.InvalidIMDSEndpointModeError,
            boto.InvalidMaxRetryAttemptsError,
            boto.InvalidProxiesConfigError,
            boto.InvalidRetryConfigurationError,
            boto.InvalidRetryModeError,
            boto.InvalidS3AddressingStyleError,
            boto.InvalidS3UsEast1RegionalEndpointConfigError,
            boto.InvalidSTSRegionalEndpointsConfigError,
            boto.MissingDependencyException,
            boto.UnknownSignatureVersionError,
            boto.UnsupportedS3ConfigurationError,
            boto.UnsupportedSignatureVersionError,
        ),
    ),
    (
        BUG,
        (
            boto.ApiVersionNotFoundError,
            boto.CapacityNotAvailableError,
            boto.DataNotFoundError,
            boto.InvalidExpressionError,
            boto.MD5UnavailableError,
            boto.MissingParametersError,
            boto.MissingServiceIdError,
            boto.OperationNotPageableError,
            boto.PaginationError,
            boto.ServiceNotInRegionError,
            boto.StubResponseError,
            boto.UndefinedModelAttributeError,
            boto.UnknownClientMethodError,
            boto.UnknownServiceError,
            boto.UnknownServiceStyle,
            boto.UnseekableStreamError,
            boto.UnsupportedServiceProtocolsError,
            boto.WaiterConfigError,
            boto.WaiterError,
        ),
    ),
)


@contextmanager
def told(call: Call, endpoint: str | None) -> Iterator[None]:
    """Turn what is raised in the block into our error.

    Raises:
        VeniceBatchError: see `fault`.
    """
    try:
        yield
    except RAISED as error:
        # Not chained: botocore's own texts may hold signed addresses and the key id.
        raise fault(error, call, endpoint) from None


def fault(error: BaseException, call: Call, endpoint: str | None) -> VeniceBatchError:
    """Return our error for one of botocore's: mostly `Unavailable`, `SourceError` where a listing has no bucket."""
    kind = kind_of(error)
    detail = _detail(error, kind)
    names = {"bucket": call.place.bucket, "right": call.right, "endpoint": endpoint or "the store"}
    message = f"cannot {call.doing}: {kind.what.format(**names)}{detail}"
    remedy = kind.remedy.format(**names)
    if kind is NO_BUCKET and call.right == "s3:ListBucket":
        return SourceError(message, remedy=remedy)
    if kind is LONG:
        return OutputError(message, remedy=remedy)
    return VeniceBatchError(message, remedy=remedy) if kind is BUG else Unavailable(message, remedy=remedy)


def kind_of(error: BaseException) -> Kind:
    """Return what kind of failure it is."""
    if isinstance(error, ClientError):
        return _refusal(error)
    return next((kind for kind, classes in CLASSES if isinstance(error, classes)), BUG)


def code(error: ClientError) -> str:
    """Return the error code; the HTTP status where the answer had no body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status(error: ClientError) -> int:
    """Return the HTTP status of a refusal, 0 where there was none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _refusal(error: ClientError) -> Kind:
    if error.operation_name == "AssumeRole":
        return ROLE
    if (name := code(error)).startswith("KMS."):
        return KMS
    # A code that nobody has heard of: the status says at least whose fault it is.
    return CODES.get(name) or CODES.get(str(status(error))) or SETTING


def _detail(error: BaseException, kind: Kind) -> str:
    """Return what helps whoever has to look further: the code, and the store's own words where ours are vague."""
    if not isinstance(error, ClientError):
        return f" ({type(error).__name__})"
    words = str(error.response.get("Error", {}).get("Message", "")) if kind in {SETTING, KMS, ROLE} else ""
    words = re.sub(r"[^\x20-\x7e]+", " ", words).strip()[:200]
    return f" ({code(error) or status(error)}{': ' if words else ''}{words})"
