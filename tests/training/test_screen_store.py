"""Results of a screening that somebody has changed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from linegraph.errors import InputError
from training.screen.run import collect
from training.screen.store import Result, Store

FILE = Path("LiF.cif")
LEVELS = [
    {"dimension": d, "barrier_eV": 0.3, "low_eV": None, "high_eV": None, "directions": []}
    for d in (1, 2, 3)
]
PREDICTION: dict[str, Any] = {
    "formula": "LiF", "ion": "Li", "level": 0.9, "threshold_eV": 0.65, "hops": [],
    "percolation": LEVELS, "percolation_without_blocked": LEVELS, "model": {"calibrated": True},
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """With one result."""
    store = Store(tmp_path)
    store.write(FILE, Result(FILE.name, "0" * 64, {"read": 0.1}, PREDICTION, None))
    return store


def test_one_is_read(store: Store) -> None:
    (row,) = collect(store, [FILE, Path("none.cif")]).ranking
    assert row.levels[0].barrier == 0.3


def test_another_number_is_believed(store: Store) -> None:
    """There is no checksum: one's own run folder is trusted."""
    path = store.path(FILE)
    path.write_text(path.read_text().replace("0.3", "0.4"))
    assert collect(store, [FILE]).ranking[0].levels[0].barrier == 0.4


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"prediction": None}, "TypeError: neither a prediction nor a failure"),
        ({"prediction": {}}, "KeyError: 'hops'"),
        ({"prediction": {**PREDICTION, "percolation": LEVELS[:2]}}, "ValueError: not enough"),
        ({"prediction": {**PREDICTION, "percolation": [5, 5, 5]}}, "TypeError: 'int' object"),
        ({"prediction": {**PREDICTION, "model": [1]}}, "TypeError: list indices"),
        ({"file": 5}, "TypeError: something that is to be text is none"),
        ({"seconds": [1]}, "TypeError: seconds are no numbers"),
        ({"seconds": {"read": "1"}}, "TypeError: seconds are no numbers"),
        ({"failure": {"file": "a", "problem": None}}, "TypeError: something that is to be text"),
        ({"failure": {"file": "a", "more": "x"}}, "TypeError: .* unexpected keyword"),
    ],
)
def test_values_of_other_types(changes: dict[str, Any], problem: str, store: Store) -> None:
    path = store.path(FILE)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(InputError, match=rf"is no result of a structure \({problem}") as caught:
        collect(store, [FILE])
    assert caught.value.file == path


def test_nested_without_end(store: Store) -> None:
    store.path(FILE).write_text("[" * 100_000)
    with pytest.raises(InputError, match=r"is no result of a structure \(RecursionError"):
        store.read(FILE)


def test_a_pipe_is_not_waited_for(store: Store) -> None:
    store.path(FILE).unlink()
    os.mkfifo(store.path(FILE))
    with pytest.raises(InputError, match="is a pipe or a device"):
        store.read(FILE)
