"""Frames of the content type `application/vnd.amazon.eventstream`, as Bedrock sends them."""

import json
from struct import pack
from typing import Any
from zlib import crc32


def frame(headers: dict[str, str], payload: bytes, more_headers: bytes = b"") -> bytes:
    """Return a frame with headers that are text, and with others as bytes."""
    block = more_headers + b"".join(
        pack("!B", len(name)) + name.encode() + pack("!BH", 7, len(value)) + value.encode() for name, value in headers.items()
    )
    sizes = pack("!II", 16 + len(block) + len(payload), len(block))
    whole = sizes + pack("!I", crc32(sizes)) + block + payload
    return whole + pack("!I", crc32(whole))


def event_frame(name: str, payload: Any) -> bytes:
    # The API pads the payload, so that its length does not tell what the model says.
    padded = {**payload, "p": "abcdefgh"} if isinstance(payload, dict) else payload
    return frame({":event-type": name, ":content-type": "application/json", ":message-type": "event"}, json.dumps(padded).encode())


def exception_frame(name: str, payload: Any) -> bytes:
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, json.dumps(payload).encode())
