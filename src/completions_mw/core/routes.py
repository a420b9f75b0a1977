"""The routes of the gateway. Requests for other paths belong to the host app."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from completions_mw.errors import MethodNotAllowedError, NotFoundError

CHAT_COMPLETIONS: Final = "/chat/completions"
EMBEDDINGS: Final = "/embeddings"
MODELS: Final = "/models"
MODEL: Final = "/models/"
POST: Final = ("POST",)
GET: Final = ("GET", "HEAD")
ABSENT: Final = frozenset(
    [
        "/assistants",
        "/audio/speech",
        "/audio/transcriptions",
        "/audio/translations",
        "/batches",
        "/completions",
        "/containers",
        "/conversations",
        "/evals",
        "/files",
        "/fine_tuning/jobs",
        "/images/edits",
        "/images/generations",
        "/images/variations",
        "/moderations",
        "/realtime/calls",
        "/realtime/client_secrets",
        "/realtime/sessions",
        "/responses",
        "/responses/compact",
        "/responses/input_tokens",
        "/threads",
        "/threads/runs",
        "/uploads",
        "/vector_stores",
        "/videos",
        # A base URL of one segment or one path too many.
        "/v1/chat/completions",
        "/v1/models",
        "/chat/completions/chat/completions",
        "/chat/completions/models",
    ]
)
"""Paths at which clients of OpenAI's API begin, and which the gateway does not have (https://platform.openai.com/docs/api-reference).
Only whole paths: where the host app has such a path, it has a page there, which cannot be missing."""


@dataclass(frozen=True, slots=True)
class Route:
    """A path of the gateway and its methods."""

    name: str
    """Path below the prefix; the path of one model ends before the model's id."""
    methods: tuple[str, ...]
    """The methods that the route accepts, beside OPTIONS, which names them."""


class Routes:
    """The routes below one prefix, whose paths match exactly: no trailing slash, no other case.

    Args:
        prefix: prefix as in the settings: empty, or with a leading and without a trailing slash.
        posts: paths below the prefix to which requests are POSTed, one for each dialect.
    """

    def __init__(self, prefix: str, posts: Collection[str] = (CHAT_COMPLETIONS, EMBEDDINGS)) -> None:
        self.chat = prefix + CHAT_COMPLETIONS
        self.embeddings = prefix + EMBEDDINGS
        self.models = prefix + MODELS
        self.absent = {prefix + path for path in ABSENT} if prefix else set()
        """Paths of OpenAI's API that the gateway does not have; none without a prefix, where they may well be pages of the host app."""
        offered = ", ".join(f"POST {prefix}{path}" for path in posts)
        self._hint = f"this server has {offered} and GET {self.models}; the base URL of clients ends with {prefix or '/'}"
        self._exact = {prefix + path: Route(path, POST) for path in posts} | {self.models: Route(MODELS, GET)}
        self._model_prefix = prefix + MODEL
        self._model = Route(MODEL, GET)

    def match(self, path: str) -> Route | None:
        """Return the route of `path`, None for a path of the host app."""
        route = self._exact.get(path)
        if route is None and path.startswith(self._model_prefix) and path != self._model_prefix:
            return self._model
        return route

    def find(self, method: str, path: str) -> Route:
        """Return the route of a request.

        Raises:
            NotFoundError: no route has this path.
            MethodNotAllowedError: the route of this path has other methods.
        """
        route = self._exact.get(path) or self.match(path)
        if route is None:
            raise self.not_found(method, path)
        if method not in route.methods and method != "OPTIONS":
            text = f"Not allowed to {method[:16]} on {path[:256]} (HINT: use {route.methods[0]})."
            raise MethodNotAllowedError(text, allow=", ".join(route.methods))
        return route

    def not_found(self, method: str, path: str) -> NotFoundError:
        """Return the error for a path that no route has, with a hint for developers whose client has another API or a wrong base URL."""
        text = f"Invalid URL ({method[:16]} {path[:256]})"
        return NotFoundError(f"{text} (HINT: {self._hint})." if path in self.absent else text)

    def owns(self, method: str, path: str) -> bool:
        """Return whether the gateway answers a request. OPTIONS is left to the host app, whose CORS rules it may ask for."""
        return method != "OPTIONS" and self.match(path) is not None

    def model_id(self, path: str) -> str:
        """Return the id in the path of one model; it may hold slashes, as the names of many models do."""
        return path[len(self._model_prefix) :]
