"""What the demonstration looks like: text with a margin, coloured where a terminal shows it."""

import os
import sys
import textwrap

BOLD, DIM, RED, GREEN = "1", "2", "31", "32"
MARGIN = "   "
IN_COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def title(text: str) -> None:
    say(f"\n{styled(BOLD, text)}")


def show(code: str, text: str) -> None:
    """Print a paragraph."""
    say(styled(code, textwrap.fill(text, 100, initial_indent=MARGIN, subsequent_indent=MARGIN)))


def show_code(text: str) -> None:
    say(styled(DIM, textwrap.indent(text, MARGIN)) + "\n")


def begin_line() -> None:
    print(MARGIN, end="")


def show_piece(code: str, text: str) -> None:
    """Print what continues the line, at once."""
    print(styled(code, text), end="", flush=True)


def say(text: str = "") -> None:
    print(text, flush=True)


def styled(code: str, text: str) -> str:
    return f"\033[{code}m{text}\033[0m" if IN_COLOUR else text
