"""The pages of the providers: their tables are those of the library."""

import re

from completions_mw.cli.providers import not_taken
from completions_mw.settings.compatible import SERVICES, Service
from completions_mw.settings.providers import UPSTREAM_KINDS
from tests.docs.pages import ROOT

COMPATIBLE, INDEX = (ROOT / "docs" / "providers" / name for name in ("compatible.md", "index.md"))


def row(service: Service) -> str:
    key = f"`{service.key_variable}`" if service.key_variable else "none"
    lacks = ", ".join(
        f"`{name}`{' ' * bool(rest)}{rest}" for name, _, rest in (one.partition(" ") for one in not_taken(service.capabilities))
    )
    return f"| `{service.name}` | `{service.base_url}` | {key}{' (optional)' * service.key_is_optional} | {lacks} |"


def test_the_table_of_services_has_every_row() -> None:
    rows = re.findall(r"^\| `[\w.]+` \| `.*\|$", COMPATIBLE.read_text(), re.MULTILINE)
    assert rows == [row(service) for service in sorted(SERVICES, key=lambda service: service.name) if service.name]


def test_the_index_has_every_wire_format() -> None:
    listed = set(re.findall(r"^\| `(\w+)` \|", INDEX.read_text(), re.MULTILINE))
    assert listed == {kind.api_name() for kind in UPSTREAM_KINDS} | {"llama_cpp", "echo"}
