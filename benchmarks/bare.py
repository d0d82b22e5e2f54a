"""Workloads with torch and torch-geometric alone.

    python -m benchmarks.bare WORKLOAD ... --data FILE

The command ``benchmark`` for a machine without the packages that training needs: FILE is one of
:mod:`benchmarks.cache_graphs`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run workloads, print their reports and write them; the exit status."""
    parser = argparse.ArgumentParser(prog="benchmarks.bare", description=__doc__)
    parser.add_argument("workloads", nargs="+", metavar="WORKLOAD")
    parser.add_argument("--data", type=Path, help="file of graphs")
    parser.add_argument("--out", type=Path, help="folder for a .md and .json of each")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--quick", action="store_true", help="the smallest sizes only")
    parser.add_argument("--hidden", type=int, help="width of the models")
    parser.add_argument("--seconds", type=float, default=10.0, help="for the rounds of a case")
    words = parser.parse_args(arguments)
    # As cli.py does; PyTorch reads it when it is loaded.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    import torch

    from linegraph import InputError

    from .compare import DifferenceError, Options
    from .job import run
    from .registry import load_workload

    if words.device == "cuda" and not torch.cuda.is_available():
        parser.error("no CUDA device is available here")
    note = partial(print, file=sys.stderr, flush=True)
    options = Options(words.data, words.device, words.quick, words.hidden, words.seconds)
    for name in words.workloads:
        try:
            text, numbers = run(load_workload(name), options, note)
        except (InputError, DifferenceError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        print(text, flush=True)
        if words.out is not None:
            words.out.mkdir(parents=True, exist_ok=True)
            (words.out / f"{name}.md").write_text(text, encoding="utf-8")
            (words.out / f"{name}.json").write_text(json.dumps(numbers, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
