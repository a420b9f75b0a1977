"""The pages of the providers: their tables are those of the library."""

import re

from completions_mw.settings.capabilities import Capabilities
from completions_mw.settings.compatible import SERVICES, Service
from completions_mw.settings.providers import UPSTREAM_KINDS
from tests.docs.pages import ROOT

COMPATIBLE, INDEX = (ROOT / "docs" / "providers" / name for name in ("compatible.md", "index.md"))


def row(service: Service) -> str:
    key = f"`{service.key_variable}`" if service.key_variable else "none"
    cells = [
        f"`{service.name}`",
        f"`{service.base_url}`",
        key + " (optional)" * service.key_is_optional,
        ", ".join(lacks(service.capabilities)),
    ]
    return f"| {' | '.join(cells)} |"


def lacks(capabilities: Capabilities) -> list[str]:
    """Return what a service does not take, in words."""
    return [
        *(f"`{name}`" for name in sorted(capabilities.unsupported - {"stream_options"})),
        *([f"`n` above {capabilities.max_choices}"] if capabilities.max_choices else []),
        *(f"`{name}` {value}" for name, values in capabilities.refused.items() for value in sorted(values)),
        *(f"`{name}` outside {low:g} to {high:g}" for name, (low, high) in capabilities.ranges.items()),
    ]


def test_the_table_of_services_has_every_row() -> None:
    rows = re.findall(r"^\| `[\w.]+` \| `.*\|$", COMPATIBLE.read_text(), re.MULTILINE)
    assert rows == [row(service) for service in sorted(SERVICES, key=lambda service: service.name) if service.name]


def test_the_index_has_every_language() -> None:
    listed = set(re.findall(r"^\| `(\w+)` \|", INDEX.read_text(), re.MULTILINE))
    assert listed == {kind.api_name() for kind in UPSTREAM_KINDS} | {"llama_cpp", "echo"}
