"""The limits of a case: what goes beyond them, or leaves a file behind, is found out."""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from linegraph.errors import InputError

from . import case
from .case import Reader, run


def ending_of(read: Callable[[Path], Any], folder: Path) -> str:
    def make(home: Path, random: Random) -> Path:
        path = home / "a.cif"
        path.write_text("x")
        return path

    return run(Reader("r", "g", make, read, {}), 0, folder).how


def _refuse(problem: str) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        raise InputError(problem, file=path)

    return read


def _busy(path: Path) -> None:
    while True:
        try:
            sum(range(1000))
        except Exception:  # what a reader that catches everything would do
            continue


def _writes(path: Path) -> None:
    (path.parent / "evil").touch()


def _unnamed(path: Path) -> None:
    raise InputError("is bad")


def _crash(path: Path) -> None:
    raise KeyError("a")


def _large(path: Path) -> None:
    # Pages that this process has not had before: memory that was freed is given out again.
    with mmap.mmap(-1, 1 << 25) as fresh:
        fresh[::4096] = b"x" * (len(fresh) // 4096)


@pytest.mark.parametrize(
    ("read", "how"),
    [
        (lambda path: None, "answer"),
        (_refuse("is bad"), "error"),
        (_refuse("is\nbad"), "message not one line of text"),
        (_unnamed, "message names no file"),
        (_crash, "KeyError"),
        (_writes, "wrote outside"),
        (_busy, "too long"),
        (_large, "memory"),
    ],
)
def test_endings(
    read: Callable[[Path], Any], how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(case, "SECONDS", 0.2)
    monkeypatch.setattr(case, "MEMORY", 1 << 24)
    start = time.monotonic()
    assert ending_of(read, tmp_path) == how
    assert time.monotonic() - start < 60
