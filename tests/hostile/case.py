"""One case: a file made of a seed, a reader called on it, and how that ended."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from linegraph.errors import InputError

from . import MEMORY, SECONDS

#: A message longer than this is no message.
LONGEST = 3000


@dataclass(frozen=True)
class Reader:
    """A way in for files.

    Attributes:
        name: of it, in tables.
        group: readers of one group share a process.
        make: makes the file (or folder) of a case in an empty folder, from a random generator.
        read: reads it as a command would; raises AssertionError where the answer is wrong.
        crafted: made by hand: the first cases, by name.
        share: how many random cases there are, relative to others.
    """

    name: str
    group: str
    make: Callable[[Path, Random], Path]
    read: Callable[[Path], Any]
    crafted: dict[str, Callable[[Path], Path]]
    share: float = 1.0


@dataclass(frozen=True)
class Ending:
    """How a case ended.

    Attributes:
        reader: its name.
        case: the number.
        label: what was done, of crafted cases.
        how: ``error`` or ``answer``, which are right; anything else is not.
        message: of the error.
        seconds: of processor time it took.
        memory: bytes it took on top.
    """

    reader: str
    case: int
    label: str
    how: str
    message: str
    seconds: float
    memory: int

    @property
    def right(self) -> bool:
        """Whether it is one of the two that are allowed."""
        return self.how in ("error", "answer")


class TooLong(BaseException):
    """No Exception, so that nothing that catches those keeps it."""


def run(reader: Reader, number: int, folder: Path) -> Ending:
    """Make a case in a folder of its own within ``folder``, read it, and tell how it ended."""
    home = folder / f"case-{number}"
    home.mkdir()
    crafted = list(reader.crafted.items())
    label, make = crafted[number] if number < len(crafted) else ("", None)
    path = make(home) if make else reader.make(home, Random(f"{reader.name} {number}"))
    before = _snapshot(folder)
    _forget_peak()
    memory, start = _memory(), time.process_time()
    how, message = _ending(reader, path)
    seconds, memory = time.process_time() - start, max(0, _memory() - memory)
    if how in ("error", "answer"):
        if memory > MEMORY:
            how, message = "memory", f"{memory >> 20} MiB; {message}"
        elif strange := sorted(_snapshot(folder) ^ before):
            how, message = "wrote outside", f"{strange[:3]}; {message}"
    return Ending(reader.name, number, label, how, message, seconds, memory)


def _ending(reader: Reader, path: Path) -> tuple[str, str]:
    try:
        with _limited():
            reader.read(path)
    except InputError as error:
        return _of_message(str(error), path)
    except TooLong:
        return "too long", ""
    except MemoryError:
        return "memory", "MemoryError"
    except BaseException as error:
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = "" if place is None else f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}"
        return f"{type(error).__name__}", f"{where} {str(error)[:300]!r}"
    return "answer", ""


def _of_message(message: str, path: Path) -> tuple[str, str]:
    if not message.isprintable():
        return "message not one line of text", repr(message[:300])
    if len(message) > LONGEST:
        return "message too long", f"{len(message)}: {message[:200]}"
    # Of a folder, a file in it will do; names that cannot be printed are escaped.
    if path.name.isprintable() and path.name[:100] not in message:
        return "message names no file", message[:300]
    return "error", message


@contextmanager
def _limited() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TooLong

    # Of processor time, as others may keep the machine busy; and by the clock, for what only waits.
    # Again each second: an exception raised in a destructor or a callback is lost.
    for number, timer, limit in (
        (signal.SIGPROF, signal.ITIMER_PROF, SECONDS),
        (signal.SIGALRM, signal.ITIMER_REAL, 20 * SECONDS),
    ):
        signal.signal(number, stop)
        signal.setitimer(timer, limit, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _snapshot(folder: Path) -> set[tuple[str, int, int]]:
    """Every file below a folder with its size and time; folders named ``out`` are left out."""
    found = set()
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != "out"]
        for name in (*folders, *files):
            status = os.lstat(os.path.join(root, name))
            size = status.st_size if name in files else 0
            found.add((os.path.join(root, name), size, status.st_mtime_ns if size else 0))
    return found


def _memory() -> int:
    """Highest resident memory of this process since :func:`_forget_peak`, bytes."""
    with open("/proc/self/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) << 10


def _forget_peak() -> None:
    if sys.platform.startswith("linux"):
        with open("/proc/self/clear_refs", "w", encoding="ascii") as control:
            control.write("5")
