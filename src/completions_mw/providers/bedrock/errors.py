"""Errors of Bedrock, translated into those of OpenAI's API (docs/contract.md, Errors).

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_Errors. The name of an error
is in the header `x-amzn-errortype`, or in the header `:exception-type` of a frame.
"""

import re
from typing import Any, Final

from completions_mw.errors import GatewayError
from completions_mw.http import Headers
from completions_mw.providers.client_errors import OVERLOADED, client_error
from completions_mw.providers.error_reports import Report
from completions_mw.providers.field_names import compiled, in_our_names
from completions_mw.providers.lenient_json import read_first_json

_STATUSES: Final = {
    "InternalServerException": 500,
    "ModelErrorException": 424,
    "ModelStreamErrorException": 424,
    "ModelTimeoutException": 504,
    "ServiceUnavailableException": OVERLOADED,
    "ThrottlingException": 429,
    "ValidationException": 400,
}
"""Statuses of errors in streams, which have none, and of errors whose own status means something else to clients."""
_FIELD_NAMES: Final = compiled(
    response_format=r"output_?config\.(text)?_?format[\w.]*",
    reasoning_effort=r"\bthinking\.\w[\w.]*|reasoning_?config[\w.]*|output_?config\.effort",
    max_completion_tokens=r"(inference_?config\.)?max_?tokens",
    stop=r"(inference_?config\.)?stop_?sequences[\w.]*",
    temperature=r"inference_?config\.temperature",
    top_p=r"(inference_?config\.)?top_?p\b",
    tool_choice=r"(tool_?config\.)?tool_?choice[\w.]*",
    tools=r"tool_?config[\w.]*",
    messages=r"\bmessages\.\d+[\w.]*|\bsystem\.\d+[\w.]*",
)
_FAILED: Final = 500
_OPERATORS_STATUS: Final = 403
_ARN: Final = re.compile(r"arn:aws[\w-]*:[\w:/.-]*")
"""Matches names of resources, which hold the number of the operator's account."""
_is_of_operator: Final = re.compile("Signature|Token|Client|Access|Account|Credential").search
"""Matches names of errors about the signature of a request or the operator's account, and not about what was asked."""
_is_of_model: Final = re.compile("model identifier|on-demand throughput|model ID", re.IGNORECASE).search
_is_too_long: Final = re.compile("too long|maximum context length|exceeds the maximum|token limit", re.IGNORECASE).search


def parse_error(status: int, headers: Headers, body: bytes) -> GatewayError:
    """Return the client's error for an answer whose status is not 200."""
    name = next((value for key, value in headers if key == "x-amzn-errortype"), "")
    # As in `ValidationException:http://internal.amazon.com/coral/com.amazon.bedrock/`.
    return _error(status, name.partition(":")[0], headers, body)


def reported_error(name: str, payload: bytes) -> GatewayError:
    """Return the client's error for a frame that reports one.

    Args:
        name: name of the exception, as `throttlingException`.
        payload: payload of the frame.
    """
    return _error(_FAILED, name[:1].upper() + name[1:], (), payload)


def _error(status: int, name: str, headers: Headers, body: bytes) -> GatewayError:
    message = _message_in(read_first_json(body))
    status, code = _STATUSES.get(name, status), None
    if status == 400 and _is_of_operator(name):
        status = _OPERATORS_STATUS
    elif status == 404 or (status == 400 and _is_of_model(message)):
        status, code = 404, "model_not_found"
    elif _is_too_long(message):
        code = "context_length_exceeded"
    message, param = in_our_names(_ARN.sub("***", message), _FIELD_NAMES)
    param = "messages" if code == "context_length_exceeded" else param
    error = client_error(status, headers, Report(message, code=code, param=param))
    error.upstream_code = name or None
    return error


def _message_in(value: Any) -> str:
    reported = value if isinstance(value, dict) else {}
    message = reported.get("message") or reported.get("Message")
    return message if isinstance(message, str) else ""
