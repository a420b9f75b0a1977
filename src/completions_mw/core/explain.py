"""Dry runs: what would happen to a request, told by the parts that would answer it (docs/dry-runs.md)."""

from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from urllib.parse import unquote

from completions_mw.core.cache.directives import CacheControl
from completions_mw.core.charging import CachedAnswers, Charges
from completions_mw.core.context import RequestContext
from completions_mw.core.costs import TokenEstimate, estimate_request
from completions_mw.core.costs.prices import NANO, ceiling
from completions_mw.core.dispatch import Catalog, Target
from completions_mw.core.dispatch.parameters import unable
from completions_mw.core.keys.caller import Caller
from completions_mw.core.limits.limit_set import LimitSet
from completions_mw.core.ports import Balance
from completions_mw.core.validation.valid_request import ValidRequest
from completions_mw.schemas.explanation import ExplainedBudget, ExplainedLimit, ExplainedTarget, ExplainedTokens, Explanation


async def explain(
    catalog: Catalog,
    charges: Charges,
    cached_answers: CachedAnswers | None,
    context: RequestContext,
    request: ValidRequest,
    caller: Caller | None,
    control: CacheControl,
) -> Explanation:
    """Return what would happen to a request. No target is asked, and nothing is counted, reserved or kept.

    Args:
        catalog: where the model would be looked up.
        charges: where the request would be admitted and charged.
        cached_answers: where an answer would be looked up; None without a cache.
        context: request context.
        request: the request.
        caller: the caller; None for the host app itself.
        control: what the client wants of the cache.

    Raises:
        NotFoundError: the caller has no such model, or it gives something else.
        InvalidRequestError: no target takes the request, or it may cost more than the maximum of one request.
        PermissionDeniedError: the model has no price, and the settings refuse such requests.
        ServiceUnavailableError: the ledger does not answer.
    """
    model = catalog.resolve(request.model, caller)
    model.check_kind(request.kind)
    context.model, context.stream = model.name, request.stream
    charge = charges.open(context, caller, model, partial(estimate_request, request))
    estimate = estimate_request(request, model.max_output_tokens, model.media)
    plan = None if cached_answers is None else cached_answers.foresee(request, caller, charge, control)
    targets = _targets(model.route.targets, request)
    if charge is not None and charge.is_priced:
        cost: int | None = charges.price(charge)
    else:
        cost = ceiling(model.ceiling, estimate.prompt_bound, estimate.completion) if model.is_priced else None
    return Explanation(
        model=model.name,
        stream=request.stream,
        caller=None if caller is None else caller.id,
        tenant=None if caller is None else caller.tenant or None,
        targets=targets if caller is None or model.route.is_exposed else [],
        tokens=ExplainedTokens(prompt=estimate.prompt, prompt_bound=estimate.prompt_bound, completion=estimate.completion),
        max_cost_usd=None if cost is None else _usd(cost),
        limits=[] if charge is None or charge.limits is None else _limits(charge.limits, estimate),
        budgets=[] if charge is None else [_budget(balance) for balance in await charges.balances(charge)],
        cache_key=None if plan is None else plan.key.digest.hex(),
        ignored_params=list(request.ignored),
    )


def _targets(targets: Sequence[Target], request: ValidRequest) -> list[ExplainedTarget]:
    skipped = unable(targets, request)
    explained: list[ExplainedTarget] = []
    for target in targets:
        refusal = target.params.refusal(request) if target.params is not None and target in skipped else None
        dropped = target.params.fit(request).dropped if target.params is not None and refusal is None else ()
        explained.append(ExplainedTarget(target=target.name, refusal=None if refusal is None else refusal.message, dropped=list(dropped)))
    return explained


def _limits(limits: LimitSet, estimate: TokenEstimate) -> list[ExplainedLimit]:
    windows = [
        ExplainedLimit(
            owner=_owner(window.bucket),
            counts="tokens" if window.counts_tokens else "requests",
            limit=window.limit,
            seconds=window.seconds,
            cost=window.cost(estimate),
        )
        for window in limits.windows
    ]
    leases = [
        ExplainedLimit(owner=_owner(lease.bucket), counts="concurrency", limit=lease.limit, seconds=None, cost=1) for lease in limits.leases
    ]
    return windows + leases


def _owner(bucket: str) -> str:
    """Return the kind and id of a bucket's owner: `key:team-a` for `key:team-a:requests:60`."""
    kind, id, *_ = bucket.split(":")
    return f"{kind}:{unquote(id)}"


def _budget(balance: Balance) -> ExplainedBudget:
    return ExplainedBudget(
        owner=f"{balance.scope}:{balance.name}",
        period=balance.period,
        limit_usd=_usd(balance.limit),
        spent_usd=_usd(balance.spent),
        reserved_usd=_usd(balance.reserved),
        left_usd=_usd(max(0, balance.limit - balance.spent - balance.reserved)),
    )


def _usd(amount: int) -> Decimal:
    return Decimal(amount) / NANO
