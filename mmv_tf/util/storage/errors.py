# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Store errors: what went wrong, and whether a retry may help.

The clients' own texts are never shown, since they may quote requests with credentials.
"""

from __future__ import annotations

import dataclasses
import errno
from collections.abc import Iterator
from typing import Any

from mmv_tf.util.storage.urls import redacted

SERVER_ERROR = "server error"
THROTTLED = "throttled request"
CUT = "cut connection"
SLOW = "slow answer"

# Ours: maximum wait that a store may request, in seconds.
_MAX_RETRY_AFTER = 60.0

_LOCAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE)

# Exceptions of the clients by name, so that none of them is imported here.
_NO_CREDENTIALS = {
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "ProfileNotFound",
    "SSOError",
    "TokenRetrievalError",
    "DefaultCredentialsError",
}
_SLOW = {"TimeoutError", "ReadTimeoutError", "ConnectTimeoutError", "Timeout", "FSTimeoutError"}
_CUT = {
    "ConnectionError",
    "ClientConnectionError",
    "ClientPayloadError",
    "HTTPClientError",
    "EndpointConnectionError",
    "ConnectionClosedError",
    "IncompleteReadError",
    "ResponseStreamingError",
    "ChunkedEncodingError",
    "HttpProcessingError",
    "TransportError",
    "gaierror",
    "ChecksumError",
}

_NO_BUCKET = "there is no such bucket; check the name, or create the bucket first"
_SKEWED = "the store's clock and this machine's differ; set this machine's clock"
_REFUSED = "the store refuses these credentials; renew them"
_DENIED = "these credentials do not permit this; ask for permission, or check the bucket's name"
_REGION = "the bucket is in another region; set AWS_DEFAULT_REGION to it"
_CODES = {
    "NoSuchBucket": _NO_BUCKET,
    "RequestTimeTooSkewed": _SKEWED,
    "RequestExpired": _SKEWED,
    "InvalidAccessKeyId": _REFUSED,
    "SignatureDoesNotMatch": _REFUSED,
    "ExpiredToken": _REFUSED,
    "ExpiredTokenException": _REFUSED,
    "InvalidToken": _REFUSED,
    "TokenRefreshRequired": _REFUSED,
    "AccessDenied": _DENIED,
    "PermanentRedirect": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "InvalidBucketName": "this is not a valid bucket name",
    "KeyTooLongError": "the name is too long for the store",
}
_THROTTLING = {"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "429"}
_SERVER = {"InternalError", "XAmzContentSHA256Mismatch", "BadDigest", "OperationAborted"}
_SLOW_CODES = {"RequestTimeout"}

_CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in with `aws configure`",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`",
}


class StorageError(OSError):
    """A store can't do what is needed; the message is one line for the user."""


class MissingError(StorageError, FileNotFoundError):
    """There is no such object."""

    def __init__(self, where: str):
        super().__init__(f"{redacted(where)}: there is no such object; check its name.")


class ChangedError(StorageError):
    """An object differs from its listing."""

    def __init__(self, where: str):
        super().__init__(
            f"{redacted(where)}: the object has changed since it was listed; rerun the same "
            "command."
        )


@dataclasses.dataclass(frozen=True)
class Failure:
    """One failed attempt.

    Attributes:
      reason: what failed; if `passing`, a noun for the tally, otherwise a clause for the message.
      passing: whether a retry may help.
      retry_after: seconds that the store asks to wait.
      missing: whether there is no such object.
      changed: whether the object is shorter than the requested part.
    """

    reason: str
    passing: bool = False
    retry_after: float = 0.0
    missing: bool = False
    changed: bool = False

    def error(self, doing: str, where: str, retries: int) -> StorageError:
        """Return the error to raise after a number of retries."""
        where = redacted(where)
        if self.missing:
            return MissingError(where)
        if self.changed:
            return ChangedError(where)
        if self.reason == _NO_BUCKET:
            return missing_bucket("/".join(where.split("/")[:3]))
        reason = self.reason
        if reason == _no_credentials(""):
            reason = _no_credentials(where)
        if self.passing:
            times = f", {retries} retries" if retries else ""
            what = "unreachable" if reason in (CUT, SLOW) else "out of order"
            reason = f"the store is {what} ({reason}{times}); try again later"
        return StorageError(f"{where}: can't {doing}: {reason}.")


def missing_bucket(where: str) -> StorageError:
    """Return the error for a bucket that does not exist."""
    return StorageError(f"{redacted(where)}: {_NO_BUCKET}.")


def diagnose(error: BaseException) -> Failure | None:
    """Return what a client's exception means, or None if it does not concern the store."""
    if isinstance(error, StorageError) or (
        isinstance(error, OSError) and error.errno in _LOCAL and _response(error) is None
    ):
        return None
    names = {kind.__name__ for one in _chain(error) for kind in type(one).__mro__}
    code, status, retry_after = _answer(error)
    if names & _NO_CREDENTIALS:
        return Failure(_no_credentials(""))
    if code in _CODES:
        return Failure(_CODES[code])
    if code in _THROTTLING or status in (429, 503):
        return Failure(THROTTLED, True, retry_after)
    if code in _SLOW_CODES or status == 408:
        return Failure(SLOW, True, retry_after)
    if code in _SERVER or status >= 500 or "ProxyError" in names:
        return Failure(SERVER_ERROR, True, retry_after)
    if "RefreshError" in names:
        return Failure(_SKEWED if "iat" in str(error) else _REFUSED)
    if status == 401:
        return Failure(_no_credentials(""))
    if status == 403 or isinstance(error, PermissionError) or str(error).startswith("Forbidden"):
        return Failure(_DENIED)
    if status == 416 or code == "InvalidRange":
        return Failure("changed", changed=True)
    if isinstance(error, FileNotFoundError) or status == 404:
        return Failure("missing", missing=True)
    if names & _SLOW:
        return Failure(SLOW, True)
    if names & _CUT:
        return Failure(CUT, True)
    told = f"answered {status} ({code})" if status else f"failed with {type(error).__name__}"
    return Failure(f"the store's client {told}")


def _no_credentials(where: str) -> str:
    scheme = where.partition("://")[0]
    hint = _CREDENTIALS.get(scheme, "set them in the environment, as the store's client expects")
    return f"no credentials for the store were found; {hint}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and its causes, some levels deep."""
    for _ in range(5):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _response(error: BaseException) -> dict[str, Any] | None:
    """Return the response that botocore keeps in its exceptions."""
    for one in _chain(error):
        response = getattr(one, "response", None)
        if isinstance(response, dict):
            return response
    return None


def _answer(error: BaseException) -> tuple[str, int, float]:
    """Return the store's error code, HTTP status and seconds to wait; "" and 0 if unknown."""
    response = _response(error)
    if response is not None:
        facts = response.get("ResponseMetadata", {})
        after = facts.get("HTTPHeaders", {}).get("retry-after", "")
        code = str(response.get("Error", {}).get("Code", ""))
        return code, int(facts.get("HTTPStatusCode", 0)), _seconds(after)
    for one in _chain(error):
        for name in ("code", "status"):
            value = str(getattr(one, name, ""))
            if value.isdecimal() and 100 <= int(value) < 600:
                headers = getattr(one, "headers", None) or {}
                return value, int(value), _seconds(headers.get("retry-after", ""))
    return "", 0, 0.0


def _seconds(text: str) -> float:
    """Return the seconds in a Retry-After header; 0 for a date, as clocks may differ."""
    return min(float(text), _MAX_RETRY_AFTER) if text.isdecimal() else 0.0
