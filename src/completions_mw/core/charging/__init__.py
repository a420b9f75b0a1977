"""What one request holds, from its admission to its settlement.

charges.py      `Charges`: admits, reserves, settles
charge.py       `Charge`: what one request holds and has used, checkpoints while it streams
max_cost.py     `MaxCost`: what a request may cost at most, and whether that is allowed
maintenance.py  `Maintenance`: renews what runs, posts what waits, reaps what is dead, prunes what is old
"""

from completions_mw.core.charging.charge import Charge
from completions_mw.core.charging.charges import Charges
from completions_mw.core.charging.maintenance import Maintenance

__all__ = [
    "Charge",
    "Charges",
    "Maintenance",
]
