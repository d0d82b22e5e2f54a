"""A warm process: for each order it forks one that runs a command, and says how that ended.

Imports take longer than the commands, which are killed by the dozen. Orders are lines of JSON on
standard input; for each come two lines, the number of the process and its exit code.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

#: What the commands would import themselves.
WARM = (
    "cli", "lightning.pytorch", "matplotlib.backends.backend_agg", "sklearn.ensemble", "spglib",
    "tests.training.neb_calculators", "training.baselines.run", "training.checkpoints",
    "training.ensembles", "training.neb.run", "training.pretrain", "training.screen.run",
    "training.train",
)  # fmt: skip


def serve() -> None:
    """Until standard input ends."""
    for name in WARM:
        importlib.import_module(name)
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _run(**json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _run(
    words: list[str], said: str, cache: str, renames: str, shard: int,
    at: int, after: bool, full_from: int | None,
) -> None:  # fmt: skip
    """Run a command as a process group of its own; never returns.

    Args:
        words: of the command line.
        said: a named pipe for what it prints.
        cache: of graphs and features.
        renames: a named pipe that gets the name of each file that takes its place.
        shard: records in a file of graphs.
        at: be killed at this rename, counted from 1; 0 for none.
        after: right after it, not right before.
        full_from: after so many renames no file can be written any more; None for never.
    """
    os.setsid()
    print(os.getpid(), flush=True)
    output = os.open(said, os.O_WRONLY)
    for number, file in ((0, os.open(os.devnull, os.O_RDONLY)), (1, output), (2, output)):
        os.dup2(file, number)
    os.environ["LINEGRAPH_CACHE"] = cache
    _watch_renames(os.open(renames, os.O_WRONLY), at, after, full_from)
    import cli
    import training.graphs

    training.graphs.SHARD = shard
    cli.main(words)


def _watch_renames(note: int, at: int, after: bool, full_from: int | None) -> None:
    replace, seen = os.replace, [0]

    def noted(source: Any, target: Any, **how: Any) -> None:
        seen[0] += 1
        if seen[0] == at and not after:
            os.killpg(0, signal.SIGKILL)
        replace(source, target, **how)
        if seen[0] == at:
            os.killpg(0, signal.SIGKILL)
        os.write(note, f"{Path(target).name}\n".encode())
        if seen[0] == full_from:
            _fill()

    os.replace = noted  # type: ignore[assignment]
    if full_from == 0:
        _fill()


def _fill() -> None:
    """From now on a file that is longer than a few words cannot be written."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, resource.RLIM_INFINITY))


if __name__ == "__main__":
    serve()
