"""Answers in memory are found without a lock, also while another thread holds it."""

from completions_mw.core.ports import PurgeFilter
from tests.support.response_stores import MemoryStore, answer, key


def test_answers_are_found_while_others_are_purged() -> None:
    stand = MemoryStore()
    for name, scope in (("a", "tenant:a"), ("b", "tenant:b"), ("c", "tenant:a")):
        stand.run(stand.store.put(key(name, scope), answer(), 60_000))

    class Scopes(tuple[str, ...]):
        """Scopes of a purge of which each look takes so long that another thread answers a request."""

        __slots__ = ()

        def __contains__(self, scope: object) -> bool:
            assert stand.run(stand.store.get(key("b", "tenant:b"))) is not None
            return super().__contains__(scope)

    assert stand.run(stand.store.purge(PurgeFilter(Scopes(["tenant:a"]), None))) == 2
    assert [stand.run(stand.store.get(key(name))) is None for name in "abc"] == [True, False, True]
