"""Every failure that a caller can see, named as in the OpenAI SDKs, and its form on the wire.

    GatewayError
    ├── InvalidRequestError         400
    ├── AuthenticationError         401
    ├── PermissionDeniedError       403
    ├── NotFoundError               404
    ├── MethodNotAllowedError       405
    ├── RequestTimeoutError         408
    ├── RequestTooLargeError        413
    ├── UnsupportedMediaTypeError   415
    ├── RateLimitError              429
    │   └── BudgetExceededError     429
    ├── HeadersTooLargeError        431
    ├── ClientDisconnectedError     499  (in logs only: nobody is there to read it)
    ├── InternalError               500
    ├── UpstreamError               502
    ├── ServiceUnavailableError     503
    └── UpstreamTimeoutError        504

    ConfigurationError (a ValueError): settings that cannot work; raised at construction, never by a request

Adapters never see one: the pipeline turns them into OpenAI's envelope (docs/contract.md, Errors). A direct call raises them.
"""

from typing import Any, ClassVar, Final, TypedDict

from pydantic_core import to_json

from completions_mw.http import Headers, Response

DO_NOT_RETRY: Final = (("x-should-retry", "false"),)
"""Stops the retries of OpenAI's SDKs, which would be in vain (docs/contract.md, Client retries)."""
_MAX_SHOWN_NAME: Final = 256


class GatewayError(Exception):
    """A request that was not answered.

    Args:
        message: what a developer on the other side reads; never holds a secret or a whole value of the request.
        param: path of the parameter at fault, as `messages[0].content`.
        code: the error's code where it differs from the class's own.
        headers: further response headers, as `retry-after`.
    """

    status: ClassVar[int] = 500
    type: str = "server_error"
    code: str | None = None
    next_target: bool = False
    """Whether the model's next target may still answer: nothing was answered, and nothing is under way (docs/promises.md)."""
    received: int | None = None
    """How many bytes had come of an answer that broke off: the provider bills it, so it is charged by an estimate."""
    maybe_billed: bool = False
    """Whether the provider may bill what is charged to nobody: the request was sent, and no answer came (docs/promises.md, Money)."""
    upstream_status: int | None = None
    """HTTP status of the upstream's answer that this error was made from, for the log; None where no upstream answered."""
    upstream_code: str | None = None
    """The upstream's own code for its error, without secrets and at most 200 characters, for the log; None where it gave none."""

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        type: str | None = None,
        headers: Headers = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.headers = headers
        if code is not None:
            self.code = code
        if type is not None:
            self.type = type

    @property
    def retry_after(self) -> float | None:
        """Seconds after which a retry makes sense, at most 60; None where nobody knows, or where it makes none (docs/contract.md)."""
        headers = dict(self.headers)
        if headers.get("x-should-retry") == "false":
            return None
        milliseconds, seconds = headers.get("retry-after-ms"), headers.get("retry-after")
        try:
            return float(milliseconds) / 1000 if milliseconds else float(seconds) if seconds else None
        except ValueError:
            # An upstream's advice may be a date.
            return None


class InvalidRequestError(GatewayError):
    """The request is not one that this API takes (docs/contract.md, Validation)."""

    status = 400
    type = "invalid_request_error"


class AuthenticationError(GatewayError):
    """No key, or one that is not known, disabled or expired."""

    status = 401
    type = "invalid_request_error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message, code=code, headers=(("www-authenticate", "Bearer"),))


class PermissionDeniedError(GatewayError):
    """The caller is known and may not do this."""

    status = 403
    type = "invalid_request_error"


class NotFoundError(GatewayError):
    """No such model for this caller, or no such path."""

    status = 404
    type = "invalid_request_error"


class MethodNotAllowedError(GatewayError):
    """The path is ours, the verb is not."""

    status = 405
    type = "invalid_request_error"
    code = "method_not_supported"

    def __init__(self, message: str, *, allow: str) -> None:
        super().__init__(message, headers=(("allow", allow),))


class RequestTimeoutError(GatewayError):
    """The client did not send its body in time."""

    status = 408
    type = "invalid_request_error"
    code = "request_timeout"


class RequestTooLargeError(GatewayError):
    """The body has more bytes than the setting `max_body_bytes` allows."""

    status = 413
    type = "invalid_request_error"
    code = "request_too_large"


class UnsupportedMediaTypeError(GatewayError):
    """The body is not plain JSON in UTF-8."""

    status = 415
    type = "invalid_request_error"
    code = "unsupported_media_type"


class RateLimitError(GatewayError):
    """Too many requests or tokens; in this version only the upstream says so."""

    status = 429
    type = "requests"
    code = "rate_limit_exceeded"
    next_target = True


class BudgetExceededError(RateLimitError):
    """The key or its tenant has spent its budget; a retry is useless."""

    type = "insufficient_quota"
    code = "insufficient_quota"


class HeadersTooLargeError(GatewayError):
    """The headers together exceed the bound."""

    status = 431
    type = "invalid_request_error"
    code = "headers_too_large"


class ClientDisconnectedError(GatewayError):
    """The client left before its answer was complete."""

    status = 499
    code = "client_disconnected"

    def __init__(self) -> None:
        super().__init__("The client closed the connection.")


class InternalError(GatewayError):
    """A fault of ours. The text is fixed: the cause is in the log, under the request id."""

    code = "internal_error"

    def __init__(self) -> None:
        super().__init__("The server had an error while processing your request. Sorry about that!")


class UpstreamError(GatewayError):
    """The provider failed, or its answer cannot be used."""

    status = 502
    code = "upstream_error"
    next_target = True


class ServiceUnavailableError(GatewayError):
    """Something that this request needs is down or overloaded; a retry may help."""

    status = 503
    next_target = True


class UpstreamTimeoutError(GatewayError):
    """The provider did not answer in time. Unless it could not even be connected to, its answer may be under way, and billed."""

    status = 504
    code = "upstream_timeout"


class ConfigurationError(ValueError):
    """Settings that cannot work; the message names the field."""


class ErrorObject(TypedDict):
    """The four members of `error`: all always present, nothing else (docs/contract.md, Errors)."""

    message: str
    type: str
    param: str | None
    code: str | None


def error_body(error: GatewayError) -> dict[str, ErrorObject]:
    """Return the envelope of OpenAI's API for `error`."""
    return {"error": {"message": error.message, "type": error.type, "param": error.param, "code": error.code}}


def error_response(error: GatewayError) -> Response[Any]:
    """Return the whole HTTP answer for `error`."""
    return Response(
        status=error.status,
        headers=(("content-type", "application/json"), *error.headers),
        body=to_json(error_body(error)),
    )


def shown_name(name: str) -> str:
    """Return a name of the host app, which may be anything, as error texts have it: bounded, and valid Unicode."""
    return name[:_MAX_SHOWN_NAME].encode("utf-8", "replace").decode()
