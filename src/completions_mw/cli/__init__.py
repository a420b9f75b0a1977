"""The command line, `completions-mw`: keys, usage and budgets, for operators. It needs the extra `cli`."""

import sys

_PARTS = {"click", "rich", "typer"}


def main() -> None:
    """Run the command line."""
    try:
        from completions_mw.cli.app import app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _PARTS:
            raise
        sys.stderr.write("completions-mw: the command line needs typer and rich: pip install 'completions-mw[cli]'\n")
        raise SystemExit(2) from None
    app()
