"""Runs that go on with loader processes, which ask for batches before an epoch begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from linegraph.models import Model
from tests.bands import TINY, some_bands
from tests.interrupts import interrupted
from training.callbacks import read_history
from training.fit import Machine, fit
from training.graphs import GraphSet, build_graphs
from training.recipe import Recipe
from training.splits import Split

RECIPE = Recipe(summary="").changed({**TINY, "epochs": 4, "lr": 0.05, "keep": "last"})
SPLIT = Split(train=[0, 1, 2, 3, 4, 5, 6, 7], val=[8, 9], test=[10, 11])
TARGETS = [band.target for band in some_bands()]


@pytest.fixture(scope="module")
def graphs() -> GraphSet:
    return build_graphs(some_bands(), ("band",), RECIPE.graph_settings)


def run(folder: Path, graphs: GraphSet, workers: int, *, resume: bool = False) -> Model:
    folder.mkdir(exist_ok=True)
    machine = Machine("cpu", workers=workers, progress=False)
    return fit(folder, RECIPE, graphs, TARGETS, SPLIT, machine, resume=resume)


def rows(folder: Path) -> list[dict[str, Any]]:
    """Of the history, without clocks."""
    every = read_history(folder / "history.csv")
    return [{key: value for key, value in row.items() if key != "seconds"} for row in every]


@pytest.fixture(scope="module")
def whole(graphs: GraphSet, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Model]:
    """A run in one process that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, run(folder, graphs, 0)


@pytest.mark.filterwarnings("ignore:.*will create .* worker processes")
@pytest.mark.parametrize(("workers", "epoch"), [(0, 2), (1, 1), (2, 2)])
def test_the_epoch_to_go_on_with_has_its_own_batches(
    workers: int, epoch: int, graphs: GraphSet, whole: tuple[Path, Model], tmp_path: Path
) -> None:
    """Not those of the first epoch, which a loader that does not know the epoch hands out."""
    folder, model = whole
    with interrupted(epoch), pytest.raises(KeyboardInterrupt):
        run(tmp_path, graphs, workers)
    assert rows(tmp_path) == rows(folder)[:epoch]
    resumed = run(tmp_path, graphs, workers, resume=True)
    assert rows(tmp_path) == rows(folder)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
