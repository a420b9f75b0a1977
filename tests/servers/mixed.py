"""Clients that ask for a mixture of everything, from a process of their own, until standard input or the server ends; run by `test_soak`.

Arguments: port, number of clients. Writes a line of JSON after each 500 requests, with the number so far, and in the end one with what
became of all of them. Each text is another one and comes back as the answer, so that an answer that is somebody else's is noticed.
"""

import asyncio
import json
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any, NamedTuple

from tests.servers.client import PATH, body
from tests.support.rawhttp import request

EVERY = 500
KEYS = {name: f"sk-soak-{name}-0123456789" for name in ("counted", "estimated", "limited", "stranger")}
"""`counted` reads every answer to its end, `estimated` does not or cannot, `limited` has few requests, `stranger` is nobody's."""
QUESTIONS = 50
"""Different ones that are asked again and again, of the model that has a cache."""
LEAVES_WITHIN = 0.06
"""Seconds; an answer takes half as long."""
KEPT = 2000
"""Answers that the report names one by one."""


class Sort(NamedTuple):
    """A sort of request, and what it may be answered."""

    weight: int
    key: str
    statuses: frozenset[int]
    fields: dict[str, Any]
    stream: bool | None = False
    """None: half of them."""


OK, REFUSED = frozenset({200}), frozenset({400})
FAILED = frozenset({500, 502, 503})
"""503 where the circuit breaker knows already that the upstream is broken."""
SORTS = {
    "whole": Sort(35, "counted", OK, {"model": "paced"}),
    "stream": Sort(20, "counted", OK, {"model": "paced"}, stream=True),
    "stream-usage": Sort(10, "counted", OK, {"model": "paced", "stream_options": {"include_usage": True}}, stream=True),
    "cached": Sort(15, "counted", OK, {"model": "cached", "temperature": 0}, stream=None),
    "leaves": Sort(5, "estimated", OK, {"model": "paced", "max_tokens": 50}, stream=None),
    "cut": Sort(2, "estimated", OK | FAILED, {"model": "cut"}, stream=True),
    "limited": Sort(3, "limited", frozenset({200, 429}), {"model": "paced"}),
    "stranger": Sort(2, "stranger", frozenset({401}), {"model": "paced"}),
    "invalid": Sort(3, "counted", REFUSED, {"model": "paced", "temperature": 3}),
    "unknown": Sort(2, "counted", frozenset({404}), {"model": "nowhere"}),
    "refused": Sort(1, "counted", REFUSED, {"model": "status-400"}),
    "broken": Sort(2, "counted", FAILED, {"model": "status-500"}, stream=None),
}


class Answer(NamedTuple):
    """What was answered."""

    status: int
    headers: dict[str, str]
    content: bytes

    def chunks(self) -> list[dict[str, Any]]:
        """Return the whole answer, or the objects of the stream up to its end."""
        if self.headers["content-type"] == "application/json":
            return [json.loads(self.content)]
        return [json.loads(block.removeprefix("data: ")) for block in self.content.decode().split("\n\n") if block[6:7] == "{"]

    @property
    def is_whole(self) -> bool:
        """Whether it came to its end without an error."""
        return self.headers["content-type"] == "application/json" or self.content.endswith(b"data: [DONE]\n\n")


@dataclass
class Report:
    """What became of all requests."""

    requests: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    """How often each sort of request had each status; `left` is a client that did not wait."""
    failures: Counter[str] = field(default_factory=Counter)
    """What should not have been."""
    cache_hits: int = 0
    completed: deque[tuple[str, int]] = field(default_factory=lambda: deque(maxlen=KEPT))
    """The ids and prompt tokens of the latest whole answers of `counted` that came from the upstream. A stream is settled after its end."""

    def note(self, sort: str, outcome: str) -> None:
        self.outcomes[f"{sort} {outcome}"] += 1
        self.requests += 1
        if self.requests % EVERY == 0:
            print(json.dumps({"requests": self.requests}), flush=True)


class Client:
    """One after the other."""

    def __init__(self, port: int, report: Report, seed: int, stopped: Callable[[], bool]) -> None:
        self._port = port
        self._report = report
        self._random = Random(seed)
        self._stopped = stopped
        self._texts = (f"{seed} {number} " + "word " * self._random.randrange(4, 12) for number in count())

    async def ask_on(self) -> None:
        """Ask until it is enough, or nobody listens any more."""
        while not self._stopped():
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                self._report.failures["no connection"] += 1
                return
            try:
                await self._ask_on_connection(reader, writer)
            finally:
                writer.transport.abort()

    async def _ask_on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_still = True
        while open_still and not self._stopped():
            sort = self._random.choices(list(SORTS), [sort.weight for sort in SORTS.values()])[0]
            try:
                open_still = await self._ask(sort, reader, writer)
            except (OSError, asyncio.IncompleteReadError) as error:
                self._report.failures[f"{sort} {type(error).__name__}"] += 1
                self._report.note(sort, "broken")
                return

    async def _ask(self, sort: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Ask once; say whether the connection may be used again."""
        _, key, _, fields, stream = SORTS[sort]
        text = f"question {self._random.randrange(QUESTIONS)} word word" if sort == "cached" else next(self._texts).strip()
        stream = self._random.random() < 0.5 if stream is None else stream
        writer.write(request(PATH, body(text=f"{key} {text}", stream=stream, **fields), ("authorization", f"Bearer {KEYS[key]}")))
        if sort == "leaves":
            await asyncio.wait([reading := asyncio.ensure_future(_read(reader))], timeout=self._random.uniform(0, LEAVES_WITHIN))
            if not reading.done():
                reading.cancel()
                await asyncio.wait([reading])
                self._report.note(sort, "left")
                return False
            answer = reading.result()
        else:
            answer = await _read(reader)
        self._check(sort, f"{key} {text}", answer)
        self._report.note(sort, str(answer.status))
        return answer.headers.get("connection") != "close"

    def _check(self, sort: str, text: str, answer: Answer) -> None:
        wrong = self._wrong(sort, text, answer)
        if wrong:
            self._report.failures[f"{sort} {wrong}"] += 1
        elif answer.status == 200 and SORTS[sort].key == "counted":
            is_hit = answer.headers.get("x-cache") in ("hit", "coalesced")
            self._report.cache_hits += is_hit
            if not is_hit and answer.headers["content-type"] == "application/json":
                self._report.completed.append((answer.headers["x-request-id"], len(text.split())))

    def _wrong(self, sort: str, text: str, answer: Answer) -> str:
        """Say what is wrong with an answer; nothing if it is as it should be."""
        if answer.status not in SORTS[sort].statuses:
            return f"{answer.status} {answer.content[:300]!r}"
        if answer.status != 200:
            return "" if b'"error"' in answer.content else "without an error"
        if sort == "cut":
            return "whole" if answer.is_whole else ""
        if not answer.is_whole:
            return f"cut {answer.content[-300:]!r}"
        choices = [choice for chunk in answer.chunks() for choice in chunk["choices"]]
        found = "".join((choice.get("message") or choice["delta"]).get("content") or "" for choice in choices)
        return "" if found == text else f"answer of somebody else: {found!r} {text!r}"


async def _read(reader: asyncio.StreamReader) -> Answer:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = {name.lower(): value.strip().lower() for name, _, value in (line.partition(":") for line in lines)}
    content = b"".join([piece async for piece in _pieces(reader, headers)])
    return Answer(int(first.split(" ")[1]), headers, content)


async def _pieces(reader: asyncio.StreamReader, headers: dict[str, str]) -> AsyncIterator[bytes]:
    if "content-length" in headers:
        yield await reader.readexactly(int(headers["content-length"]))
        return
    while size := int(await reader.readuntil(b"\r\n"), 16):
        yield (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)


async def main(port: int, clients: int) -> None:
    """Be so many clients."""
    report, enough = Report(), asyncio.Event()
    asking = [asyncio.create_task(Client(port, report, seed, enough.is_set).ask_on()) for seed in range(clients)]
    stdin = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    told = asyncio.create_task(stdin.read())
    asked = asyncio.gather(*asking)
    await asyncio.wait((told, asked), return_when=asyncio.FIRST_COMPLETED)
    enough.set()
    await asked
    print(json.dumps({**vars(report), "completed": list(report.completed)}))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
