"""Passes of whole models over batches: what is run, and what is compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import linegraph
from linegraph import CrystalGraph, use_backend
from linegraph.transforms import line_weights

from .compare import Side
from .graphs import batch_of, literal_batch
from .sides import ON_LITERAL

FLOAT32, TF32, BF16 = "float32", "tf32", "bf16"

#: Published width between the bases and the hidden features; no wider than those.
EMBEDDING = 64


class Batches:
    """The same structures in batches of our graphs and of the literal ones, made when needed."""

    def __init__(self, graphs: Sequence[CrystalGraph], size: int, device: str) -> None:
        self.graphs = list(graphs)
        self._chunks = [self.graphs[i : i + size] for i in range(0, len(self.graphs), size)]
        self._device = device
        self.ours = cache(lambda: [self._moved(batch_of(chunk)) for chunk in self._chunks])
        self.literal = cache(lambda: [self._moved(literal_batch(chunk)) for chunk in self._chunks])

    @property
    def sizes(self) -> dict[str, float]:
        """For the table: structures, distinct and literal triplets."""
        return {
            "structures": len(self.graphs),
            "triplets": sum(graph.num_triplets for graph in self.graphs),
            "literal": sum(map(literal_triplets, self.graphs)),
        }

    def of(self, side: str) -> Callable[[], list[Any]]:
        """What gives the batches of a side."""
        return self.literal if side in ON_LITERAL else self.ours

    def triplets(self, sides: Iterable[Side]) -> dict[str, int]:
        """Triplets that each side has at once: of the largest batch."""
        distinct = max(sum(graph.num_triplets for graph in chunk) for chunk in self._chunks)
        literal = max(sum(map(literal_triplets, chunk)) for chunk in self._chunks)
        return {side.name: literal if side.name in ON_LITERAL else distinct for side in sides}

    def _moved(self, batch: Any) -> Any:
        return batch.to(self._device)


class Found(NamedTuple):
    """Results of a pass, outputs and gradients each on their own scale."""

    outputs: list[Tensor]
    gradients: list[Tensor]


class Pass:
    """One pass of a model over all batches.

    With ``backward``, in training mode, gradients add up over the batches, as of a loss that is a
    sum over structures with fixed weights. Without, in evaluation mode and without gradients.

    Args:
        model: gives the model; called when it is first needed.
        batches: gives the batches, likewise.
        backend: name for :func:`linegraph.use_backend`.
        backward: which of the two.
        precision: of matrix products and storage.
    """

    def __init__(
        self,
        model: Callable[[], nn.Module],
        batches: Callable[[], list[Any]],
        backend: str,
        backward: bool,
        precision: str = FLOAT32,
    ) -> None:
        self.model, self.batches, self.backend = model, batches, backend
        self.backward, self.precision = backward, precision

    def __call__(self) -> Found:
        model, batches = self.model(), self.batches()
        device = batches[0]["z"].device
        model.train(self.backward)
        model.zero_grad(set_to_none=True)
        outputs = []
        with use_backend(self.backend), torch.set_grad_enabled(self.backward):
            for batch in batches:
                with in_precision(self.precision, device.type):
                    out = model(batch)
                    if self.backward:
                        (out.float() * loss_weights(out)).sum().backward()
                outputs.append(out.detach().float())
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        return Found([torch.cat(outputs)], gradients)


def loss_weights(out: Tensor) -> Tensor:
    """Fixed numbers of either sign, one for each output."""
    count = torch.arange(out.numel(), device=out.device).reshape(out.shape)
    return torch.cos(1.0 + count.float())


@contextmanager
def in_precision(name: str, device: str) -> Iterator[None]:
    """Matrix products in float32, TF32 (of GPUs that have it), or autocast to bfloat16."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if name == TF32 else "highest")
    try:
        with torch.autocast(device, dtype=torch.bfloat16, enabled=name == BF16):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def new_model(name: str, hidden: int, device: str, batch: Any | None = None) -> nn.Module:
    """A published model of some width with seeded weights.

    Args:
        name: see :func:`linegraph.models`.
        hidden: width; embeddings are no wider.
        device: where it works.
        batch: the running statistics are moved to those of this batch; for evaluation mode.
    """
    torch.manual_seed(0)
    model = linegraph.build_model(name, hidden=hidden, embedding=min(hidden, EMBEDDING)).to(device)
    if batch is not None:
        norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm1d)]
        for norm in norms:
            norm.momentum = 1.0
        with torch.no_grad():
            model.train()(batch)
        for norm in norms:
            norm.momentum = 0.1
    return model


def literal_triplets(graph: CrystalGraph) -> int:
    """Triplets of the reference's graph."""
    return int(line_weights(graph["multiplicity"], graph["line_index"])[1].sum())
