"""Run folders that are at work: no other run begins there, or goes on, before this one ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from linegraph.atomic_files import reason
from linegraph.errors import InputError

# Folders by device and number: those that whoever asks holds already. A thread starts with none.
_ours: ContextVar[frozenset[tuple[int, int]]] = ContextVar("_ours", default=frozenset())

# Open folders, each with its lock.
_open: set[int] = set()


@contextmanager
def held(path: str | os.PathLike[str], *, new: bool = False) -> Iterator[Path]:
    """Hold a folder while the block runs, so that no other process or thread can.

    It is made where it is not there yet, with those above it, and removed again if nothing is in it
    at the end. Inside a block that holds the folder, another one only runs. A process that is
    killed holds nothing any more, whatever it has started. Where a file system or a machine knows
    no locks of folders, nothing but ``new`` is exclusive.

    Args:
        path: the folder.
        new: it must not be there yet. Of several that ask for it at once, one gets it.

    Raises:
        InputError: another one holds it, or it cannot be created or read.
        FileExistsError: it is there, but was to be new.
    """
    folder = Path(path)
    key, descriptor, made = _locked(folder, new)
    before = _ours.get()
    _ours.set(before | {key})
    try:
        yield folder
    finally:
        _ours.set(before)
        # While it is still locked: nobody else is in it then.
        with suppress(OSError):
            for one in made:
                one.rmdir()
        _close(descriptor)


def _locked(folder: Path, new: bool) -> tuple[tuple[int, int], int, list[Path]]:
    """Make a folder, and lock it unless the caller holds it: what it is, what to close and remove.

    Folders to be removed are those that were not there before, the innermost first.
    """
    while True:
        made = _made(folder, new)
        if os.name != "posix":
            return (0, 0), -1, made
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InputError(f"cannot be read ({reason(error)})", file=folder) from error
        _open.add(descriptor)
        try:
            key = _key(os.fstat(descriptor))
            if key not in _ours.get():
                _lock(descriptor, folder)
            # Whoever held it before may have removed it in the end.
            with suppress(FileNotFoundError):
                if _key(os.stat(folder)) == key:
                    return key, descriptor, made
        except BaseException:
            _close(descriptor)
            raise
        _close(descriptor)


def _made(folder: Path, new: bool) -> list[Path]:
    """Make a folder and those above it: which were not there, the innermost first."""
    missing = [one for one in (folder, *folder.parents) if not os.path.isdir(one)]
    made: list[Path] = []
    for one in reversed(missing or [folder] * new):
        try:
            one.mkdir()
            made.insert(0, one)
        except FileExistsError as error:
            if new and one == folder:
                raise
            if not os.path.isdir(one):
                raise InputError(f"cannot be created ({reason(error)})", file=folder) from error
        except OSError as error:
            raise InputError(f"cannot be created ({reason(error)})", file=folder) from error
    return made


def _lock(descriptor: int, folder: Path) -> None:
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            "another run is at work in this folder; choose another --out, or wait for its end",
            file=folder,
        ) from None
    except OSError:
        # A file system without locks.
        return


def _key(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _close(descriptor: int) -> None:
    if descriptor in _open:
        _open.discard(descriptor)
        os.close(descriptor)


def _forget() -> None:
    """Of a copy of this process: it is not the run, and may outlive it."""
    for descriptor in tuple(_open):
        _close(descriptor)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
