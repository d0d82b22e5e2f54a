"""Where in the program something went wrong that is kept as one line."""

from __future__ import annotations

import sys
import traceback


def print_traceback(name: str, error: BaseException) -> None:
    """Print the traceback of an error to standard error, at once: several processes may do so.

    Args:
        name: of what it happened with.
        error: with its traceback.
    """
    sys.stderr.write(f"{name}: " + "".join(traceback.format_exception(error)))
