"""Rate limits and leases in Redis, shared by all workers and hosts. Each step is one script: one round trip, and atomic."""

from collections.abc import Mapping, Sequence
from typing import Final

from redis.exceptions import ResponseError

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.memory.finished import FINISHED_MS
from completions_mw.backends.redis.scripts import Argument, Scripts, Session
from completions_mw.core.ports import Admission, Clock, Lease, StoreError, StoreRefusalError, TokenDemand, Window

MAX_RENEWED_REQUESTS: Final = 100
"""Requests in one call of the script `renew`: nothing else runs in Redis during the call."""


class RedisAdmission:
    """The `AdmissionStore` port on Redis 5 or newer, or on servers that speak its protocol and run its scripts.

    All names share one hash tag: in a cluster the keys of a script must have the same hash slot, and requests share limits.

    Args:
        session: sends commands, blocking or async.
        namespace: the hash tag of all names; without `}`.
        clock: limits how often a line is logged; windows and leases go by the time of Redis.
    """

    def __init__(self, session: Session, namespace: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self._session = session
        self._scripts = Scripts(session, "admission", clock)
        # What callers choose is at the end of a name, so that no two names can be equal.
        self._record, self._window, self._lease = (f"{{{namespace}}}:{kind}:".encode() for kind in ("request", "window", "slot"))

    async def admit(
        self, request_id: str, windows: Sequence[Window], leases: Sequence[Lease], demand: TokenDemand, lease_ms: int
    ) -> Admission:
        """Charge all windows and grant all leases, or none of them.

        Raises:
            StoreError: Redis fails.
        """
        keys = [
            self._record + _bytes(request_id),
            *[self._window + _bytes(window.bucket) for window in windows],
            *[self._lease + _bytes(lease.bucket) for lease in leases],
        ]
        arguments: list[Argument] = [_bytes(request_id), lease_ms, len(windows)]
        for window in windows:
            arguments += (window.limit, window.seconds * 1000, window.cost(demand), int(window.counts_tokens))
        arguments += [lease.limit for lease in leases]
        answer = await self._scripts.run("admit", keys, arguments)
        split = 2 * len(windows)
        if not _is_verdict(answer, 1 + split + len(leases)):
            raise StoreRefusalError("Redis holds something else under a name of ours")
        admitted, *values = answer
        return Admission(bool(admitted), values[:split:2], values[1:split:2], values[split:])

    async def renew(self, holds: Mapping[str, Sequence[Lease]], lease_ms: int) -> list[str]:
        """Extend leases; return the requests that lost a lease for good.

        Raises:
            StoreError: Redis fails.
        """
        names = {_bytes(request_id): request_id for request_id in holds}
        lost: list[str] = []
        ordered = list(names)
        for at in range(0, len(ordered), MAX_RENEWED_REQUESTS):
            keys: list[bytes] = []
            arguments: list[Argument] = [lease_ms]
            for name in ordered[at : at + MAX_RENEWED_REQUESTS]:
                leases = holds[names[name]]
                keys += (self._record + name, *[self._lease + _bytes(lease.bucket) for lease in leases])
                arguments += (name, len(leases), *[lease.limit for lease in leases])
            lost += [names[name] for name in await self._scripts.run("renew", keys, arguments)]
        return lost

    async def finish(self, request_id: str, tokens: int | None) -> None:
        """Return the leases of a request, and the tokens that were reserved for it and not used.

        Raises:
            StoreError: Redis fails.
        """
        name = _bytes(request_id)
        await self._scripts.run("finish", [self._record + name], [name, "" if tokens is None else tokens, FINISHED_MS])

    async def check(self) -> list[str]:
        """Reach Redis and return warnings about its configuration for the operator.

        Raises:
            StoreError: Redis cannot be reached.
        """
        policy = await self._eviction_policy()
        if policy == "noeviction":
            return []
        if policy is None:
            return ["stores.admission: Redis does not tell its maxmemory-policy; it should be noeviction, or limits may be forgotten"]
        return [f"stores.admission: Redis has the maxmemory-policy {policy}; it should be noeviction, or limits may be forgotten"]

    async def aclose(self) -> None:
        """Close the connections of this process or event loop."""
        await self._session.aclose()

    async def _eviction_policy(self) -> str | None:
        await self._session.call("PING")
        try:
            # Hosted servers allow INFO, unlike CONFIG.
            answer = await self._session.call("INFO", "memory")
        except StoreError as error:
            # Any other failure says nothing of whether Redis tells its policy.
            if isinstance(error.__cause__, ResponseError):
                return None
            raise
        lines = (line.partition(":") for line in answer.decode().splitlines())
        return next((value for name, _, value in lines if name == "maxmemory_policy"), None)


def _is_verdict(answer: object, length: int) -> bool:
    """Return whether an answer is one of the script: the record of a request may have been written by something else."""
    return isinstance(answer, list) and len(answer) == length and all(isinstance(value, int) and value >= 0 for value in answer)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
