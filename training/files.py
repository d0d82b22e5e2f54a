"""Files that are either written whole or not at all."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
import platform
import re
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

from linegraph.errors import InputError

#: Names of files that are being written: of which machine and process, and a random number.
_PARTIAL = re.compile(r"\.partial-([0-9a-f]{8})-([0-9]+)-[0-9a-f]{32}(\..*)?")

#: Seconds after which the file of a process that cannot be asked is one that was left behind.
_ABANDONED = 24 * 3600.0

#: JSON from elsewhere may hold halves of characters, and JSON reads such an escape as one.
_ESCAPED = "backslashreplace"


class _PlainDumper(yaml.SafeDumper):
    """Repeats a shared list instead of pointing at it (``*id001``): people read these files."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


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
        raise InputError(f"cannot be written ({_reason(error)})", file=path) from error
    finally:
        with suppress(OSError):
            partial.unlink()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write text as UTF-8; what UTF-8 lacks (halves of characters) as an escape.

    Raises:
        InputError: the file cannot be written.
    """
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", errors=_ESCAPED, newline="\n")


def write_json(path: str | os.PathLike[str], obj: object) -> None:
    """Write JSON, keys in the order given, ended by a newline.

    Raises:
        InputError: the file cannot be written, or a number is NaN or infinite, which JSON lacks.
    """
    try:
        text = json.dumps(obj, indent=2, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise InputError(f"cannot be written as JSON ({error})", file=path) from error
    write_text(path, text + "\n")


def write_yaml(path: str | os.PathLike[str], obj: object) -> None:
    """Write YAML, keys in the order given.

    Args:
        path: the file to write.
        obj: dictionaries, lists, strings, numbers, booleans, None and nothing else.

    Raises:
        InputError: the file cannot be written.
    """
    write_text(path, yaml.dump(obj, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True))


def write_csv(
    path: str | os.PathLike[str], header: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """Write a table; None becomes an empty cell, floats keep every digit.

    Args:
        path: the file to write.
        header: one name per column.
        rows: one value per column each.

    Raises:
        InputError: the file cannot be written, or a row is not as long as the header.
    """
    with (
        replacing(path) as partial,
        partial.open("w", encoding="utf-8", errors=_ESCAPED, newline="") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        for number, row in enumerate(rows):
            if len(row) != len(header):
                raise InputError(
                    f"{len(row)} values for {len(header)} columns", file=path, record=number
                )
            writer.writerow(row)


def new_run_folder(path: str | os.PathLike[str]) -> Path:
    """Create the folder of a run; one that is there but empty will do.

    Raises:
        InputError: the folder holds something, is a file, or cannot be created.
    """
    folder = make_folder(path)
    if not holds_nothing(folder):
        raise InputError(
            "run folder already exists; choose another --out or use --resume", file=path
        )
    return folder


def make_folder(path: str | os.PathLike[str]) -> Path:
    """Create a folder and those above it, where they are not there yet.

    Raises:
        InputError: it cannot be created.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be created ({_reason(error)})", file=path) from error
    return folder


def holds_nothing(path: str | os.PathLike[str]) -> bool:
    """Whether a folder is not there, or is empty but for files that were never finished.

    Raises:
        InputError: it cannot be looked into, or is a file.
    """
    try:
        return all(_PARTIAL.fullmatch(name) for name in os.listdir(path))
    except FileNotFoundError:
        return True
    except OSError as error:
        raise InputError(f"cannot be read ({_reason(error)})", file=path) from error


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
    return True


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


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
