"""A process that forks while its gateway has a connection in use and another one idle; run by `test_restarts` and `test_store_lives`."""

import json
import os
import sys
from typing import Any

from completions_mw import Gateway
from tests.servers.apps import KEY, settings


def asking(model: str, text: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], "key": KEY}


def answer(gateway: Gateway, text: str) -> str | None:
    return gateway.complete(**asking("ok", text)).choices[0].message.content


def main() -> None:
    gateway = Gateway(settings())
    with gateway, gateway.stream(**asking("stall-2", "begun before")) as stream:
        pieces = [next(stream)]
        answer(gateway, "for an idle connection")
        child = os.fork()
        if child == 0:
            right = answer(gateway, "in the child") == "in the child"
            # The end of the child, closing what it may, must not reach the parent's connections.
            gateway.close()
            sys.exit(not right)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        parent = answer(gateway, "in the parent")
        pieces.extend(stream)
    text = "".join(choice.delta.content or "" for piece in pieces for choice in piece.choices)
    print(json.dumps({"child": status, "parent": parent, "stream": text}))


if __name__ == "__main__":
    main()
