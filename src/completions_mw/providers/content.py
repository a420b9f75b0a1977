"""The parts of messages for APIs other than OpenAI's: text, thoughts, and the data of images, audio and files."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple

from completions_mw.providers.untranslatable import untranslatable

_data_uri: Final = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),", re.IGNORECASE).match
_MEDIA_TYPES: Final = {
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "html": "text/html",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "md": "text/markdown",
    "pdf": "application/pdf",
    "png": "image/png",
    "txt": "text/plain",
    "webp": "image/webp",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
"""Media types by file extension. Not from `mimetypes`, whose answers depend on the machine."""
_THOUGHT_MEMBERS: Final = {"thinking": ("type", "thinking", "signature"), "redacted_thinking": ("type", "data")}
"""Members of thoughts by their type; the last one is the signature, or the encrypted thought."""

Turn = tuple[str, list[Any]]
"""A role and its parts, in the form of an upstream's API."""


class Media(NamedTuple):
    """An image, audio or a file of a message: its data, or where to find it."""

    kind: str
    """Type of the content part: `image_url`, `input_audio` or `file`."""
    param: str
    """Path of the data or address in the request, for errors."""
    media_type: str
    """Media type, as `image/png`; empty if it is not known."""
    data: str = ""
    """The data in base64; empty if there is an address."""
    url: str = ""
    filename: str = ""


def parts_of(message: Mapping[str, Any], position: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the parts of a message's content with their paths in the request. Texts that are empty are left out: most APIs refuse them.

    Args:
        message: the message.
        position: its position in the request.
    """
    content = message.get("content") or []
    parts: list[dict[str, Any]] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    for at, part in enumerate(parts):
        if part.get("text", True):
            yield f"messages[{position}].content[{at}]", part


def texts_of(message: Mapping[str, Any], position: int) -> Iterator[dict[str, Any]]:
    """Yield the parts of a message whose content is text, as that of instructions, answers and results of tools.

    Args:
        message: the message.
        position: its position in the request.

    Raises:
        InvalidRequestError: a part is of another type, which is here because the settings forward it.
    """
    for path, part in parts_of(message, position):
        if part["type"] not in ("text", "refusal"):
            raise untranslatable(f"{path}.type", "takes no parts of this type")
        yield part


def text_of(message: Mapping[str, Any], position: int) -> str:
    """Return the text of a message whose content is text; `texts_of` says what is raised."""
    return "".join(part[part["type"]] for part in texts_of(message, position))


def thoughts_of(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the thoughts in the `thinking_blocks` of an assistant message that a client sends back, as Anthropic's API gave them.

    The blocks are not validated before: what is not a thought, or has no signature, is left out.
    """
    blocks = message.get("thinking_blocks")
    thoughts = []
    for block in blocks if isinstance(blocks, list) else ():
        names = _THOUGHT_MEMBERS.get(str(block.get("type")), ()) if isinstance(block, dict) else ()
        # Thoughts of a stream have an `index` too, which is not one of Anthropic's members.
        if names and all(isinstance(block.get(name), str) for name in names) and block[names[-1]]:
            thoughts.append({name: block[name] for name in names})
    return thoughts


def split_system(messages: Iterable[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[tuple[int, dict[str, Any]]]]:
    """Return the parts of all instructions, and the other messages with their positions.

    Instructions without any other message become a message of the user: APIs with a separate place for instructions need one.

    Raises:
        InvalidRequestError: instructions have parts other than text.
    """
    instructions: list[dict[str, Any]] = []
    others: list[tuple[int, dict[str, Any]]] = []
    for position, message in enumerate(messages):
        if message["role"] in ("system", "developer"):
            instructions += texts_of(message, position)
        else:
            others.append((position, message))
    return (instructions, others) if others else ([], [(0, {"role": "user", "content": instructions})])


def merged(turns: Iterable[Turn]) -> list[Turn]:
    """Return turns without empty ones, and with neighbours of the same role joined, for APIs whose roles must alternate."""
    whole: list[Turn] = []
    for role, parts in turns:
        if parts and whole and whole[-1][0] == role:
            whole[-1][1].extend(parts)
        elif parts:
            whole.append((role, parts))
    return whole


def media_of(part: Mapping[str, Any], path: str) -> Media:
    """Return the image, audio or file in a content part.

    Args:
        part: content part of a type other than `text`.
        path: path of the part in the request.

    Raises:
        InvalidRequestError: the part holds neither data in base64 nor the URL of an image, or is of a type that OpenAI's API does not have.
    """
    kind = part["type"]
    if kind not in ("file", "image_url", "input_audio"):
        raise untranslatable(f"{path}.type", "takes no parts of this type")
    given = part[kind]
    if kind == "input_audio":
        return Media(kind, f"{path}.input_audio", f"audio/{given['format']}", given["data"])
    if kind == "image_url":
        param, address = f"{path}.image_url.url", given["url"]
        if address[:5].lower() != "data:":
            return Media(kind, param, _media_type_of(address.partition("?")[0]), url=address)
        return Media(kind, param, *_data_of(address, param))
    data, filename = given.get("file_data"), given.get("filename") or ""
    if not data:
        raise untranslatable(f"{path}.file.file_id", "takes files only as 'file_data'", is_value=False)
    param = f"{path}.file.file_data"
    media_type, data = _data_of(data, param) if data[:5].lower() == "data:" else (_media_type_of(filename), data)
    return Media(kind, param, media_type, data, filename=filename)


def _data_of(address: str, param: str) -> tuple[str, str]:
    """Return the media type and the base64 data of a data URI (RFC 2397)."""
    found = _data_uri(address)
    if found is None or not found[2].lower().endswith(";base64"):
        raise untranslatable(param, "takes data URIs only in base64, as 'data:image/png;base64,…'")
    return found[1].lower(), address[found.end() :]


def _media_type_of(name: str) -> str:
    return _MEDIA_TYPES.get(PurePosixPath(name).suffix[1:].lower(), "")
