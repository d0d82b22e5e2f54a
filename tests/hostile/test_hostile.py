"""Files from strangers end in a clear error or in a right answer: every case, of every reader."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from .case import Ending
from .count import chosen, run_all, table
from .registry import READERS

pytest.importorskip("ase", reason="trajectories need ASE")
pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="limits are set, and memory is read, as on Linux"
)

#: Cases tried by default, about. ``pytest -m slow`` tries the others.
CASES = 300
MORE = 2500


def wrong(endings: list[Ending]) -> list[str]:
    """Those that ended in any other way, to be tried again by ``--only``."""
    return [
        f"--reader {e.reader!r} --only {e.case} {e.label}: {e.how}: {e.message}"
        for e in endings
        if not e.right
    ]


@pytest.fixture(scope="module")
def endings() -> list[Ending]:
    """Of the cases that are tried by default."""
    return run_all(READERS, CASES)


@pytest.mark.parametrize("reader", [reader.name for reader in READERS])
def test_each_case_ends_in_an_error_or_a_right_answer(reader: str, endings: list[Ending]) -> None:
    own = [ending for ending in endings if ending.reader == reader]
    assert [ending.case for ending in own] == chosen(READERS, CASES)[reader]
    assert wrong(own) == []


def test_both_endings_are_met(endings: list[Ending]) -> None:
    """Of readers with cases made by hand the first one is untouched, and read."""
    first = {e.reader: e for e in endings if e.label.startswith("untouched")}
    assert len(first) >= 7
    assert {e.how for e in first.values()} == {"answer"}
    assert Counter(e.how for e in endings)["error"] > len(endings) / 2
    assert f"| all | {len(endings)} |" in table(endings)


def test_page_on_safety_has_every_reader() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "safety.md"
    (table_,) = re.findall(r"^\| reader \|.*?\n\n", page.read_text(), re.M | re.S)
    rows = re.findall(r"^\| ([^|]+) \| \d", table_, re.M)
    assert rows == [*(reader.name for reader in READERS), "all"]


@pytest.mark.slow
def test_more_cases() -> None:
    endings = run_all(READERS, MORE)
    assert len(endings) >= 2000
    numbers = chosen(READERS, MORE)
    for reader in READERS:
        assert set(range(len(reader.crafted))) <= set(numbers[reader.name])
    assert wrong(endings) == []
    print(table(endings))
