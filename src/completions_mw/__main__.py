"""`python -m completions_mw` is the command line."""

from completions_mw.cli import main

main()
