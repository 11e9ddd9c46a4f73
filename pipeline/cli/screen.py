"""Where commands write: results to stdout, messages to stderr."""

from __future__ import annotations

import sys

from rich.console import Console

from pipeline.errors import LinesideError, StationError, hidden, printable, printable_lines

# In a pipe or a log there is no terminal's width that a table would have to fit.
out = Console(soft_wrap=True, width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True, soft_wrap=True)


def print_line(text: str) -> None:
    """Print one line as it is, without markup, and without what a terminal would obey."""
    out.print("\n".join(map(printable, text.split("\n"))), markup=False, highlight=False)


def print_error(error: LinesideError) -> None:
    """Print what a person can mend, on stderr; without markup, as file:line has square brackets."""
    err.print("error: ", style="bold red", end="")
    err.print(printable_lines(hidden(str(error))), markup=False, highlight=False)


def exit_code(error: LinesideError) -> int:
    """2 for what a person must correct, 3 for what a new process cures."""
    return 3 if isinstance(error, StationError) else 2
