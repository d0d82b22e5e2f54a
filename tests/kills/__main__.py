"""``python -m tests.kills``: kill commands, go on with them, and count how it ended."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from .commands import commands
from .harness import Server
from .trials import table, try_command


def main() -> int:
    """Exit code 1 if anything went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    parser.add_argument("--command", action="append", help="only this, named as in the table")
    parser.add_argument("--trials", type=int, help="runs of each that are killed")
    parser.add_argument("--keep", type=Path, help="a new folder for all runs")
    options = parser.parse_args()
    with TemporaryDirectory() as temporary, Server() as server:
        folder = options.keep or Path(temporary) / "kills"
        outcomes = []
        for number, command in enumerate(commands(folder)):
            if options.command and command.name not in options.command:
                continue
            outcome = try_command(
                server, command, folder / f"command-{number}", options.seed, options.trials
            )
            print(f"{command.name}: {outcome.count} kills", file=sys.stderr)
            for words in outcome.wrong:
                print(f"{command.name}: {words}", file=sys.stderr)
            outcomes.append(outcome)
    print(table(outcomes))
    return int(any(outcome.wrong for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
