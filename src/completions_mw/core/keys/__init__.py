"""Callers: API keys, and the host app's own login.

authentication.py  `Authenticator`: finds the caller of a request; the texts of 401
caller.py          `Caller`: a user of the endpoint, with models, limits and budget
scopes.py          `Scope`: whose limits, budgets, usage and cached answers something is
owners.py          `Owner`: the caller to whom a key of the settings or of the store belongs
service.py         `KeyService`: creates, finds, changes and rotates stored keys
fields.py          the fields of a key, checked like settings
secrets.py         makes secrets, and the records that are kept of them
guarded_store.py   the key store as requests use it: answers 503 while the store is down
"""

from completions_mw.core.keys.authentication import Authenticator
from completions_mw.core.keys.caller import Caller
from completions_mw.core.keys.service import KeyService

__all__ = ["Authenticator", "Caller", "KeyService"]
