"""The route of a model: which of its targets are asked for a request, and in which order (docs/routing.md)."""

from collections.abc import Sequence
from dataclasses import dataclass

from completions_mw.core.dispatch.targets import Target


@dataclass(frozen=True, slots=True)
class Route:
    """Targets of a model, chosen once from the settings, so that a request has nothing to decide that its model has decided."""

    targets: tuple[Target, ...]
    """All targets, in the order of the settings; at least one."""

    def candidates(self) -> Sequence[Target]:
        """Return the targets that may be asked for a request, in the order in which they are asked."""
        return self.targets
