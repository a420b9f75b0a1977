"""The settings, keys and logins that all conformance tests share, so that each host is started once."""

from typing import Any, Final

from completions_mw import Budget, BudgetAlert, Caller, Limits, Request, Settings
from tests.hosts.base import CHAT, Host, HostResponse, bearer
from tests.support import upstream_answers as answers
from tests.support.exchange import HeaderPairs
from tests.support.upstream_exchange import RequestContext
from tests.support.upstream_scenarios import BAD_USAGE, Scenario

KEY: Final = "sk-team-a-0123456789abcdef"
LIMITED_KEY: Final = "sk-limited-0123456789abcdef"
EXPIRED_KEY: Final = "sk-expired-0123456789abcdef"
DISABLED_KEY: Final = "sk-disabled-0123456789abcdef"
MAX_BODY: Final = 64 * 1024
JSON: Final = (("content-type", "application/json"),)
UPSTREAM_MODELS: Final = (
    *("ok", "stall-2", "ttfb", "endless", "errorevent", "firsterror", "trunc", "hang", "status-500"),
    *("nousage", "usage-every-chunk", "overbilled", *(f"badusage-{name}" for name in BAD_USAGE)),
)
EMBEDDING_MODELS: Final = ("embed", "embed-up", "embed-wrong", "embed-none", "embed-silent", "embed-down")
MESSAGES: Final = [{"role": "user", "content": "one two three"}]
PROMPT_TOKENS: Final = 9
"""What those are estimated at beforehand: a quarter of their bytes, with the role and what a template adds."""
PROMPT_BOUND: Final = 33
"""What they are at most, which is what budgets reserve."""
INPUT_NANO, OUTPUT_NANO = 1_000_000, 2_000_000
"""Nano-dollars that a token of the upstream costs."""
MAX_OUTPUT: Final = 100
"""What an answer of the upstream is reserved with where the request sets no maximum."""
SPARE: Final = 64
"""Tenants of each kind; each test takes the next one."""


async def overbilled(x: RequestContext) -> None:
    """Bill a thousand tokens, however few were asked for."""
    usage = {"prompt_tokens": 3, "completion_tokens": 1000, "total_tokens": 1003}
    if not x.stream:
        return await x.reply_json({**answers.completion(x.body), "usage": usage})
    await x.start()
    await x.pieces(answers.events([{**chunk, "usage": usage} if chunk.get("usage") else chunk for chunk in answers.chunks(x.body)]))
    await x.end()


def embeds(**wrong: Any) -> Scenario:
    """Return a scenario that answers embeddings with some members of the answer changed; one of None is left out."""

    async def answer(x: RequestContext) -> None:
        changed = {**answers.embeddings(x.body), **wrong}
        await x.reply_json({name: value for name, value in changed.items() if value is not None})

    return answer


SCENARIOS: Final[dict[str, Scenario]] = {
    "overbilled": overbilled,
    "embed-wrong": embeds(data=[{"object": "embedding", "index": 0, "embedding": [0.5]}] * 7),
    "embed-none": embeds(data=None),
    "embed-silent": embeds(usage=None, object=None),
}
"""Of the upstream, beside those that it has."""


def settings(upstream_url: str, ledger: str) -> Settings:
    """Return the settings of every host.

    Args:
        upstream_url: of the provider.
        ledger: the database of all hosts, as their keys are made elsewhere.
    """
    echoes = {"m": "echo/m", "org/model": "echo/model", "unlisted": "echo/unlisted"}
    models: dict[str, Any] = {name: {"targets": [target]} for name, target in echoes.items()}
    models["rare"] = {"targets": ["echo/rare"], "limits": {"requests": "2/hour"}}
    paid = {"prices": {"input": INPUT_NANO / 1000, "output": OUTPUT_NANO / 1000}, "max_output_tokens": MAX_OUTPUT}
    models["embed"] = {"targets": ["echo/embed"]}
    embedding = {"embed-up": "embed", "embed-down": "status-500", **{name: name for name in ("embed-wrong", "embed-none", "embed-silent")}}
    models |= {
        name: {"targets": [f"up/{model}"], "kind": "embeddings", "prices": {"input": INPUT_NANO / 1000}}
        for name, model in embedding.items()
    }
    models["unpriced"] = {"targets": ["up/ok"]}
    models |= {name: {"targets": [f"up/{name}"], **paid} for name in UPSTREAM_MODELS}
    models["cached"] = {"targets": ["up/ok"], **paid, "cache": {"enabled": True, "when": "always"}}
    models["chain"] = {"targets": ["up/status-503", "up/ok"]}
    return Settings(
        max_body_bytes=MAX_BODY,
        # As short as can be told from noise: only the tests for silent upstreams wait for it.
        keep_alive=0.05,
        providers={"echo": {"api": "echo"}, "up": {"api": "openai", "base_url": upstream_url, "api_key": "sk-upstream"}},
        models=models,
        # Some models always fail: they are asked by one test after another, and a second attempt would fail as the first.
        breaker={"enabled": False},
        retries={"attempts": 1},
        # No test here is about a slow database, and the machine may be busy.
        stores={"ledger": ledger, "ledger_timeout": 20.0, "key_cache": 0},
        callers={"limits": {"requests": "5000/hour"}},
        tenants={
            **{f"crew-{number}": {"limits": {"requests": "3/hour", "tokens": "1000/hour"}} for number in range(SPARE)},
            **{f"fund-{number}": {"budget": {"usd": "0.2", "period": "total"}} for number in range(SPARE)},
        },
        keys={
            "team-a": {"secret": KEY},
            "limited": {"secret": LIMITED_KEY, "models": ["m"]},
            "expired": {"secret": EXPIRED_KEY, "expires_at": "2020-01-01T00:00:00Z"},
            "disabled": {"secret": DISABLED_KEY, "disabled": True},
        },
    )


def login(request: Request) -> Caller | str | None:
    """Be the login of the host app: whoever its session cookie names; guests may use one model, trial users little of it."""
    name = dict(request.headers).get("cookie", "").removeprefix("session=")
    if name.startswith("trial-"):
        return Caller(name, limits=Limits(requests="1/hour"), budget=Budget(usd="0.15", period="day"))
    return Caller("guest", models=frozenset({"m"})) if name == "guest" else name or None


ALERTS: Final[list[BudgetAlert]] = []
"""What the operator was told, by all hosts."""


def on_budget(alert: BudgetAlert) -> None:
    """Be the operator's hook, which has a fault."""
    ALERTS.append(alert)
    if alert.threshold == 80:
        raise RuntimeError("the pager is out of order")


def chat_body(**fields: Any) -> dict[str, Any]:
    """Return a request to the echo model."""
    return {"model": "m", "messages": MESSAGES, **fields}


def post(host: Host, body: bytes, headers: HeaderPairs = (), key: str = KEY) -> HostResponse:
    """Return the answer to a chat request."""
    return host.request("POST", CHAT, (*bearer(key), *JSON, *headers), body)
