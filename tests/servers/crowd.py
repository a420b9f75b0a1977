"""Many clients in a process of their own: each asks again and again until standard input ends; run by `test_shared_places`.

Writes, as JSON, how often each status was answered; 0 is a connection that broke.
"""

import asyncio
import json
import sys
from collections import Counter

from tests.servers.client import chat

OUTCOMES: Counter[int] = Counter()


async def _ask(port: int, request: bytes) -> None:
    """Ask over one connection until it breaks."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while True:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.partition(b":")[2]))
            OUTCOMES[int(head.split(b" ", 2)[1])] += 1
    finally:
        writer.transport.abort()


async def _keep_asking(port: int, request: bytes) -> None:
    while True:
        try:
            await _ask(port, request)
        except (OSError, asyncio.IncompleteReadError):
            OUTCOMES[0] += 1


async def main(port: int, clients: int, model: str) -> None:
    """Be so many clients."""
    askers = [asyncio.create_task(_keep_asking(port, chat(model))) for _ in range(clients)]
    await asyncio.to_thread(sys.stdin.read)
    for asker in askers:
        asker.cancel()
    await asyncio.gather(*askers, return_exceptions=True)
    print(json.dumps(OUTCOMES))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
