"""From a model's name to an answer.

catalog.py   `Catalog`: the models that clients can name, and who may use them
dispatch.py  `Dispatcher`: asks a model's targets in order, until one begins to answer
targets.py   `Target`: a model of an upstream, or a model in this process
"""

from completions_mw.core.dispatch.catalog import Catalog, CatalogModel
from completions_mw.core.dispatch.dispatch import Dispatcher
from completions_mw.core.dispatch.targets import Target

__all__ = ["Catalog", "CatalogModel", "Dispatcher", "Target"]
