"""The process in which cases are run: jobs on standard input, endings on standard output."""

from __future__ import annotations

import json
import os
import resource
import sys
import warnings
from pathlib import Path
from shutil import rmtree

from . import MEMORY
from .case import run
from .count import as_line
from .registry import READERS


def main(folder: Path) -> None:
    """Work through the jobs within a folder."""
    jobs = json.loads(sys.stdin.readline())
    # Whatever libraries print is not for the parent.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    readers = {reader.name: reader for reader in READERS}
    warnings.simplefilter("ignore")
    for name in {name for name, _ in jobs}:
        _warm(name, folder)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + 2 * MEMORY, hard))
    cases = folder / "cases"
    cases.mkdir()
    for name, number in jobs:
        ending = run(readers[name], number, cases)
        out.write(as_line(ending))
        out.flush()
        rmtree(cases / f"case-{number}", ignore_errors=True)


def _warm(name: str, folder: Path) -> None:
    """Import what a reader needs, and make its originals, before memory is counted."""
    reader = next(reader for reader in READERS if reader.name == name)
    home = folder / "warm"
    home.mkdir()
    run(reader, 0, home)
    rmtree(home)


def _address_space() -> int:
    with open("/proc/self/statm", encoding="ascii") as status:
        return int(status.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
