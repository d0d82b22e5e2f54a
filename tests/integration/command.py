"""The command line as a function."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from pathlib import Path

from click.testing import CliRunner, Result

from cli import main

ROOT = Path(__file__).resolve().parents[2]


def linegraph(*words: object, code: int = 0) -> Result:
    """Run a command in this process; it must end with this exit code and without a traceback."""
    result = CliRunner().invoke(main, [str(word) for word in words])
    if result.exit_code != code or not isinstance(result.exception, SystemExit | None):
        info = "".join(traceback.format_exception(*result.exc_info)) if result.exc_info else ""
        raise AssertionError(f"exit code {result.exit_code}\n{result.output}\n{info}")
    assert "Traceback" not in result.output
    return result


def refused(*words: object) -> str:
    """The one line that a command ends with."""
    shown = linegraph(*words, code=2)
    lines = shown.stderr.splitlines()
    assert len(lines) == 1, shown.stderr
    assert lines[0].startswith("error: ")
    assert shown.stdout == ""
    return lines[0]


def assert_says(line: str, *words: object) -> None:
    for word in words:
        assert str(word) in line


def start(*words: object) -> subprocess.Popen[str]:
    """Start a command as a process of its own."""
    return subprocess.Popen(
        [sys.executable, ROOT / "cli.py", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "100"},
    )
