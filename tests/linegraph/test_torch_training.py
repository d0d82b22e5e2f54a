"""Models in training loops of torch: averaged weights, several processes."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import update_bn
from torch_geometric.data import Batch

import linegraph

from ..crystals import random_cell

CLOSE: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-10}


@pytest.fixture(scope="module")
def batches() -> list[Any]:
    graphs = [linegraph.crystal_graph(random_cell(seed, atoms=3)) for seed in range(4)]
    views = [linegraph.LineGraph()(graph) for graph in graphs]
    return [Batch.from_data_list(views[:2]), Batch.from_data_list(views[2:])]


def model() -> Any:
    torch.manual_seed(0)
    sizes = {"hidden": 8, "alignn_layers": 2, "conv_layers": 1, "embedding": 8, "head": 8}
    return linegraph.build_model("MODEL-3", **sizes).double()


def test_update_bn_of_a_model(batches: list[Any]) -> None:
    """Statistics of a norm after it are the mean of those of the batches."""
    found, single = model(), []
    update_bn(batches, found)
    name = "trunk.alignn_layers.1.bond_conv.norm_nodes"
    for batch in batches:
        one = model()
        update_bn([batch], one)
        single.append(one.get_submodule(name))
    norm = found.get_submodule(name)
    for key in ("running_mean", "running_var"):
        mean = sum(getattr(one, key) for one in single) / len(single)
        torch.testing.assert_close(getattr(norm, key), mean, **CLOSE)
    assert norm.momentum == 0.1


@pytest.fixture
def one_process(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1
    )
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("option", [None, "find_unused_parameters", "static_graph"])
def test_distributed_data_parallel(
    option: str | None, batches: list[Any], one_process: None
) -> None:
    """Parameters that reach no output have to be looked for."""
    alone = model()
    options: dict[str, Any] = {option: True} if option else {}
    both = DistributedDataParallel(copy.deepcopy(alone), **options)

    def steps(of: nn.Module) -> None:
        optimizer = torch.optim.SGD(of.parameters(), 0.01)
        for batch in (*batches, batches[0]):
            optimizer.zero_grad()
            of(batch).square().sum().backward()
            optimizer.step()

    if option is None:
        with pytest.raises(RuntimeError, match="finished reduction"):
            steps(both)
        return
    steps(both)
    steps(alone)
    for ours, theirs in zip(both.module.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, **CLOSE)
