"""From a model's name to an answer.

catalog.py   the models that clients can name, and who sees them
targets.py   what can answer: an upstream's model, or a model in this process
dispatch.py  targets are tried in their order, until the first byte of an answer
"""

from completions_mw.core.dispatch.catalog import Catalog, CatalogModel
from completions_mw.core.dispatch.dispatch import Dispatcher

__all__ = [
    "Catalog",
    "CatalogModel",
    "Dispatcher",
]
