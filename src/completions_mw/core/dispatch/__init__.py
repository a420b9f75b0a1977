"""From a model's name to an answer.

catalog.py           `Catalog`: the models that clients can name, and who may use them
route.py             `Route`: the targets of a model, in the order in which they are asked
attempts.py          `Attempts`: asks the targets of a route until one begins to answer
attempt.py           `Attempt`: asks one target, and takes in what that says of its health
hedging.py           `Hedging`: asks two targets, and takes the sooner answer
failures.py          what a failure says: who may be asked next, and whether the target is to blame
dispatcher.py        `Dispatcher`: the answers to requests of one kind
chat.py              asks a target for a chat completion
embeddings.py        asks a target for embeddings
batches.py           embeddings requests that an upstream takes only in parts
targets.py           `Target`: what answers requests; `InProcessTarget`: a model in this process
upstream_target.py   `UpstreamTarget`: a model of an upstream behind HTTP
upstream_answers.py  the answers of an upstream as they are read
parameters.py        `TargetParams`: parameters that a target does not take, and what happens to them
stream_start.py      recognises a stream whose content type does not say so
client_words.py      errors of an upstream that name no parameter which the client did not send
"""

from completions_mw.core.dispatch.attempts import Attempts
from completions_mw.core.dispatch.catalog import Catalog, CatalogModel
from completions_mw.core.dispatch.chat import ask_chat
from completions_mw.core.dispatch.dispatcher import Dispatcher
from completions_mw.core.dispatch.embeddings import ask_embeddings
from completions_mw.core.dispatch.route import Route
from completions_mw.core.dispatch.targets import Target

__all__ = ["Attempts", "Catalog", "CatalogModel", "Dispatcher", "Route", "Target", "ask_chat", "ask_embeddings"]
