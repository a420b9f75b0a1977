"""A storm of greenlets that are killed, in a process of its own; run by `test_cancellation_storm`."""

from gevent import monkey

monkey.patch_all()

import gc  # noqa: E402 - what is imported before the patch would wait for all greenlets at once
import json  # noqa: E402
import os  # noqa: E402
import random  # noqa: E402
import sys  # noqa: E402
from collections import Counter  # noqa: E402
from contextlib import suppress  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402

from completions_mw import Gateway  # noqa: E402
from completions_mw.backends.http import BlockingTransport  # noqa: E402
from completions_mw.blocking import BlockingIterator, run_sync  # noqa: E402
from tests.faults.storm import AT_ONCE, MODELS, POOL, STAGES, request_for, settings_of  # noqa: E402

MOMENTS = (*STAGES, "head", "body")


def consume(gateway: Gateway, model: str, stream: bool, moments: list[str]) -> int:
    """Do what a WSGI server does; add to `moments` where it has come to."""
    response = gateway.handle(request_for(model, stream=stream))
    if isinstance(response.body, BlockingIterator):
        with response.body as body:
            moments.extend("body" for _ in body)
    return response.status


def killed_by_time_out(gateway: Gateway, model: str, stream: bool, seconds: float) -> None:
    with suppress(gevent.Timeout), gevent.Timeout(seconds):
        consume(gateway, model, stream, [])


def kill(gateway: Gateway, count: int) -> Counter[str]:
    """Kill `count` greenlets, and more until each moment was hit; three times as many live as have connections."""
    luck, killed = random.Random(40), Counter[str]()
    live: dict[gevent.Greenlet[..., Any], list[str]] = {}
    while killed.total() < count or min(killed[moment] for moment in MOMENTS) == 0:
        model, stream = luck.choices(list(MODELS), list(MODELS.values()))[0], luck.random() < 0.7
        if luck.random() < 0.2:
            live[gevent.spawn(killed_by_time_out, gateway, model, stream, luck.random() / 50)] = []
        else:
            moments = [model if model in STAGES else "head"]
            live[gevent.spawn(consume, gateway, model, stream, moments)] = moments
        for _ in range(luck.choice((0, 0, 1, 2, 5, 20))):
            gevent.sleep(0)
        if len(live) > AT_ONCE or luck.random() < 0.3:
            for greenlet in luck.sample(list(live), luck.randint(1, len(live))):
                greenlet.kill(block=False)
        for greenlet in [greenlet for greenlet in live if greenlet.ready()]:
            moments = live.pop(greenlet)
            if moments and isinstance(greenlet.value, gevent.GreenletExit):
                killed[moments[-1]] += 1
    gevent.killall(list(live))
    return killed


def held() -> list[int]:
    """Return how many descriptors, threads and greenlets there are, without the threads in which gevent looks names up."""
    gc.collect()
    threads = len(os.listdir("/proc/self/task")) - gevent.get_hub().threadpool.size
    greenlets = [one for one in gc.get_objects() if isinstance(one, gevent.Greenlet) and not one.ready()]
    return [len(os.listdir("/proc/self/fd")), threads, len(greenlets)]


def probe(gateway: Gateway) -> list[int | None]:
    greenlets = [gevent.spawn(consume, gateway, "together", False, []) for _ in range(POOL)]
    gevent.joinall(greenlets, raise_error=True)
    return [greenlet.value for greenlet in greenlets]


def main() -> None:
    transport = BlockingTransport(POOL, tick=0.1)
    gateway = Gateway(settings_of(json.loads(sys.argv[2])), transport=transport)
    # What gevent makes at its first use belongs to the baseline.
    probe(gateway)
    run_sync(transport.aclose())
    before = held()
    killed = kill(gateway, int(sys.argv[1]))
    gc.collect()
    pools = repr(transport._pools)
    probes = probe(gateway)
    # Ends the thread of its background work, too.
    gateway.close()
    run_sync(transport.aclose())
    print(json.dumps({"killed": killed, "pools": pools, "probes": probes, "before": before, "after": held()}))


if __name__ == "__main__":
    main()
