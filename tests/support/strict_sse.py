"""A reader of streams as strict as openai-go's before version 3.43.

Its decoder takes each block that a blank line ends for an event, and its stream parses the data of each event as JSON, also where a block
has no data: a comment is an error (openai-go, packages/ssestream/ssestream.go).
"""

import json
from typing import Any


def read_strictly(raw: bytes) -> list[dict[str, Any]]:
    """Return the chunks before `[DONE]`.

    Raises:
        ValueError: a block is no JSON, or there is no `[DONE]`.
    """
    chunks: list[dict[str, Any]] = []
    data = ""
    for line in raw.decode().split("\n"):
        if line:
            name, _, value = line.partition(":")
            if name == "data":
                data += value.removeprefix(" ") + "\n"
            continue
        if data.startswith("[DONE]"):
            return chunks
        chunks.append(json.loads(data))
        data = ""
    raise ValueError("the stream has no end")
