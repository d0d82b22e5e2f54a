"""Batches that fit the memory: records per step, parts per batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler
from torch_geometric.data import Batch

from .graphs import GraphSet
from .recipe import Recipe

#: One pass: graphs by view, targets ``[B]`` in eV (NaN where unknown) and positions ``[B]``.
Part = dict[str, Any]


def bytes_per_triplet(recipe: Recipe) -> int:
    """Memory that one bond pair takes in a forward and backward pass in single precision.

    Per layer the angle features and the pre-activations are kept; the embedding keeps three
    narrow and two wide rows; the backward pass works on about four wide rows at a time.
    """
    wide = 2 * recipe.alignn_layers + 2 + 4
    narrow = 3 * recipe.embedding + 2 * 40
    return 4 * (wide * recipe.hidden + narrow) + 64


def triplet_budget(recipe: Recipe) -> int:
    """Bond pairs that one pass may have."""
    return max(1, int(recipe.memory_gib * 2**30) // bytes_per_triplet(recipe))


def split_evenly(positions: Sequence[int], sizes: Sequence[int], budget: int) -> list[list[int]]:
    """Part a batch so that no part exceeds the budget, with parts of about the same size.

    A record larger than the budget gets a part of its own. Order within a part is kept.

    Args:
        positions: the records of the batch.
        sizes: triplets of every record of the data set.
        budget: triplets a part may have.
    """
    alone = [[p] for p in positions if sizes[p] > budget]
    order = {p: i for i, p in enumerate(positions) if sizes[p] <= budget}
    count = max(1, -(-sum(sizes[p] for p in order) // budget))
    while True:
        parts: list[list[int]] = [[] for _ in range(count)]
        load = [0] * count
        for p in sorted(order, key=lambda p: (-sizes[p], p)):
            lightest = load.index(min(load))
            parts[lightest].append(p)
            load[lightest] += sizes[p]
        if max(load) <= budget:
            return alone + [sorted(part, key=order.__getitem__) for part in parts if part]
        count += 1


class EpochBatches(Sampler[list[list[int]]]):
    """Batches of record positions, each already parted to the budget.

    The order of an epoch depends on the seed and the epoch's number alone, so a run that is
    resumed continues as if it had never stopped.

    Args:
        positions: records to draw from.
        sizes: triplets of every record of the data set.
        batch_size: records per batch; the last batch may have fewer.
        budget: triplets per part.
        shuffle: draw the order anew each epoch.
        seed: of that order.
    """

    def __init__(
        self,
        positions: Sequence[int],
        sizes: Sequence[int],
        batch_size: int,
        budget: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
    ) -> None:
        self.positions = list(positions)
        self.sizes = sizes
        self.batch_size = batch_size
        self.budget = budget
        self.shuffle = shuffle
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.positions) // self.batch_size)

    def __iter__(self) -> Iterator[list[list[int]]]:
        order = self.positions
        if self.shuffle:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
            permutation = torch.randperm(len(order), generator=generator).tolist()
            order = [order[i] for i in permutation]
        for start in range(0, len(order), self.batch_size):
            yield split_evenly(order[start : start + self.batch_size], self.sizes, self.budget)


def collate(graphs: GraphSet, targets: Sequence[float | None], positions: Sequence[int]) -> Part:
    """One part of a batch: PyG batches by view, targets and positions."""
    part: Part = {
        view: Batch.from_data_list([graphs.graphs[p][view] for p in positions])
        for view in graphs.views
    }
    values = [targets[p] for p in positions]
    part["target"] = torch.tensor([float("nan") if v is None else v for v in values])
    part["position"] = torch.tensor(positions)
    return part


def loader(
    graphs: GraphSet, targets: Sequence[float | None], batches: EpochBatches, workers: int = 0
) -> DataLoader[list[Part]]:
    """A loader whose items are batches: lists of parts.

    Args:
        graphs: of the data set.
        targets: E_m in eV of every record, None where unknown.
        batches: which records, in which order.
        workers: processes that collate; 0 for none (graphs are in memory, collating is cheap).
    """
    return DataLoader(
        _Parts(graphs, targets),
        sampler=batches,
        batch_size=None,
        num_workers=workers,
        persistent_workers=workers > 0,
    )


class _Parts(torch.utils.data.Dataset[list[Part]]):
    def __init__(self, graphs: GraphSet, targets: Sequence[float | None]) -> None:
        self.graphs = graphs
        self.targets = targets

    def __getitem__(self, parts: Any) -> list[Part]:
        return [collate(self.graphs, self.targets, part) for part in parts]
