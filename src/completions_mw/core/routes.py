"""Which paths are ours. Everything else belongs to the host app."""

from collections.abc import Iterable
from typing import Final, NamedTuple

CHAT_COMPLETIONS: Final = "/chat/completions"
MODELS: Final = "/models"
MODEL: Final = "/models/"


class Route(NamedTuple):
    """A path of ours."""

    name: str
    """The path below the prefix; that of one model ends before the model's id."""
    method: str
    """The only verb that the route takes."""


class Routes:
    """The paths below one prefix, matched exactly: no trailing slash, no other case.

    Args:
        prefix: as in the settings: empty, or with a leading and without a trailing slash.
        posts: the paths below the prefix to which requests are POSTed, one for each dialect.
    """

    def __init__(self, prefix: str, posts: Iterable[str] = (CHAT_COMPLETIONS,)) -> None:
        self.chat = prefix + CHAT_COMPLETIONS
        self.models = prefix + MODELS
        self._exact = {prefix + path: Route(path, "POST") for path in posts} | {self.models: Route(MODELS, "GET")}
        self._model_prefix = prefix + MODEL
        self._model = Route(MODEL, "GET")

    def match(self, path: str) -> Route | None:
        """Return the route of `path`, None where it is not ours."""
        route = self._exact.get(path)
        if route is None and path.startswith(self._model_prefix) and path != self._model_prefix:
            return self._model
        return route

    def owns(self, method: str, path: str) -> bool:
        """Tell whether a request is ours. OPTIONS is left to the host app, whose CORS rules it asks for."""
        return method != "OPTIONS" and self.match(path) is not None

    def model_id(self, path: str) -> str:
        """Return the id in the path of one model; it may hold slashes, as many models' names do."""
        return path[len(self._model_prefix) :]
