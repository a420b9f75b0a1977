"""The corpus of Amazon Bedrock, by botocore's model of its API."""

import json
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, ClassVar
from urllib.parse import quote

from botocore.eventstream import EventStream
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel
from botocore.parsers import EventStreamJSONParser, RestJSONParser
from botocore.serialize import create_serializer
from botocore.validate import ParamValidator

from tests.providers.corpus.format import Format
from tests.support.event_frames import event_frame, exception_frame


class Bedrock(Format):
    api = "bedrock"
    settings: ClassVar = {"api_key": "key-corpus", "region": "eu-central-1"}

    def url(self, model: str, *, stream: bool) -> str:
        path = f"/model/{quote(model, safe='')}/{'converse-stream' if stream else 'converse'}"
        return f"https://bedrock-runtime.eu-central-1.amazonaws.com{path}"

    def streamed_request(self, body: dict[str, Any]) -> dict[str, Any]:
        return body

    def encode(self, events: Iterable[Any]) -> bytes:
        named = [(name, payload) for event in events for name, payload in event.items()]
        return b"".join((exception_frame if name.endswith("Exception") else event_frame)(name, payload) for name, payload in named)

    def check_request(self, body: dict[str, Any]) -> None:
        operation = _operation("Converse")
        answer = {"status_code": 200, "headers": {}, "body": json.dumps(body).encode()}
        read = RestJSONParser().parse(answer, operation.input_shape)
        del read["ResponseMetadata"]
        asked = {**read, "modelId": "m"}
        report = ParamValidator().validate(asked, operation.input_shape)
        assert not report.has_errors(), report.generate_report()
        # What botocore's model does not know is lost on the way.
        assert json.loads(create_serializer("rest-json").serialize_to_request(asked, operation)["body"]) == body

    def read(self, body: bytes) -> Any:
        answer = RestJSONParser().parse({"status_code": 200, "headers": {}, "body": body}, _operation("Converse").output_shape)
        return {"blocks": answer["output"]["message"]["content"], "stopReason": answer["stopReason"], "usage": answer["usage"]}

    def read_stream(self, raw: bytes) -> Any:
        shape = _operation("ConverseStream").output_shape.members["stream"]
        blocks: dict[int, dict[str, Any]] = {}
        ends: dict[str, Any] = {}
        for event in EventStream(_Raw(raw), shape, EventStreamJSONParser(), "ConverseStream"):
            [(name, said)] = event.items()
            match name:
                case "contentBlockStart" | "contentBlockDelta":
                    _add(blocks.setdefault(said["contentBlockIndex"], {}), said.get("start") or said["delta"])
                case "messageStop":
                    ends["stopReason"] = said["stopReason"]
                case "metadata":
                    ends["usage"] = said["usage"]
        return {"blocks": [_whole(block) for block in blocks.values()], **ends}


class _Raw:
    """The body of a response, as botocore reads it."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def stream(self) -> Iterator[bytes]:
        yield self._raw


@cache
def _operation(name: str) -> OperationModel:
    return ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2")).operation_model(name)


def _add(block: dict[str, Any], delta: dict[str, Any]) -> None:
    for name, value in delta.items():
        if isinstance(value, dict):
            _add(block.setdefault(name, {}), value)
        else:
            block[name] = block.get(name, "") + value


def _whole(block: dict[str, Any]) -> dict[str, Any]:
    """Return a block of a stream as the block of a whole answer, which has arguments as an object and nests reasoning."""
    if "toolUse" in block:
        return {"toolUse": {**block["toolUse"], "input": json.loads(block["toolUse"].get("input") or "{}")}}
    if "reasoningContent" in block:
        return {"reasoningContent": {"reasoningText": block["reasoningContent"]}}
    return block


FORMAT = Bedrock()
