"""The command line app with all commands. A command that fails writes its error to stderr and exits with code 1."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from completions_mw import __version__
from completions_mw.cli.balances import balances
from completions_mw.cli.cache import cache
from completions_mw.cli.check import check
from completions_mw.cli.keys import keys
from completions_mw.cli.output import fail, write_lines
from completions_mw.cli.providers import providers
from completions_mw.cli.usage import usage
from completions_mw.core.keys.service import KeyNotFoundError
from completions_mw.core.ports import KeyExistsError, StoreError
from completions_mw.errors import ConfigurationError


class _Group(TyperGroup):
    """The command group, which turns expected errors into messages."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (ConfigurationError, KeyExistsError, KeyNotFoundError, StoreError) as error:
            fail(str(error))


# Not with rich's tracebacks: they show local variables, and some hold secrets.
app = typer.Typer(cls=_Group, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.add_typer(keys, name="keys")
app.add_typer(cache, name="cache")
app.command()(usage)
app.command()(balances)
app.command()(check)
app.command()(providers)


def _show_version(asked: bool) -> None:
    if asked:
        write_lines(f"completions-mw {__version__}")
        raise typer.Exit


@app.callback()
def _completions_mw(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")] = False,
) -> None:
    """Manage API keys, and show usage and budgets, of the apps that share a ledger."""
