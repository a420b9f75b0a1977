"""Who is calling: API keys, and the host app's own login.

caller.py          `Caller`: somebody who may use the endpoint, and what they may do
authentication.py  `Authenticator`: finds the caller of a request; the texts of 401
service.py         `KeyService`: makes, finds, changes and rotates stored keys
fields.py          the fields of a key, checked as settings are
secrets.py         how secrets are made, and what is kept of them
guarded_store.py   the store of keys, and what requests get while it is down
"""

from completions_mw.core.keys.authentication import Authenticator
from completions_mw.core.keys.caller import Caller
from completions_mw.core.keys.service import KeyService

__all__ = [
    "Authenticator",
    "Caller",
    "KeyService",
]
