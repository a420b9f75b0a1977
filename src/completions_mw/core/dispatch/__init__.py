"""From a model's name to an answer.

catalog.py       `Catalog`: the models that clients can name, and who may use them
dispatch.py      `Dispatcher`: asks a model's targets in order, until one begins to answer
targets.py       `Target`: a model of an upstream, or a model in this process
stream_start.py  recognises a stream whose content type does not say so
client_words.py  errors of an upstream that name no parameter which the client did not send
"""

from completions_mw.core.dispatch.catalog import Catalog, CatalogModel
from completions_mw.core.dispatch.dispatch import Dispatcher
from completions_mw.core.dispatch.targets import Target

__all__ = ["Catalog", "CatalogModel", "Dispatcher", "Target"]
