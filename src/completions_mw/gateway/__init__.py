"""The two gateways: `Gateway` for threads and greenlets, `AsyncGateway` for event loops. They differ only in their backends.

blocking.py, asynchronous.py  the two gateways
base.py            what both gateways can do
wiring.py          joins settings and backends to one pipeline
backends.py        makes the backends of either kind
kinds.py           what each model is asked for: chat completions, or embeddings
models.py          models that clients may ask for, from the settings and from Python functions
targets.py         targets of models, and the backends that they share
setup_faults.py    faults of settings and options that only show where the two meet
custom_formats.py  wire formats of the host app and of installed packages
prices.py          prices of targets, from the settings or a price table
stores.py          stores of limits, budgets and keys, from the settings
last_rows.py       writes what is left when a process ends without closing its gateway
store_checks.py    reaches the stores before the first request
keys.py, async_keys.py  API keys from Python: the property `keys` of each gateway
param_policies.py  what happens to vendors' parameters at each model, from the settings
caching.py         the response cache, from the settings
cache.py           the response cache from Python: the property `cache` of each gateway
options.py         keyword arguments of a gateway
setup_warnings.py  warns of settings that are valid, and do not work as intended
"""

from completions_mw.gateway.asynchronous import AsyncGateway
from completions_mw.gateway.blocking import Gateway
from completions_mw.gateway.options import GatewayOptions

__all__ = ["AsyncGateway", "Gateway", "GatewayOptions"]
