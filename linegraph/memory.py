"""How a process on a CPU treats memory that it no longer uses."""

from __future__ import annotations

import ctypes
import sys

#: ``mallopt`` parameters of the GNU C library (malloc.h).
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
#: As a threshold for giving memory back (mallopt(3)).
NEVER = -1


def keep_freed_memory() -> bool:
    """Let the C library keep freed memory instead of giving it back to the system each time.

    By default it gives back every block above 32 MiB, and the system must clear the pages of the
    next one. Features of angles are such blocks: with many atoms, clearing pages takes longer than
    the work on them. Kept memory counts as used until the process ends, so this is for programs
    that own their process; the command line calls it, the library never does.

    Returns:
        whether it could be done: on Linux with the GNU C library only.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, NEVER))
