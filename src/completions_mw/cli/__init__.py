"""The command line for operators, `completions-mw`. It needs the extra `cli`.

app.py        all commands, and how they fail
keys.py       `completions-mw keys`, with key_views.py and imports.py
usage.py      `completions-mw usage`
balances.py   `completions-mw balances`
cache.py      `completions-mw cache`
check.py      `completions-mw check`
providers.py  `completions-mw providers`
options.py    options that several commands have
ledger.py     opens the ledger that the options name
errors.py     explains failures of the ledger's database
output.py     writes tables, JSON, warnings and errors
"""

import sys

_CLI_PACKAGES = {"click", "rich", "typer"}


def main() -> None:
    """Run the command line."""
    try:
        from completions_mw.cli.app import app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _CLI_PACKAGES:
            raise
        sys.stderr.write("completions-mw: the command line needs typer and rich: pip install 'completions-mw[cli]'\n")
        raise SystemExit(2) from None
    app()
