"""Work in several threads that take turns as often as they can."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def in_threads(work: Callable[[int], T], count: int) -> list[T]:
    """What ``work`` makes of 0 to ``count - 1``, four at a time."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as threads:
            return list(threads.map(work, range(count)))
    finally:
        sys.setswitchinterval(interval)
