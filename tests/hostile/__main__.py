"""``python -m tests.hostile``: try the cases, and count how they ended."""

from __future__ import annotations

import argparse
import sys

from .count import run_all, table
from .registry import READERS


def main() -> int:
    """Exit code 1 if any case ended wrongly."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--cases", type=int, default=2000, help="how many in all, about")
    names = [reader.name for reader in READERS]
    parser.add_argument("--reader", action="append", choices=names, help="only of this one")
    parser.add_argument("--only", type=int, help="only the case of this number, of each reader")
    options = parser.parse_args()
    readers = [r for r in READERS if options.reader is None or r.name in options.reader]
    endings = run_all(readers, options.cases, only=options.only)
    for ending in endings:
        if not ending.right or options.only is not None:
            print(f"{ending.reader} {ending.case} {ending.label}: {ending.how}: {ending.message}")
    print(table(endings))
    return int(not all(ending.right for ending in endings))


if __name__ == "__main__":
    sys.exit(main())
