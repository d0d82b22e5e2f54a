"""Files that are either written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from uuid import uuid4

from .errors import InputError

#: Names of files that are being written: of which machine and process, and a random number.
_PARTIAL = re.compile(r"\.partial-([0-9a-f]{8})-([0-9]+)-[0-9a-f]{32}(\..*)?")

#: Seconds after which the file of a process that cannot be asked is one that was left behind.
_ABANDONED = 24 * 3600.0


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file so that nobody ever sees half of it.

    Yields the path of a file that does not exist yet, in the folder of ``path`` and with its
    suffix. What the block writes there takes the place of ``path`` when the block ends; when it
    raises, it is removed and ``path`` stays as it was. A symbolic link is followed, not replaced;
    pipes and devices are refused.

    Args:
        path: the file to write; its folder must exist.

    Raises:
        InputError: the file cannot be written (disk full, no permission, no such folder, ...).
    """
    # A name of our own rather than tempfile's: its files are readable by the owner only, and the
    # replaced file would inherit that.
    target = Path(os.path.realpath(path))
    mark = f"{_machine()}-{os.getpid()}-{uuid4().hex}"
    partial = target.with_name(f".partial-{mark}{target.suffix}")
    try:
        _check_ordinary(target)
        yield partial
        _flush_to_disk(partial)
        os.replace(partial, target)
    except OSError as error:
        raise InputError(f"cannot be written ({reason(error)})", file=path) from error
    finally:
        with suppress(OSError):
            partial.unlink()


def is_unfinished(name: str) -> bool:
    """Whether this is a name that :func:`replacing` writes under."""
    return _PARTIAL.fullmatch(name) is not None


def remove_unfinished(path: str | os.PathLike[str], *, shared: bool = False) -> None:
    """Remove what killed processes were writing to a folder by :func:`replacing`.

    Args:
        path: the folder; those in it are looked into, links to folders are not.
        shared: others may be writing here now: leave what a living process of this machine writes,
            and what is younger than a day if it is of another machine.
    """
    for folder, _, names in os.walk(path):
        for name in names:
            if (found := _PARTIAL.fullmatch(name)) is None:
                continue
            file = Path(folder, name)
            if not (shared and _in_use(file, found[1], int(found[2]))):
                with suppress(OSError):
                    file.unlink()


def _in_use(file: Path, machine: str, process: int) -> bool:
    """Whether a process may still be writing a file."""
    # Elsewhere, to ask whether a process is there would be to interrupt it.
    if machine == _machine() and os.name == "posix":
        return _is_alive(process)
    try:
        return time.time() - file.stat().st_mtime < _ABANDONED
    except OSError:
        return False


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        # It is somebody else's.
        return True
    return not _has_ended(process)


def _has_ended(process: int) -> bool:
    """Whether nothing but the number of a process is left, until its parent asks how it ended.

    The helpers of a killed process wait for that until the first process of the machine or
    container does so: some take seconds, some never do.
    """
    try:
        status = Path(f"/proc/{process}/stat").read_bytes()
    except OSError:
        return False
    return status.rpartition(b")")[2].split()[:1] in ([b"Z"], [b"X"])


@cache
def _machine() -> str:
    """Eight digits for whatever numbers its processes by itself: a machine, or a container."""
    space = ""
    with suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    return hashlib.sha256(f"{platform.node()} {space}".encode()).hexdigest()[:8]


def _check_ordinary(path: Path) -> None:
    """Whoever may replace /dev/null breaks the machine by it."""
    with suppress(FileNotFoundError):
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise OSError(errno.EINVAL, "is a pipe or a device")


def _flush_to_disk(path: Path) -> None:
    """After a power cut a renamed file may be there without its content, unless it was synced."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def reason(error: OSError) -> str:
    """What the system says of a file, in its shortest words."""
    return error.strerror or str(error) or type(error).__name__
