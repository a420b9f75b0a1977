"""One request and what became of it: the record that logs are written from."""

import logging
import secrets
from contextlib import suppress
from dataclasses import dataclass
from traceback import format_tb
from typing import Any

from pydantic_core import to_json

from completions_mw.core.ports import Clock
from completions_mw.errors import ClientDisconnectedError, GatewayError
from completions_mw.http import Headers

access_log = logging.getLogger("completions_mw.access")
event_log = logging.getLogger("completions_mw")


@dataclass(slots=True)
class RequestContext:
    """What is known of a request so far. Never holds content, a key or a header's value.

    Args:
        debug: whether the log may quote exceptions, which may quote the request.
    """

    clock: Clock
    debug: bool
    id: str
    started: float
    caller: str | None = None
    tenant: str | None = None
    client_request_id: str | None = None
    model: str | None = None
    target: str | None = None
    stream: bool = False
    usage: dict[str, Any] | None = None
    estimated: bool = False
    """Whether the usage is our estimate."""
    finish_reason: Any = None
    """As the target gave it."""
    first_ms: int | None = None
    """Milliseconds until the first event of a stream."""
    limit_headers: Headers = ()

    @classmethod
    def begin(cls, clock: Clock, debug: bool) -> "RequestContext":
        """Return the record of a request that has just arrived."""
        return cls(clock, debug, f"req_{secrets.token_hex(16)}", clock.monotonic())

    def milliseconds(self) -> int:
        """Return the time since the request arrived."""
        return round((self.clock.monotonic() - self.started) * 1000)

    def headers(self) -> Headers:
        """Return the headers of every answer (SPEC section 10)."""
        return (
            ("x-request-id", self.id),
            ("openai-processing-ms", str(self.milliseconds())),
            ("openai-version", "2020-10-01"),
            *self.limit_headers,
        )

    def log_access(self, status: int, code: str | None = None) -> None:
        """Write the access line: one a request, as one line of JSON, so that no value can forge another line."""
        if access_log.isEnabledFor(logging.INFO):
            usage = self.usage or {}
            self._log(
                access_log,
                logging.INFO,
                "request",
                status=status,
                code=code,
                caller=self.caller,
                tenant=self.tenant,
                model=self.model,
                target=self.target,
                stream=self.stream,
                ms=self.milliseconds(),
                prompt_tokens=usage.get("prompt_tokens"),
                completion_tokens=usage.get("completion_tokens"),
                client_request_id=self.client_request_id,
            )

    def log_upstream_failure(self, target: str, error: GatewayError) -> None:
        """Write what a target did wrong, for the operator."""
        cause = type(error.__cause__).__name__ if error.__cause__ else None
        details = {"target": target, "status": error.status, "code": error.code, "cause": cause}
        self._log(event_log, logging.WARNING, "upstream_failed", **details, maybe_billed=error.maybe_billed or None)

    def log_failure(self, error: BaseException) -> None:
        """Write a fault of ours, or of a function of the host app: where it happened, and the exception's text only if that is wanted."""
        if self.debug:
            event_log.error("internal_error in request %s", self.id, exc_info=error)
        else:
            trace = "".join(format_tb(error.__traceback__))
            self._log(event_log, logging.ERROR, "internal_error", error=type(error).__name__, trace=trace)

    def log_no_ledger(self) -> None:
        """Write that a caller has a budget, and no place is set where money is counted."""
        self._log(event_log, logging.ERROR, "no_ledger", caller=self.caller, missing="stores.ledger")

    def log_overage(self, reserved: int, cost: int) -> None:
        """Write that an upstream billed more than it was asked for at most (FAULTS FC-81)."""
        self._log(event_log, logging.WARNING, "over_reservation", target=self.target, reserved_nano_usd=reserved, cost_nano_usd=cost)

    def log_end(self, error: BaseException | None) -> None:
        """Write how a streamed answer ended after its status was sent."""
        if error is None:
            return self.log_access(200)
        if isinstance(error, GatewayError):
            if not isinstance(error, ClientDisconnectedError):
                self.log_upstream_failure(self.target or "", error)
            return self.log_access(error.status, error.code)
        if isinstance(error, Exception):
            self.log_failure(error)
            return self.log_access(500, "internal_error")
        return self.log_access(ClientDisconnectedError.status, ClientDisconnectedError.code)

    def _log(self, logger: logging.Logger, level: int, event: str, **values: object) -> None:
        known = {name: value for name, value in values.items() if value is not None}
        # A handler of the host app that fails must not fail the request, nor keep its upstream open.
        with suppress(Exception):
            logger.log(level, "%s", to_json({"event": event, "request_id": self.id, **known}, ensure_ascii=True).decode())
