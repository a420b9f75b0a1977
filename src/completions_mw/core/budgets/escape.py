"""Escapes of characters that a store may refuse.

Names come from the host app and from upstreams, and may hold any character. PostgreSQL refuses NUL in text, and every store refuses a lone
surrogate, which UTF-8 cannot encode. An escape is U+FDD0, which is reserved for internal use (the Unicode Standard, section 23.7), the code
point in hexadecimal digits, and a semicolon.
"""

import re
from typing import Final

_UNSTORABLE_CHARACTER: Final = re.compile("[\x00\ufdd0\ud800-\udfff]")
_ESCAPE: Final = re.compile("\ufdd0([0-9a-f]{1,4});")


def escaped(text: str) -> str:
    """Return `text` with an escape for each character that a store may refuse, and for U+FDD0 itself."""
    return _UNSTORABLE_CHARACTER.sub(lambda match: f"\ufdd0{ord(match[0]):x};", text)


def restored(text: str) -> str:
    """Return the original of a text that `escaped` has returned."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text) if "\ufdd0" in text else text
