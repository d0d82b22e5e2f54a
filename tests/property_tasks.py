"""What tests of the training step of properties share."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from tests.property_data import TINY_MPT, property_folder
from training.batches import Part
from training.graphs import GraphSet, build_graphs
from training.properties import Property, read_properties
from training.property_task import PropertyTask
from training.recipe import Recipe

RECIPE = Recipe(summary="").changed({**TINY_MPT, "model": "MPT", "balance": "none"})


class Known(NamedTuple):
    """The crystals of :mod:`tests.property_data` with values to train on.

    Attributes:
        properties: three.
        targets: ``[crystals, 3]``, NaN where unknown.
        graphs: of the crystals.
    """

    properties: list[Property]
    targets: Tensor
    graphs: GraphSet


@cache
def known() -> Known:
    with TemporaryDirectory() as folder:
        found = read_properties(property_folder(Path(folder) / "set"))
    targets = found.targets(held_out=False)
    rows = targets.isfinite().any(1).nonzero().flatten().tolist()
    crystals = [found.crystals[i] for i in rows]
    graphs = build_graphs(crystals, ("crystal",), RECIPE.graph_settings)
    return Known(found.properties, targets[rows], graphs)


class Sums(nn.Module):
    """Properties from the atoms of a crystal alone, without any statistics of the batch."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.last = nn.Linear(4, width)

    def forward(self, part: Part) -> Tensor:
        batch = part["crystal"]
        z = batch["z"].to(self.first.weight.dtype) / 10
        moments = torch.stack([z, z**2, torch.ones_like(z)], dim=1)
        sums = torch.zeros(batch.num_graphs, 3, dtype=z.dtype).index_add(0, batch.batch, moments)
        out: Tensor = self.last(nn.functional.silu(self.first(sums / 20)))
        return out


def task_of(
    model: nn.Module, steps: int = 10, targets: Tensor | None = None, **changes: Any
) -> PropertyTask:
    """A task on :func:`known`.

    Args:
        model: what is fitted.
        steps: of the whole run.
        targets: other ones.
        changes: of :data:`RECIPE`.
    """
    there = (known().targets if targets is None else targets).isfinite()
    return PropertyTask(model, RECIPE.changed(changes), steps, known().properties, there)
