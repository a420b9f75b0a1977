"""The answer to a dry run: what would happen to a request (docs/dry-runs.md)."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import PlainSerializer

from completions_mw.schemas.base import Output

Usd = Annotated[Decimal, PlainSerializer("{:f}".format, when_used="json")]
"""USD; in JSON a string without an exponent, since a JSON number is a float to most clients."""


class ExplainedTokens(Output):
    """Tokens that the request may use."""

    prompt: int
    """Likely number of prompt tokens, which limits on tokens count."""
    prompt_bound: int
    """Upper bound of prompt tokens, which budgets count."""
    completion: int
    """Maximum of completion tokens of all choices together."""


class ExplainedTarget(Output):
    """A target of the model."""

    target: str
    """`provider/model`."""
    refusal: str | None
    """Why the target would not be asked: the message of the error; None if it would be."""
    dropped: list[str]
    """Parameters that the target would not get, or would get with another value."""


class ExplainedLimit(Output):
    """A limit that applies to the request."""

    owner: str
    """Kind and id of the owner, as `key:team-a`."""
    counts: Literal["requests", "tokens", "concurrency"]
    limit: int
    seconds: int | None
    """Length of the window; None for concurrency."""
    cost: int
    """How many requests or tokens of the limit the request would take."""


class ExplainedBudget(Output):
    """A budget that the request would be charged to."""

    owner: str
    """Kind and id of the owner, as `tenant:acme`."""
    period: str
    """Name of the current period, as `2026-11` or `total`."""
    limit_usd: Usd
    spent_usd: Usd
    reserved_usd: Usd
    """USD that is held for running requests."""
    left_usd: Usd
    """USD that a request may cost at most now."""


class Explanation(Output):
    """What would happen to a request: nothing was asked, counted or charged."""

    object: Literal["dry_run"] = "dry_run"
    model: str
    stream: bool
    caller: str | None
    """Id of the caller; None for the host app itself."""
    tenant: str | None
    targets: list[ExplainedTarget]
    """Targets of the model, in the order of the settings; none for callers who are not told them."""
    tokens: ExplainedTokens
    max_cost_usd: Usd | None
    """USD that the request may cost at most; None if the price of a target is not known."""
    limits: list[ExplainedLimit]
    budgets: list[ExplainedBudget]
    cache_key: str | None
    """Digest under which the answer is cached; None if the cache is not used for the request."""
    ignored_params: list[str]
    """Parameters that no target gets, because OpenAI's API does not have them."""
