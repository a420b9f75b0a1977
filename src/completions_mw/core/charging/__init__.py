"""Charging: the leases, tokens and money of each request, from its admission to its settlement.

charges.py         `Charges`: opens a charge for each request, admits, reserves and settles it, also when the client leaves
charge.py          `Charge`: what one request holds, its usage, and checkpoints while it streams
max_cost.py        `MaxCost`: the maximum cost of a request, and whether it is allowed
cached_answers.py  `CachedAnswers`: answers from the cache, which cost nothing
used.py            `UsedTokens`: the tokens that a request is charged for, however it ended
pace.py            `Pace`: how fast each target writes
stopping.py        `StoppingCharges`: settles what runs before a server that stops ends the process
maintenance.py     `Maintenance`: renews leases and reservations, replays the spool, reaps and prunes
"""

from completions_mw.core.charging.cached_answers import CachedAnswers
from completions_mw.core.charging.charge import Charge
from completions_mw.core.charging.charges import Charges
from completions_mw.core.charging.maintenance import Maintenance
from completions_mw.core.charging.used import UsedTokens

__all__ = ["CachedAnswers", "Charge", "Charges", "Maintenance", "UsedTokens"]
