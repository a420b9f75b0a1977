"""Text as every store can keep it.

Names come from the host app and from upstreams, and may hold any character. PostgreSQL has no NUL in text, and no store takes half of a
surrogate pair, which UTF-8 cannot spell. Such characters are written as an escape: U+FDD0, which is no character of any text (the Unicode
Standard, section 23.7), their code point in hexadecimal digits, and a semicolon.
"""

import re
from typing import Final

_UNSTORABLE: Final = re.compile("[\x00\ufdd0\ud800-\udfff]")
_ESCAPED: Final = re.compile("\ufdd0([0-9a-f]{1,4});")


def escaped(text: str) -> str:
    """Return `text` with an escape for each character that a store may refuse, and for U+FDD0 itself."""
    return _UNSTORABLE.sub(lambda match: f"\ufdd0{ord(match[0]):x};", text)


def restored(text: str) -> str:
    """Return the text that `escaped` was given."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text) if "\ufdd0" in text else text
