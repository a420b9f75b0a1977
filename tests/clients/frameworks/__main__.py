"""Does with the frameworks of the command line what their users do, and prints what came of it; then leaves streams and waits for a line.

In a process of its own: frameworks are slow to import, leave connections open, and warn of their own affairs.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from tests.clients.frameworks.base import Framework
from tests.clients.frameworks.instructor import Instructor
from tests.clients.frameworks.litellm import LiteLLM
from tests.clients.frameworks.llama_index import LlamaIndex
from tests.clients.frameworks.llm import Llm
from tests.clients.frameworks.openai_agents import OpenAIAgents
from tests.clients.frameworks.pydantic_ai import PydanticAI
from tests.clients.support import Endpoint

FRAMEWORKS: tuple[type[Framework], ...] = (Instructor, LiteLLM, LlamaIndex, Llm, OpenAIAgents, PydanticAI)
TEXT = "Hello to all of you"


def main() -> None:
    endpoint = Endpoint(os.environ["BASE_URL"], os.environ["API_KEY"])
    chosen = [made for made in FRAMEWORKS if made.__name__ in sys.argv[1:]]
    print(json.dumps({made.__name__: results(made(endpoint)) for made in chosen}), flush=True)
    for made in chosen:
        made(endpoint).leave("stall-2", TEXT)
    print("left", flush=True)
    sys.stdin.readline()


def results(framework: Framework) -> dict[str, Any]:
    """Return what each use of a framework has given, by its name; of one that failed, the error."""
    wrong_key = type(framework)(framework.endpoint._replace(api_key="sk-wrong-0123456789"))
    uses: dict[str, Callable[[], Any]] = {
        "ask": lambda: framework.ask("gpt-3.5-turbo", TEXT),
        "stream": lambda: framework.stream("gpt-3.5-turbo", TEXT),
        "tool": lambda: framework.use_tool("gpt-tools", "Paris"),
        "structured": lambda: framework.structured("scripted", "21 degrees in 'Paris'").model_dump(),
        "unknown model": lambda: framework.refused("gpt-9", TEXT),
        "wrong key": lambda: wrong_key.refused("echo", TEXT),
        "rate limit": lambda: framework.refused("limited", TEXT),
    }
    return {name: outcome(use) for name, use in uses.items()}


def outcome(use: Callable[[], Any]) -> Any:
    try:
        return use()
    except Exception as error:
        return repr(error)


if __name__ == "__main__":
    main()
