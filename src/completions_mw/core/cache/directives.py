"""The `Cache-Control` header of a request (RFC 9111 section 5.2.1)."""

import re
from functools import lru_cache
from typing import Final, NamedTuple

MAX_LENGTH: Final = 256
"""Characters of a header that is read; a longer one is taken as absent."""
_MAX_SECONDS: Final = 2**31
"""Value of larger numbers of seconds (RFC 9111 section 1.2.2)."""
_directives: Final = re.compile(r'([\w!#$%&\'*+.^`|~-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?', re.ASCII)


class CacheControl(NamedTuple):
    """Directives of a request that this cache obeys. Others are ignored, as RFC 9111 says."""

    no_store: bool = False
    """Whether the cache is neither asked nor filled."""
    no_cache: bool = False
    """Whether a new answer is wanted, which may be stored."""
    max_age: int | None = None
    """Maximum of seconds since the answer was stored; None for any age."""
    only_if_cached: bool = False
    """Whether only a stored answer is wanted."""

    @property
    def asks(self) -> bool:
        """Whether the client asks for caching, which the setting `when = "asked"` needs."""
        return self.max_age is not None or self.only_if_cached


NO_DIRECTIVES: Final = CacheControl()


@lru_cache(maxsize=64)
def parse_cache_control(header: str) -> CacheControl:
    """Return the directives of a `Cache-Control` header."""
    if len(header) > MAX_LENGTH:
        return NO_DIRECTIVES
    found: dict[str, str] = {}
    for name, quoted, token in _directives.findall(header):
        name, value = name.lower(), quoted or token
        # Of repeated ages the lowest counts, since nobody is harmed by an answer that is too new.
        if name != "max-age":
            found[name] = ""
        elif value.isdigit() and value.isascii():
            found[name] = min(found.get(name, value), value, key=int)
    age = found.get("max-age")
    max_age = min(int(age), _MAX_SECONDS) if age else None
    return CacheControl("no-store" in found, "no-cache" in found or max_age == 0, max_age, "only-if-cached" in found)
