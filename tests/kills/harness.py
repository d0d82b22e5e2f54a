"""Processes that run commands, and ways to kill them."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]

#: Seconds after which a command hangs.
PATIENCE = 300.0


@dataclass(frozen=True)
class Kill:
    """When a command is killed.

    Attributes:
        how: ``time``: after so many seconds; ``write``: when so many files have been seen being
            written; ``before`` and ``after``: at the renaming of the file of this number.
        when: seconds, or a number counted from 1.
    """

    how: str
    when: float

    @property
    def at_rename(self) -> bool:
        """Whether the process itself sees to it."""
        return self.how in ("before", "after")

    @classmethod
    def drawn(cls, draw: random.Random, how: str, seconds: float, renames: int) -> Kill:
        """A moment of a run that takes so long and writes so many files when nobody disturbs it."""
        if how == "time":
            return cls(how, draw.uniform(0, seconds))
        return cls(how, draw.randint(1, max(1, renames)))


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: its exit code, negative for the signal that ended it.
        seconds: how long it ran.
        said: what it printed.
        renames: names of the files that took their places in it, in order.
    """

    code: int
    seconds: float
    said: str
    renames: list[str]

    @property
    def killed(self) -> bool:
        """Whether the kill came before its end."""
        return self.code == -signal.SIGKILL


@dataclass
class Server:
    """The warm process of :mod:`tests.kills.server`; a context manager.

    Attributes:
        shard: records in a file of the graph cache.
    """

    shard: int = 5
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _pipes: dict[str, int] = field(default_factory=dict, init=False)
    _began: float = field(default=0.0, init=False)

    def __enter__(self) -> Server:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kills.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Nothing may wait in a buffer where select does not see it.
            bufsize=0,
            cwd=ROOT,
            env={**os.environ, "COLUMNS": "100", "OMP_NUM_THREADS": "1"},
        )
        assert self._line() == "ready"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        assert self._process is not None
        self._process.kill()
        self._process.communicate()

    def run(
        self,
        words: Sequence[object],
        run: Path,
        beside: Path,
        kill: Kill | None = None,
        *,
        full_from: int | None = None,
    ) -> Ended:
        """Run a command to its end, or to a kill of its whole process group.

        Args:
            words: of the command line.
            run: its run folder, which is watched.
            beside: a folder for its caches and pipes.
            kill: when.
            full_from: after so many files have taken their places no more can be written; None for
                never.
        """
        group = self.begin(words, beside, kill, full_from=full_from)
        if kill is not None and not kill.at_rename:
            if kill.how == "time":
                self._ended_within(kill.when)
            else:
                self._until_written((run, beside / "cache"), int(kill.when))
            _kill(group)
        return self.end(group)

    def begin(
        self,
        words: Sequence[object],
        beside: Path,
        kill: Kill | None = None,
        *,
        full_from: int | None = None,
    ) -> int:
        """Start a command; returns the number of its process, and process group."""
        assert self._process is not None and self._process.stdin is not None
        beside.mkdir(exist_ok=True)
        self._pipes = {name: _pipe(beside / name) for name in ("said", "renames")}
        order = {
            "words": [str(word) for word in words],
            **{name: str(beside / name) for name in ("said", "renames", "cache")},
            "shard": self.shard,
            "at": int(kill.when) if kill is not None and kill.at_rename else 0,
            "after": kill is not None and kill.how == "after",
            "full_from": full_from,
        }
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        group = int(self._line())
        self._began = time.monotonic()
        return group

    def end(self, group: int) -> Ended:
        """Wait for the end of the command that was started."""
        if not self._ended_within(PATIENCE):
            _kill(group)
            raise AssertionError(f"hangs; it said {self._read('said')!r}")
        code = int(self._line())
        seconds = time.monotonic() - self._began
        # Helpers of a process that has ended, however it has, are not to meet those of the next.
        _kill(group)
        return Ended(code, seconds, self._read("said"), self._read("renames").splitlines())

    def _read(self, name: str) -> str:
        """What was written to a pipe, once nobody can write to it any more.

        Helpers that were killed take a moment to die, and the pipe is open until then.
        """
        until, parts = time.monotonic() + PATIENCE, []
        with open(self._pipes.pop(name), "rb", buffering=0) as stream:
            while (part := stream.read()) != b"":
                assert time.monotonic() < until, f"a helper outlives its command, {name} is open"
                parts.append(part or b"")
                if part is None:
                    time.sleep(0.01)
        return b"".join(parts).decode()

    def _line(self) -> str:
        assert self._process is not None and self._process.stdout is not None
        assert self._ended_within(PATIENCE), "the server hangs"
        return self._process.stdout.readline().decode().strip()

    def _ended_within(self, seconds: float) -> bool:
        assert self._process is not None and self._process.stdout is not None
        return bool(select.select([self._process.stdout], [], [], seconds)[0])

    def _until_written(self, folders: Sequence[Path], number: int) -> None:
        """Until so many files were seen being written there, or the process has ended."""
        seen: set[str] = set()
        until = time.monotonic() + PATIENCE
        while len(seen) < number and time.monotonic() < until and not self._ended_within(0):
            for folder in folders:
                for _, _, names in os.walk(folder):
                    seen.update(name for name in names if name.startswith(".partial-"))


def _pipe(path: Path) -> int:
    """A named pipe that can be written to: a file could not be where the disk is full."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK)


def _kill(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
    until = time.monotonic() + 10
    while time.monotonic() < until:
        # The process itself is waited for by the server; its helpers by whoever adopts them.
        if not any(state not in "ZX" for state in _states(group)):
            return
        time.sleep(0.005)


def _states(group: int) -> list[str]:
    """States of the processes of a group, as the kernel has them."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            found.append(fields[0])
    return found
