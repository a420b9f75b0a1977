"""What OpenAI's endpoints have in common: JSON bodies, server-sent events, and one form of errors (docs/contract.md)."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar

from pydantic_core import to_json

from completions_mw.core.ports import StoredAnswer
from completions_mw.core.streaming.replay import stream_of
from completions_mw.core.validation.json_body import Bounds, normalise, parse_json_body
from completions_mw.core.validation.valid_request import ValidRequest
from completions_mw.core.validation.vendor_params import REJECT, ParamPolicies, ParamPolicy
from completions_mw.errors import GatewayError, error_body, error_response
from completions_mw.http import Headers, Response
from completions_mw.providers.base import Completion
from completions_mw.settings.types import KeepAliveForm
from completions_mw.sse import KEEP_ALIVE, Event, encode

RequestT = TypeVar("RequestT", bound=ValidRequest)


class OpenAIDialect(ABC, Generic[RequestT]):
    """Base class of the dialects of OpenAI's endpoints, which differ in their requests.

    Args:
        policies: what happens to parameters that the API does not have, by the name of the model.
        bounds: bounds of a request's structure.
        keep_alive_form: form of the keep-alives in silent streams.
    """

    headers: Final[Headers] = (("content-type", "application/json"),)
    stream_headers: Final[Headers] = (
        ("content-type", "text/event-stream; charset=utf-8"),
        # `no-transform`: middleware and proxies that compress would collect the stream.
        ("cache-control", "no-cache, no-transform"),
        # Asks nginx and other proxies not to buffer the stream.
        ("x-accel-buffering", "no"),
    )

    def __init__(self, policies: ParamPolicies, bounds: Bounds, keep_alive_form: KeepAliveForm = "chunk") -> None:
        self._policies = policies
        self._bounds = bounds
        self._keep_alive_form = keep_alive_form

    def parse(self, body: bytes) -> RequestT:
        return self._valid(parse_json_body(body, self._bounds))

    def parse_fields(self, fields: Mapping[str, Any]) -> RequestT:
        """Return the request of a direct call; values may be objects of this package or of an SDK.

        Raises:
            InvalidRequestError: the fields are not a valid request.
        """
        return self._valid(normalise(fields, self._bounds))

    def _valid(self, fields: dict[str, Any]) -> RequestT:
        model = fields.get("model")
        return self._validated(fields, self._policies(model) if isinstance(model, str) else REJECT)

    @abstractmethod
    def _validated(self, fields: dict[str, Any], policy: ParamPolicy) -> RequestT:
        """Return the request in `fields`.

        Args:
            fields: fields of the request, within the bounds of its structure.
            policy: what happens to fields that the API does not have.

        Raises:
            InvalidRequestError: the fields are not a valid request.
        """

    def render(self, completion: Completion) -> bytes:
        return completion.raw or to_json(completion.data, inf_nan_mode="null")

    def frame(self, events: list[Event]) -> bytes:
        return encode(events[0]) if len(events) == 1 else b"".join(map(encode, events))

    def frame_keep_alive(self, chunk: Event) -> bytes:
        return encode(chunk) if self._keep_alive_form == "chunk" else KEEP_ALIVE

    def frame_error(self, error: GatewayError) -> bytes:
        # Not followed by `[DONE]`: both SDKs raise only for this form.
        return encode(Event(dict(error_body(error))))

    def replay(self, answer: StoredAnswer, *, stream: bool, include_usage: bool) -> bytes:
        return stream_of(answer, include_usage=include_usage) if stream else answer.body

    def error_response(self, error: GatewayError) -> Response[Any]:
        return error_response(error)
