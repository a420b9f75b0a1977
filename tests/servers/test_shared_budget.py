"""Money that many spend at the same time (docs/promises.md, Money)."""

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

from completions_mw import Gateway
from completions_mw.core.ports import StoreTimeoutError
from tests.servers.apps import KEY
from tests.servers.client import PATH, body
from tests.servers.conftest import Start, Upstream
from tests.servers.fleet import PATIENCE, books, every_pair, fleet, models, sharing
from tests.servers.kinds import Kind
from tests.support.envelope import check_error
from tests.support.rawhttp import Answer, RawClient, request
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

DOLLAR = 10**9
EACH = DOLLAR // 20
TEXT = "five words make five tokens"
PRICES = {"input": "0", "output": "10000"}
"""Five tokens, asked for and answered, are five cents."""
REQUESTS = 100
FIT = 20
SECRETS = {"patient": KEY, "quick": "sk-servers-9876543210"}
"""Requests of the first stay until everybody has asked; those of the second end while others ask, and cost all that they may."""
SAMPLE_SECONDS = 0.01


class Sampler:
    """Looks at the balances all the time, inside a `with` block."""

    def __init__(self, gateway: Gateway) -> None:
        self.seen: list[tuple[str, int, int]] = []
        """Key, spent, reserved."""
        self._gateway = gateway
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._enough.wait(SAMPLE_SECONDS):
            # A look that takes too long is not the one that counts.
            with contextlib.suppress(StoreTimeoutError):
                for key in SECRETS:
                    self.seen += [(key, balance.spent, balance.reserved) for balance in self._gateway.balances(key)]


@contextlib.contextmanager
def asking_together(clients: list[RawClient], key: str, model: str) -> Iterator[list["Future[Answer]"]]:
    """Let all clients ask at the same moment."""
    data = request(PATH, body(model, TEXT, max_tokens=5), ("authorization", f"Bearer {SECRETS[key]}"))
    together = threading.Barrier(len(clients))

    def ask(client: RawClient) -> Answer:
        together.wait(PATIENCE)
        return client.exchange(data)

    with ThreadPoolExecutor(len(clients)) as pool:
        yield [pool.submit(ask, client) for client in clients]


@every_pair
def test_exactly_what_fits_is_spent(kind: Kind, start: Start, upstream: Upstream, redis_server: RedisServer, ledger: str) -> None:
    keys = {name: {"secret": secret, "budget": {"usd": "1", "period": "total"}} for name, secret in SECRETS.items()}
    settings = sharing(redis_server, ledger, keys=keys, models=models("held", "ok", prices=PRICES))
    with books(ledger) as reader, fleet(start, kind, settings) as servers, servers.clients(REQUESTS) as clients:
        sampler = Sampler(reader)
        with sampler:
            with asking_together(clients, "patient", "held") as asked:
                refused = first_answers(asked, REQUESTS - FIT)
                upstream.wait_for(lambda: upstream.active_requests == FIT, timeout=PATIENCE)
                assert [balance[-2:] for balance in reader.balances("patient")] == [(0, DOLLAR)]
                upstream.let_go()
            with asking_together(clients, "quick", "ok") as also_asked:
                pass
            wait_until(lambda: all(balance[-1] == 0 for key in SECRETS for balance in reader.balances(key)))
        assert [reader.balances(key)[0][-2:] for key in SECRETS] == [(DOLLAR, 0)] * 2
    check_answers([one.result() for one in asked])
    check_answers([one.result() for one in also_asked])
    assert {answer.status for answer in refused} == {429}
    assert {key for key, _, _ in sampler.seen} == set(SECRETS)
    assert [sample for sample in sampler.seen if sum(sample[1:]) > DOLLAR] == []
    assert len(upstream.requests) == 2 * FIT


def first_answers(asked: list["Future[Answer]"], count: int) -> list[Answer]:
    """Return the answers that come first."""
    pending = set(asked)
    while len(asked) - len(pending) < count:
        _, pending = wait(pending, PATIENCE, "FIRST_COMPLETED")
    return [one.result() for one in asked if one not in pending]


def check_answers(answers: list[Answer]) -> None:
    """Check that exactly those were served for whom there was money, and that the others need not try again."""
    assert Counter(answer.status for answer in answers) == {200: FIT, 429: REQUESTS - FIT}
    for answer in answers:
        if answer.status == 429:
            error = json.loads(answer.body)
            check_error(error)
            assert (error["error"]["type"], error["error"]["code"]) == ("insufficient_quota", "insufficient_quota")
            assert "budget" in error["error"]["message"]
            assert answer.head.header("x-should-retry") == "false"
