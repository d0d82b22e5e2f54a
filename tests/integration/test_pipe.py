"""Output that nobody reads to the end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_reader_that_stops_early_is_no_fault_of_ours() -> None:
    script = "import sys; sys.argv = ['cli', 'recipes', 'small'] ; import cli; cli.main()"
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    # Closed before anything is written: the first line already meets a broken pipe.
    process.stdout.close()
    errors = process.stderr.read()
    process.wait(timeout=60)
    process.stderr.close()
    assert "internal error" not in errors
    assert "Traceback" not in errors
