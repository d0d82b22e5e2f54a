"""Files that are read whole: nothing else that has a name, and none that inflate without end."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import stat
from collections.abc import Callable
from os import PathLike
from typing import Any

from .errors import InputError

#: A compressed file may always become so large (bytes) ...
INFLATED = 16 << 20

#: ... and above that so many times its own size. Numbers as text shrink to a fifth, hardly ever to
#: less than a thirtieth; what gzip makes of one letter, repeated, to a thousandth.
TIMES = 100

_OPEN: dict[str, Callable[..., Any]] = {
    ".gz": gzip.open,
    ".z": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".lzma": lzma.open,
}


def read_bytes(path: str | PathLike[str]) -> bytes:
    """The content of a regular file.

    A pipe would be waited for, and a device read without end.

    Raises:
        OSError: it cannot be read, or is something else; ``strerror`` says what.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, "is a folder", os.fspath(path))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "is a pipe or a device", os.fspath(path))
        with open(descriptor, "rb", closefd=False) as stream:
            return stream.read()
    finally:
        os.close(descriptor)


def make_way(path: str | PathLike[str]) -> None:
    """Remove a link, a pipe or a device that lies where a file is to be written.

    For files that nobody but this program puts there: a link would lead the writer out of their
    folder.

    Raises:
        OSError: it cannot be removed.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        os.unlink(path)


def read_text(path: str | PathLike[str], encoding: str = "utf-8", errors: str = "strict") -> str:
    """The text in a regular file, lines ended by a line feed.

    Raises:
        OSError: see :func:`read_bytes`.
        UnicodeDecodeError: it is in another encoding.
    """
    with io.TextIOWrapper(io.BytesIO(read_bytes(path)), encoding, errors) as stream:
        return stream.read()


def inflated(data: bytes, name: str) -> bytes:
    """The content of a compressed file, or the data themselves where the name is of no such file.

    Args:
        data: the bytes of the file.
        name: of the file; its ending tells the kind.

    Raises:
        InputError: it is much larger than any data are (:data:`INFLATED`, :data:`TIMES`).
        OSError, EOFError, zlib.error, lzma.LZMAError: it is damaged.
    """
    opener = _OPEN.get(os.path.splitext(name)[1].lower())
    if opener is None:
        return data
    most = max(INFLATED, TIMES * len(data))
    with opener(io.BytesIO(data), "rb") as stream:
        content: bytes = stream.read(most + 1)
    if len(content) > most:
        raise InputError(
            f"becomes more than {most >> 20} MB when it is decompressed, from {len(data)} bytes, "
            "which data never do; decompress it yourself if you trust it"
        )
    return content
