"""Barriers, or properties, from a trained model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from linegraph import InputError
from linegraph.devices import usable_device

from .batches import EpochBatches, loader
from .graphs import GraphSet

#: Bond pairs in one forward pass: no gradients are kept, so this is a matter of speed, not memory.
BUDGET = 200_000


def passes(
    graphs: GraphSet, positions: Sequence[int], where: torch.device
) -> Iterator[tuple[list[int], dict[str, Any]]]:
    """Records in batches of a size that a forward pass without gradients takes.

    Args:
        graphs: of all records.
        positions: of those wanted.
        where: device of the batches.

    Yields:
        Positions, and PyG batches of their graphs by view.
    """
    batches = EpochBatches(positions, graphs.triplets, batch_size=64, budget=BUDGET)
    for parts in loader(graphs, [None] * len(graphs.graphs), batches):
        for part in parts:
            views = {view: part[view].to(where) for view in graphs.views}
            yield part["position"].tolist(), views


def predict(
    model: nn.Module,
    graphs: GraphSet,
    positions: Sequence[int] | None = None,
    device: str = "cpu",
) -> list[float]:
    """Barriers in eV of some records, in the order of ``positions`` (all records if None).

    Raises:
        InputError: a prediction is NaN or infinite.
    """
    values: list[float] = outputs(model, graphs, positions, device).tolist()
    return values


def outputs(
    model: nn.Module,
    graphs: GraphSet,
    positions: Sequence[int] | None = None,
    device: str = "cpu",
) -> Tensor:
    """What the model says of some records: ``[n]``, or ``[n, P]`` of a model with P outputs.

    Raises:
        InputError: an output is NaN or infinite.
    """
    positions = range(len(graphs.graphs)) if positions is None else positions
    found: dict[int, Tensor] = {}
    where = torch.device(usable_device(device))
    model = model.to(where).eval()
    with torch.inference_mode():
        for members, views in passes(graphs, positions, where):
            found.update(zip(members, model(views).cpu(), strict=True))
    for position, value in found.items():
        if not torch.isfinite(value).all():
            raise InputError(f"the prediction is {value.tolist()}", record=position)
    return torch.stack([found[p] for p in positions]) if found else torch.empty(0)
