"""Commands killed once or twice, gone on with, and compared with ones that nobody disturbed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .commands import Command
from .folders import contents, stage, unfinished
from .harness import Ended, Kill, Server

#: How often a kill that came too late is tried again.
_TRIES = 4


@dataclass
class Outcome:
    """What became of a command.

    Attributes:
        command: its name.
        seconds: that it takes when nobody disturbs it.
        kills: how many, by kind and by how far the run had come.
        again: runs that were killed a second time, after they were gone on with.
        left: files that were being written when a kill came.
        wrong: what should not have happened, in words.
    """

    command: str
    seconds: float
    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    again: int = 0
    left: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Kills in all."""
        return self.kills.total()


def try_command(
    server: Server, command: Command, folder: Path, seed: int, trials: int | None = None
) -> Outcome:
    """Kill a command at moments drawn by a seed.

    Args:
        server: runs it.
        command: which.
        folder: for its runs; is created.
        seed: of the moments.
        trials: runs that are killed; as many as the command says if None.
    """
    folder.mkdir()
    draw = random.Random(f"{seed} {command.name}")
    whole = _Trial(server, command, folder / "whole")
    ended = whole.go()
    assert ended.code == 0, ended.said
    renames = len(ended.renames)
    expected = contents(whole.run)
    outcome = Outcome(command.name, ended.seconds)
    for number in range(command.trials if trials is None else trials):
        how = command.ways[number % len(command.ways)]
        trial = _Trial(server, command, folder / f"trial-{number}")
        for _ in range(_TRIES):
            kill = Kill.drawn(draw, how, ended.seconds, renames)
            if trial.killed(kill, outcome):
                break
            trial = _Trial(server, command, folder / f"trial-{number}-{draw.randrange(10**9)}")
        if number % 2:
            kill = Kill.drawn(draw, "time", ended.seconds * 0.6, renames)
            outcome.again += trial.killed(kill, outcome, resume=True)
        trial.finish(expected, outcome)
    return outcome


@dataclass
class _Trial:
    """A run folder, and what is beside it."""

    server: Server
    command: Command
    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir()

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def beside(self) -> Path:
        return self.folder / "beside"

    def go(self, kill: Kill | None = None, resume: bool = False) -> Ended:
        words = [*self.command.words, "--out", self.run, *["--resume"] * resume]
        return self.server.run(words, self.run, self.beside, kill)

    def killed(self, kill: Kill, outcome: Outcome, resume: bool = False) -> bool:
        """Kill it, and look at what is there. Returns whether it was in time."""
        ended = self.go(kill, resume)
        where = f"{self.folder.name}, {kill.how} {kill.when:.3g}"
        if not ended.killed:
            if ended.code != 0:
                outcome.wrong.append(f"{where}: exit code {ended.code}: {_last(ended.said)}")
            return False
        outcome.kills[kill.how, stage(self.run)] += 1
        outcome.left += len(unfinished(self.folder))
        try:
            contents(self.run)
            contents(self.beside / "cache")
        except AssertionError as error:
            outcome.wrong.append(f"{where}: {error}")
        return True

    def finish(self, expected: dict[str, Any], outcome: Outcome) -> None:
        """Go on to the end, and compare."""
        ended = self.go(resume=True)
        if ended.code != 0:
            outcome.wrong.append(f"{self.folder.name}: exit code {ended.code}: {_last(ended.said)}")
            return
        found = contents(self.run)
        different = sorted(
            name for name in found.keys() | expected.keys()
            if found.get(name) != expected.get(name)
        )  # fmt: skip
        if different:
            outcome.wrong.append(f"{self.folder.name}: other {', '.join(different)}")
        left = unfinished(self.folder)
        if left:
            outcome.wrong.append(f"{self.folder.name}: left {', '.join(map(str, left))}")


def table(outcomes: Sequence[Outcome]) -> str:
    """Counts of all commands, as Markdown."""
    return "\n".join(_rows(outcomes))


def _rows(outcomes: Sequence[Outcome]) -> Iterator[str]:
    stages = sorted({stage for one in outcomes for _, stage in one.kills})
    header = ("command", "alone (s)", "kills", "twice", *stages, "half-written", "went wrong")
    yield f"| {' | '.join(header)} |"
    yield "|" + " --- |" * len(header)
    for one in outcomes:
        by_stage = [sum(n for (_, s), n in one.kills.items() if s == stage) for stage in stages]
        cells = (
            one.command, f"{one.seconds:.1f}", one.count, one.again, *by_stage, one.left,
            len(one.wrong),
        )  # fmt: skip
        yield f"| {' | '.join(map(str, cells))} |"
    ways = Counter[str]()
    for one in outcomes:
        for (how, _), number in one.kills.items():
            ways[how] += number
    words = ", ".join(f"{number} {how}" for how, number in sorted(ways.items()))
    total, wrong = sum(one.count for one in outcomes), sum(len(one.wrong) for one in outcomes)
    yield ""
    yield f"{total} kills ({words}), {wrong} went wrong"


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["nothing was said"])[-1]
