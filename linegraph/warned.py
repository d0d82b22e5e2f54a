"""What becomes of warnings for a while, one thread at a time."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

# Filters of warnings belong to the process: two threads would undo each other's, and leave them
# behind.
_FILTERS = threading.RLock()


@contextmanager
def warnings_as(action: Literal["error", "ignore"], message: str = "") -> Iterator[None]:
    """Raise or silence warnings within the block; other threads that want to wait for its end.

    Args:
        action: what becomes of them.
        message: regular expression for the beginning of those that are meant; by default all.
    """
    with _FILTERS, warnings.catch_warnings():
        warnings.filterwarnings(action, message=message)
        yield
