"""Cases in processes of their own, which may hang or die, and the table of how they ended."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from . import SECONDS
from .case import Ending, Reader

#: A process that says nothing for so long (s) hangs where no signal reaches it.
PATIENCE = 60 * SECONDS


def chosen(readers: Sequence[Reader], cases: int) -> dict[str, list[int]]:
    """Numbers of the cases of each reader: those made by hand, and its share of the others.

    Where those made by hand would be more than half, it is every second, third ... of them, the
    first one included.
    """
    every = ceil(2 * sum(len(reader.crafted) for reader in readers) / max(cases, 1))
    crafted = {r.name: list(range(0, len(r.crafted), max(every, 1))) for r in readers}
    left = max(0, cases - sum(map(len, crafted.values())))
    unit = left / sum(reader.share for reader in readers)
    return {
        r.name: [
            *crafted[r.name],
            *range(len(r.crafted), len(r.crafted) + round(unit * r.share)),
        ]
        for r in readers
    }


def run_all(readers: Sequence[Reader], cases: int, only: int | None = None) -> list[Ending]:
    """Try cases, each group of readers in a process.

    Args:
        readers: what to try.
        cases: how many in all, about.
        only: of each reader the case of this number alone.
    """
    numbers = chosen(readers, cases)
    found: dict[str, list[Ending]] = {}
    threads = []
    for group, members in groupby(sorted(readers, key=lambda r: r.group), key=lambda r: r.group):
        jobs = [
            (reader.name, number)
            for reader in members
            for number in ([only] if only is not None else numbers[reader.name])
        ]
        found[group] = []
        threads.append(Thread(target=_run_group, args=(jobs, found[group])))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    order = [reader.name for reader in readers]
    endings = [ending for group in found.values() for ending in group]
    return sorted(endings, key=lambda ending: (order.index(ending.reader), ending.case))


def _run_group(jobs: list[tuple[str, int]], found: list[Ending]) -> None:
    """Work through jobs; after one at which the process hangs or dies, with a new process."""
    while jobs:
        done = 0
        for ending in _process(jobs):
            found.append(ending)
            done += 1
            if os.environ.get("HOSTILE_STDERR"):
                print(ending, file=sys.stderr)
        if done < len(jobs):
            reader, number = jobs[done]
            found.append(Ending(reader, number, "", "the process died or hung", "", PATIENCE, 0))
        jobs = jobs[done + 1 :]


def _process(jobs: list[tuple[str, int]]) -> Iterator[Ending]:
    """A worker's endings as they come; ends early where it dies or hangs."""
    with TemporaryDirectory(prefix="hostile-") as folder:
        environment = {
            **os.environ,
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
            "TMPDIR": folder,
            "LINEGRAPH_CACHE": os.path.join(folder, "cache"),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "PYTHONFAULTHANDLER": "1",
        }
        worker = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.worker", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("HOSTILE_STDERR") else subprocess.DEVNULL,
            cwd=folder,
            env=environment,
        )
        assert worker.stdin is not None and worker.stdout is not None
        try:
            worker.stdin.write(json.dumps(jobs).encode() + b"\n")
            worker.stdin.close()
            with selectors.DefaultSelector() as selector:
                selector.register(worker.stdout, selectors.EVENT_READ)
                while selector.select(PATIENCE) and (line := worker.stdout.readline()):
                    yield Ending(**json.loads(line))
        finally:
            worker.kill()
            worker.wait()
            worker.stdout.close()


def as_line(ending: Ending) -> str:
    """For the pipe to the parent process."""
    return json.dumps(asdict(ending)) + "\n"


def table(endings: Sequence[Ending]) -> str:
    """Counts by reader, as a Markdown table."""
    lines = [
        "| reader | cases | clear error | right answer | anything else | longest (s) | most MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    by_reader: dict[str, list[Ending]] = {}
    for ending in endings:
        by_reader.setdefault(ending.reader, []).append(ending)
    for name, members in [*by_reader.items(), ("all", list(endings))]:
        how = Counter(ending.how if ending.right else "wrong" for ending in members)
        longest = max((e.seconds for e in members), default=0.0)
        most = max((e.memory for e in members), default=0) >> 20
        cells = (
            name,
            len(members),
            how["error"],
            how["answer"],
            how["wrong"],
            f"{longest:.1f}",
            most,
        )
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)
