"""What every framework can do with a chat model, in the same words."""

from abc import ABC, abstractmethod

from pydantic import BaseModel

from tests.clients.support import Endpoint


class Weather(BaseModel):
    """The weather in a city."""

    city: str
    degrees: int


def get_weather(text: str) -> str:
    """Look the weather up."""
    return f"21 degrees in {text}"


class Framework(ABC):
    """A framework that talks to a chat model as its own users make it. It is imported when one is made.

    Args:
        endpoint: where it is pointed.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    @abstractmethod
    def ask(self, model: str, text: str) -> str:
        """Return the whole answer to a text."""

    @abstractmethod
    def stream(self, model: str, text: str) -> list[str]:
        """Return the pieces of an answer."""

    @abstractmethod
    def use_tool(self, model: str, text: str) -> str:
        """Let the model call `get_weather`, and return its answer to the result."""

    @abstractmethod
    def structured(self, model: str, text: str) -> Weather:
        """Return an answer in the form of `Weather`."""

    def refused(self, model: str, text: str) -> int:
        """Return the status of the error that the framework raises, which all of them call by the same name."""
        try:
            self.ask(model, text)
        except Exception as error:
            status: int = getattr(error, "status_code", 0)
            return status
        raise AssertionError("there was no error")

    @abstractmethod
    def leave(self, model: str, text: str) -> None:
        """Stop a stream after its first piece."""
