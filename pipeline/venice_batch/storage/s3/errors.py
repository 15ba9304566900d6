"""botocore's exceptions translated to ours: what happened where, and what to do about it; never a secret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from venice_batch.errors import AccessDenied, OutputError, SourceError, Unavailable, VeniceBatchError
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
    """One kind of failure.

    Attributes:
        what: what it is; ``{bucket}``, ``{right}`` and ``{endpoint}`` are filled in.
        remedy: what to do about it, likewise.
        codes: error codes of S3, STS and stores that speak the same, parted by spaces; a HEAD's answer has no body and
            so no code but its status. https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
        raised: names of exceptions, likewise.
    """

    what: str
    remedy: str
    codes: str = ""
    raised: str = ""


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


NO_BUCKET = Kind(
    "there is no bucket {bucket!r}",
    "check its name, the account, and whether `endpoint_url` ({endpoint}) is right",
    codes="NoSuchBucket InvalidBucketName 404",
)
SETTING = Kind(
    "the store refused the request",
    "check the settings under `s3`: sse, kms_key_id, storage_class, metadata",
    codes="EntityTooLarge InvalidArgument InvalidEncryptionAlgorithmError InvalidRequest InvalidStorageClass "
    "InvalidTag MetadataTooLarge 400",
    raised="InvalidDNSNameError ParamValidationError RangeError UnsupportedOutpostResourceError "
    "UnsupportedS3AccesspointConfigurationError UnsupportedS3ArnError UnsupportedS3ControlArnError "
    "UnsupportedS3ControlConfigurationError ValidationError",
)
KMS = Kind(
    "the encryption key cannot be used", "check `kms_key_id`, and the rights kms:GenerateDataKey and kms:Decrypt on it"
)
DENIED = Kind(
    "access is denied",
    "give these credentials the right {right} there",
    codes="AccessDenied AccountProblem AllAccessDisabled Forbidden InvalidObjectOwner 403 401",
)
ROLE = Kind("the role could not be assumed", "let these credentials assume `role_arn` (sts:AssumeRole), or change it")
ARCHIVED = Kind("it is archived", "restore it, or exclude it, then run the job again", codes="InvalidObjectState")
LONG = Kind(
    "its name is too long for the store", "shorten `output.name` or the prefix", codes="KeyTooLongError InvalidURI 414"
)
BUG = Kind(
    "a bug",
    "please report it",
    raised="ApiVersionNotFoundError CapacityNotAvailableError DataNotFoundError InvalidExpressionError "
    "MD5UnavailableError MissingParametersError MissingServiceIdError OperationNotPageableError PaginationError "
    "ServiceNotInRegionError StubResponseError UndefinedModelAttributeError UnknownClientMethodError "
    "UnknownServiceError UnknownServiceStyle UnseekableStreamError UnsupportedServiceProtocolsError "
    "WaiterConfigError WaiterError",
)
#: Of botocore's exceptions the first kind that fits counts: narrower classes stand before the wider ones.
KINDS = (
    Kind(
        "there are no credentials",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a `profile`; in a container, give it a role",
        raised="NoCredentialsError PartialCredentialsError NoAuthTokenError",
    ),
    Kind(
        "the credentials could not be fetched",
        "log in again, or look whether the role, the token file or the metadata service is there",
        raised="CredentialRetrievalError InfiniteLoopConfigError LoginError MetadataRetrievalError "
        "RefreshWithMFAUnsupportedError SSOError TokenRetrievalError UnknownCredentialError "
        "UnknownTokenProviderError",
    ),
    Kind("there is no such profile", "check `profile` and AWS_PROFILE against ~/.aws/config", raised="ProfileNotFound"),
    Kind(
        "there is no such region",
        "check `region`, AWS_DEFAULT_REGION and the profile",
        raised="InvalidRegionError NoRegionError UnknownRegionError UnknownFIPSEndpointError",
    ),
    Kind(
        "no trusted TLS connection to {endpoint}",
        "name the authority that signed its certificate in AWS_CA_BUNDLE, or correct the address",
        raised="SSLError",
    ),
    Kind(
        "the bytes did not arrive whole",
        "run the job again; if it stays, look for a faulty proxy or network",
        codes="BadDigest IncompleteBody InvalidDigest XAmzContentChecksumMismatch XAmzContentSHA256Mismatch",
        raised="AwsChunkedWrapperError ChecksumError EventStreamError FlexibleChecksumError IncompleteReadError "
        "ResponseStreamingError",
    ),
    Kind(
        "{endpoint} cannot be reached",
        "check the network, `endpoint_url` and proxy settings",
        raised="HTTPClientError ConnectionError HTTPError",
    ),
    Kind(
        "the store sent an answer that is none of S3's",
        "check that `endpoint_url` ({endpoint}) is an S3 store",
        raised="ResponseParserError",
    ),
    Kind(
        "{endpoint} sends every request elsewhere",
        "check `endpoint_url`: https instead of http, and the host's name",
        raised="RecursionError",
    ),
    SETTING,
    Kind(
        "the AWS settings are not valid",
        "check the AWS variables and ~/.aws/config",
        raised="BaseEndpointResolverError ConfigNotFound ConfigParseError EndpointProviderError EndpointVariantError "
        "InvalidChecksumConfigError InvalidConfigError InvalidDefaultsMode InvalidEndpointConfigurationError "
        "InvalidEndpointDiscoveryConfigurationError InvalidHostLabelError InvalidIMDSEndpointError "
        "InvalidIMDSEndpointModeError InvalidMaxRetryAttemptsError InvalidProxiesConfigError "
        "InvalidRetryConfigurationError InvalidRetryModeError InvalidS3AddressingStyleError "
        "InvalidS3UsEast1RegionalEndpointConfigError InvalidSTSRegionalEndpointsConfigError "
        "MissingDependencyException UnknownSignatureVersionError UnsupportedS3ConfigurationError "
        "UnsupportedSignatureVersionError",
    ),
    Kind(
        "the secret key does not belong to the key id",
        "check AWS_SECRET_ACCESS_KEY or the profile; a proxy that changes requests has the same effect",
        codes="SignatureDoesNotMatch InvalidSecurity",
    ),
    Kind(
        "the store does not know this access key",
        "check AWS_ACCESS_KEY_ID or the profile, AWS_SESSION_TOKEN, and whether `endpoint_url` is the right store",
        codes="InvalidAccessKeyId InvalidToken InvalidClientTokenId NotSignedUp",
    ),
    Kind(
        "the credentials have expired",
        "log in again or renew the token, then run the job again",
        codes="ExpiredToken ExpiredTokenException TokenRefreshRequired RequestExpired",
    ),
    DENIED,
    Kind(
        "the bucket is in another region",
        "set `region` to the bucket's, or remove it: it is found out",
        codes="AuthorizationHeaderMalformed IllegalLocationConstraintException PermanentRedirect Redirect "
        "TemporaryRedirect 301 307",
    ),
    Kind(
        "this machine's clock differs too much from the store's",
        "set the clock (NTP), then run the job again",
        codes="RequestTimeTooSkewed",
    ),
    Kind(
        "the store is overloaded or failing",
        "run the job again later: it goes on where it stopped",
        codes="BandwidthLimitExceeded ConditionalRequestConflict InternalError OperationAborted RequestLimitExceeded "
        "RequestTimeout ServiceUnavailable SlowDown Throttling ThrottlingException TooManyRequests "
        "TooManyRequestsException 409 429 500 502 503 504",
    ),
    Kind(
        "the store takes no more",
        "free some space or raise the quota, then run the job again",
        codes="QuotaExceeded XMinioStorageFull XMinioAdminBucketQuotaExceeded 507",
    ),
    Kind(
        "the store cannot do this",
        "use a store that can, or leave out the setting that asks for it",
        codes="NotImplemented MethodNotAllowed 405 501",
    ),
    NO_BUCKET,
    KMS,
    ROLE,
    ARCHIVED,
    LONG,
    BUG,
)

_EXCEPTIONS = {
    **vars(boto),
    "HTTPError": HTTPError,
    "ResponseParserError": ResponseParserError,
    # A redirect that names no region makes botocore ask for the region, which is redirected, and so on for ever.
    "RecursionError": RecursionError,
}
CODES: dict[str, Kind] = {code: kind for kind in KINDS for code in kind.codes.split()}
CLASSES: tuple[tuple[Kind, tuple[type[BaseException], ...]], ...] = tuple(
    (kind, tuple(_EXCEPTIONS[name] for name in kind.raised.split())) for kind in KINDS
)


@contextmanager
def translating(call: Call, endpoint: str | None) -> Iterator[None]:
    """Turn what is raised in the block into our error.

    Raises:
        VeniceBatchError: see `translate`.
    """
    try:
        yield
    except RAISED as error:
        # Not chained: botocore's own texts may hold signed addresses and the key id.
        raise translate(error, call, endpoint) from None


def translate(error: BaseException, call: Call, endpoint: str | None) -> VeniceBatchError:
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
    if kind is DENIED:
        return AccessDenied(message, remedy=remedy)
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
    """Return what helps whoever has to look further: the code, and the store's own text where ours are vague."""
    if not isinstance(error, ClientError):
        return f" ({type(error).__name__})"
    text = str(error.response.get("Error", {}).get("Message", "")) if kind in {SETTING, KMS, ROLE} else ""
    text = re.sub(r"[^\x20-\x7e]+", " ", text).strip()[:200]
    return f" ({code(error) or status(error)}{': ' if text else ''}{text})"
