"""Runs the command line as `python -m completions_mw`."""

from completions_mw.cli import main

main()
