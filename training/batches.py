"""Batches that fit the memory: records per step, parts per batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch_geometric.data import Batch

from linegraph import CrystalGraph

from .graphs import GraphSet
from .recipe import Recipe
from .shards import Views

#: One pass: graphs by view, targets ``[B]`` in eV or ``[B, P]`` (NaN where unknown) and positions
#: ``[B]``.
Part = dict[str, Any]

#: Of every record one value (None or NaN where it is unknown), or a row of them.
Targets = Sequence[float | None] | Tensor


def bytes_per_triplet(recipe: Recipe) -> int:
    """Memory that one bond pair takes in a forward and backward pass.

    Per layer the angle features and, unless computed again, the pre-activations are kept; the
    embedding keeps narrow rows; the backward pass works on about three wide rows at a time.
    """
    layers = recipe.alignn_layers
    wide = (layers + 1 if recipe.recompute else 2 * layers) + 4
    narrow = 2 * recipe.embedding + 40
    # Mixed: two bytes for what is kept, and some of what is worked on in four.
    size = 3 if recipe.precision == "bf16-mixed" else 4
    return size * (wide * recipe.hidden + narrow) + 64


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


def shared_out(positions: Sequence[int], sizes: Sequence[int], shares: int) -> list[list[int]]:
    """Part a pass between processes, so that each has about the same work.

    The largest record goes first, always to who has least. As long as there are enough, each gets
    one. Order within a share is kept.

    Args:
        positions: the records of the pass.
        sizes: triplets of every record of the data set.
        shares: number of processes.
    """
    order = {p: i for i, p in enumerate(positions)}
    found: list[list[int]] = [[] for _ in range(shares)]
    load = [0] * shares
    for p in sorted(order, key=lambda p: (-sizes[p], p)):
        lightest = min(range(shares), key=lambda share: (load[share], len(found[share]), share))
        found[lightest].append(p)
        load[lightest] += sizes[p]
    return [sorted(share, key=order.__getitem__) for share in found]


class EpochBatches(Sampler[list[list[int]]]):
    """Batches of record positions, each already parted to the budget.

    The order of an epoch depends on the seed and the epoch's number alone, so a run that is
    resumed continues as if it had never stopped. Of several processes each gets a share of every
    part, which may be empty: together these are the batches of one process.

    Args:
        positions: records to draw from.
        sizes: triplets of every record of the data set.
        batch_size: records per batch; the last batch may have fewer.
        budget: triplets per part.
        shuffle: draw the order anew each epoch.
        seed: of that order.
        rank: number of this process.
        ranks: how many there are.
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
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self.positions = list(positions)
        self.sizes = sizes
        self.batch_size = batch_size
        self.budget = budget
        self.shuffle = shuffle
        self.seed = seed
        self.rank, self.ranks = rank, ranks
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch, and before a loader of a resumed run is asked.

        It has no effect on batches that are already being drawn, as loader processes draw ahead.
        """
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
            parts = split_evenly(order[start : start + self.batch_size], self.sizes, self.budget)
            if self.ranks > 1:
                parts = [shared_out(part, self.sizes, self.ranks)[self.rank] for part in parts]
            yield parts


def as_tensor(targets: Targets) -> Tensor:
    """Targets as a tensor ``[N]`` or ``[N, P]``, NaN where unknown."""
    if isinstance(targets, Tensor):
        return targets
    return torch.tensor([float("nan") if v is None else v for v in targets])


def collate(graphs: GraphSet, targets: Targets, positions: Sequence[int]) -> Part:
    """One part of a batch: PyG batches by view, targets and positions.

    Of no records the graphs are those of one structure without atoms, which models go through.
    """
    records = [graphs.graphs[p] for p in positions] or [_without_atoms(graphs.graphs[0])]
    part: Part = {
        view: Batch.from_data_list([record[view] for record in records]) for view in graphs.views
    }
    part["position"] = torch.tensor(positions, dtype=torch.int64)
    part["target"] = as_tensor(targets)[part["position"]]
    return part


def _without_atoms(record: Views) -> Views:
    """Graphs of the same kind as another record's, without atoms and bonds."""
    found = {}
    for view, graph in record.items():
        found[view] = CrystalGraph()
        for name, value in graph.to_dict().items():
            rows = 1 if name == "cell" else 0
            found[view][name] = value[:, :0] if name == "edge_index" else value[:rows]
    return found


def loader(
    graphs: GraphSet, targets: Targets, batches: EpochBatches, workers: int = 0
) -> DataLoader[list[Part]]:
    """A loader whose items are batches: lists of parts.

    Args:
        graphs: of the data set.
        targets: of every record.
        batches: which records, in which order.
        workers: processes that collate; 0 for none.
    """
    return DataLoader(
        _Parts(graphs, as_tensor(targets)),
        sampler=batches,
        batch_size=None,
        num_workers=workers,
        persistent_workers=workers > 0,
    )


class _Parts(torch.utils.data.Dataset[list[Part]]):
    def __init__(self, graphs: GraphSet, targets: Tensor) -> None:
        self.graphs = graphs
        self.targets = targets

    def __getitem__(self, parts: Any) -> list[Part]:
        return [collate(self.graphs, self.targets, part) for part in parts]
