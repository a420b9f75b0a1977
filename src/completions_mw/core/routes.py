"""Which paths are ours. Everything else belongs to the host app."""

from enum import Enum, auto


class Route(Enum):
    """A path of ours."""

    CHAT = auto()
    MODELS = auto()
    MODEL = auto()

    @property
    def method(self) -> str:
        """The only verb that the route takes."""
        return "POST" if self is Route.CHAT else "GET"


class Routes:
    """The paths below one prefix, matched exactly: no trailing slash, no other case (FAULTS FC-18).

    Args:
        prefix: as in the settings: empty, or with a leading and without a trailing slash.
    """

    def __init__(self, prefix: str) -> None:
        self.chat = f"{prefix}/chat/completions"
        self.models = f"{prefix}/models"
        self._model = f"{prefix}/models/"

    def match(self, path: str) -> Route | None:
        """Return the route of `path`, None where it is not ours."""
        if path == self.chat:
            return Route.CHAT
        if path == self.models:
            return Route.MODELS
        return Route.MODEL if path.startswith(self._model) and path != self._model else None

    def owns(self, method: str, path: str) -> bool:
        """Tell whether a request is ours. OPTIONS is left to the host app, whose CORS rules it asks for."""
        return method != "OPTIONS" and self.match(path) is not None

    def model_id(self, path: str) -> str:
        """Return the id in a path of `Route.MODEL`; it may hold slashes, as many models' names do."""
        return path[len(self._model) :]
