"""Parameters of OpenAI's API that a target does not take: refused, left out, or changed (docs/settings.md, Unsupported parameters)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from completions_mw.core.validation.valid_request import ValidRequest
from completions_mw.errors import InvalidRequestError
from completions_mw.settings.capabilities import Capabilities
from completions_mw.settings.types import UnsupportedParams

_HINTS: Final = frozenset(
    [
        "metadata",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "user",
    ]
)
"""Parameters that do not change what a model answers, so that no policy refuses a request for them."""
_SAME_AS_LEFT_OUT: Final[Mapping[str, tuple[Any, ...]]] = {
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "n": (1,),
    "parallel_tool_calls": (True,),
    "presence_penalty": (0,),
    "reasoning_effort": ("none",),
    "response_format": ({"type": "text"},),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "temperature": (1,),
    "tool_choice": ("auto",),
    "top_k": (0, -1),
    "top_logprobs": (0,),
    "top_p": (1,),
    "verbosity": ("medium",),
}
"""Values by which a client asks for what a service without the parameter does anyway."""
_BELONGS_TO: Final = {
    "audio": "modalities",
    "function_call": "functions",
    "parallel_tool_calls": "tools",
    "tool_choice": "tools",
    "top_logprobs": "logprobs",
}
"""Parameters that mean nothing, and are refused by most services, without another one."""


RequestT = TypeVar("RequestT", bound=ValidRequest)


class TargetParams:
    """The parameters that one target does not take, and what happens to them. Made once for each target, and never for one that takes all.

    Args:
        target: `provider/model` of the target, for errors.
        capabilities: what the target takes.
        policy: `reject` refuses a request, `drop` leaves the parameter out, `clamp` sends the nearest value that the target takes.
    """

    __slots__ = ("_capabilities", "_limited", "_target", "policy")

    def __init__(self, target: str, capabilities: Capabilities, policy: UnsupportedParams) -> None:
        self._target = target
        self._capabilities = capabilities
        self.policy = policy
        self._limited = limited_params(capabilities)

    def refusal(self, request: ValidRequest) -> InvalidRequestError | None:
        """Return the error for a request that the target does not get; None for one that it gets, changed or not."""
        if self.policy != "reject" or self._limited.isdisjoint(request.fields):
            return None
        misfit = next((misfit for misfit in self._misfits(request.fields) if misfit.matters), None)
        if misfit is None:
            return None
        error = InvalidRequestError(misfit.text, param=misfit.name, code=misfit.code)
        error.target = self._target
        return error

    def fit(self, request: RequestT) -> RequestT:
        """Return a request, for which there is no `refusal`, as the target takes it; `dropped` names what was left out or changed."""
        if self._limited.isdisjoint(request.fields):
            return request
        misfits = self._misfits(request.fields)
        if not misfits:
            return request
        sent = {misfit.name: misfit.nearest if self.policy == "clamp" else None for misfit in misfits}
        sent |= {name: None for name, other in _BELONGS_TO.items() if name in request.fields and other in sent and sent[other] is None}
        unreported = {misfit.name for misfit in misfits if misfit.is_silent}
        fields = {name: value for name, value in (request.fields | sent).items() if value is not None}
        return request.fitted(fields, tuple(sorted(sent.keys() - unreported)))

    def _misfits(self, fields: Mapping[str, Any]) -> "list[_Misfit]":
        return [
            misfit
            for name, value in fields.items()
            if name in self._limited and (misfit := _misfit(self._capabilities, name, value)) is not None
        ]


class HasParams(Protocol):
    """What has parameters that it does not take: a target."""

    @property
    def name(self) -> str:
        """`provider/model`."""
        ...

    @property
    def params(self) -> TargetParams | None:
        """The parameters that the target does not take; None if it takes all."""
        ...


TargetT = TypeVar("TargetT", bound=HasParams)


def unable(targets: Sequence[TargetT], request: ValidRequest) -> Sequence[TargetT]:
    """Return the targets that do not get a request, because they do not take it.

    Raises:
        InvalidRequestError: no target takes the request. The error is that of the first one.
    """
    refusals: list[InvalidRequestError] = []
    skipped: list[TargetT] = []
    for target in targets:
        if target.params is not None and (refusal := target.params.refusal(request)) is not None:
            refusals.append(refusal)
            skipped.append(target)
    if len(refusals) == len(targets):
        raise refusals[0]
    return skipped


def dropped_by(targets: Sequence[HasParams], name: str | None, request: ValidRequest) -> tuple[str, ...]:
    """Return the parameters that a target has not got of a request whose answer was cached.

    Args:
        targets: targets of the model.
        name: the target that gave the answer; None if it is not known yet, which is told of a model with one target only.
        request: the request.
    """
    for target in targets:
        if target.params is not None and (target.name == name or (name is None and len(targets) == 1)):
            return target.params.fit(request).dropped
    return ()


def limited_params(capabilities: Capabilities) -> frozenset[str]:
    """Return the names of the parameters that a service does not take with all values of OpenAI's API."""
    counted = {"n": capabilities.max_choices, "stop": capabilities.max_stop}
    # Usage at the end of a stream is never missing: where the upstream gives none, it is estimated.
    unsupported = capabilities.unsupported - {"stream_options"}
    return unsupported.union(capabilities.ranges, capabilities.refused, (name for name, most in counted.items() if most is not None))


class _Misfit(NamedTuple):
    """A parameter with a value that a target does not take."""

    name: str
    code: str
    text: str
    matters: bool = True
    """Whether the answer may differ without the parameter."""
    is_silent: bool = False
    """Whether the client asked for what happens anyway."""
    nearest: Any = None
    """Nearest value that the target takes; None where the parameter can only be left out."""


def _misfit(capabilities: Capabilities, name: str, value: Any) -> _Misfit | None:
    if name in capabilities.unsupported:
        is_silent = value in _SAME_AS_LEFT_OUT.get(name, ())
        text = f"Unsupported parameter: '{name}' is not supported with this model."
        return _Misfit(name, "unsupported_parameter", text, not (is_silent or name in _HINTS), is_silent)
    if name in capabilities.ranges:
        low, high = capabilities.ranges[name]
        return None if low <= value <= high else _wrong(name, value, capabilities.range_text(name), min(max(value, low), high))
    if name == "n" and (most := capabilities.max_choices) is not None and value > most:
        return _wrong(name, value, f"1 to {most}" if most > 1 else "1", most)
    if name == "stop" and (most := capabilities.max_stop) is not None and isinstance(value, list) and len(value) > most:
        return _wrong(name, f"{len(value)} sequences", f"up to {most}", value[:most])
    refused = capabilities.refused.get(name, frozenset())
    kinds = [item.get("type") if isinstance(item, dict) else item for item in (value if isinstance(value, list) else [value])]
    return next((_wrong(name, f"'{kind}'") for kind in kinds if isinstance(kind, str) and kind in refused), None)


def _wrong(name: str, value: object, supported: str = "", nearest: Any = None) -> _Misfit:
    hint = f" Supported values are: {supported}." if supported else ""
    text = f"Unsupported value: '{name}' does not support {value} with this model.{hint}"
    return _Misfit(name, "unsupported_value", text, nearest=nearest)
