"""The commands, and how they fail: one text on stderr, and 1 as the exit code."""

from typing import Any

import typer
from typer.core import TyperGroup

from completions_mw.cli.keys import keys
from completions_mw.cli.output import fail
from completions_mw.cli.usage import usage
from completions_mw.core.keys.service import KeyNotFoundError
from completions_mw.core.ports import KeyExistsError, StoreError
from completions_mw.errors import ConfigurationError


class _Group(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (ConfigurationError, KeyExistsError, KeyNotFoundError, StoreError) as error:
            fail(str(error))


# rich's tracebacks would show the local variables, and with them secrets.
app = typer.Typer(cls=_Group, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.add_typer(keys, name="keys")
app.command()(usage)


@app.callback()
def _completions_mw() -> None:
    """API keys and usage of the apps that share a ledger."""
