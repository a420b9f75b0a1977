"""A flood of requests from a process of its own, so that the load of its clients is no load of the test; run by `test_overload`.

Arguments: port, number of clients, requests of each, secret (`random`: another one in each request). Writes JSON: how often each status was
answered, with its code if it has one, and the seconds from the first request to the last answer.
"""

import asyncio
import json
import resource
import secrets
import sys
import time
from collections import Counter

from tests.servers.client import PATH, body
from tests.support.rawhttp import request


async def _ask(port: int, requests: int, secret: str, connected: asyncio.Barrier, outcomes: Counter[str]) -> None:
    """Ask so often over one connection, or over another one where the server has closed it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await connected.wait()
    for _ in range(requests):
        key = secrets.token_hex(20) if secret == "random" else secret
        writer.write(request(PATH, body(max_tokens=5), ("authorization", f"Bearer sk-{key}")))
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
        answer = json.loads(await reader.readexactly(int(length.partition(b":")[2])))
        outcomes[f"{head.split(b' ', 2)[1].decode()} {answer.get('error', {}).get('code', '')}".strip()] += 1
        if b"connection: close" in head:
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()


async def main(port: int, clients: int, requests: int, secret: str) -> None:
    """Be so many clients, which ask at the same moment."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    outcomes: Counter[str] = Counter()
    connected = asyncio.Barrier(clients + 1)
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(_ask(port, requests, secret, connected, outcomes))
        await connected.wait()
        began = time.monotonic()
    print(json.dumps({"answers": outcomes, "seconds": time.monotonic() - began}))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
