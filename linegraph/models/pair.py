"""Models of the two ends of a path: MODEL-1, MODEL-2 and the SCRATCH forms of MODEL-1."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..nn import ALIGNN, ALIGNNStack, Merge
from ..nn.pool import mean_over_atoms
from .base import Model


class PairModel(Model):
    """One trunk on the initial and the final structure; merge; head.

    Args:
        trunk: a trunk, the same for both.
        merge: how the two vectors become one.
        head: ``[B, merge.channels]`` to ``[B]``.

    Shapes:
        - input: mapping with batches under ``"initial"`` and ``"final"``
        - output: ``[B]``, migration barriers in eV

    Source: MODEL-1 of arXiv:2508.06436.
    """

    views = ("initial", "final")

    def __init__(self, trunk: ALIGNN, merge: Merge, head: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.merge = merge
        self.head = head

    def forward(self, batch: Any) -> Tensor:
        initial, final = self.seen(batch)
        out: Tensor = self.head(self.merge(self.trunk(initial), self.trunk(final)))
        return out


class DifferenceModel(Model):
    """Trunk on the initial structure, and what a short trunk sees change from end to end.

    The short trunk shares the embeddings and has layers of its own.

    Args:
        trunk: a trunk.
        short: layers of the short trunk.
        merge: how the vector of the initial structure and the difference become one.
        head: ``[B, merge.channels]`` to ``[B]``.

    Shapes:
        - input: mapping with batches under ``"initial"`` and ``"final"``
        - output: ``[B]``, migration barriers in eV

    Source: MODEL-2 of arXiv:2508.06436.
    """

    views = ("initial", "final")

    def __init__(self, trunk: ALIGNN, short: ALIGNNStack, merge: Merge, head: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.short = short
        self.merge = merge
        self.head = head

    def forward(self, batch: Any) -> Tensor:
        initial, final = self.seen(batch)
        # The embeddings run once per branch and in this order, as running statistics note.
        after = self._short(final)
        difference = self._short(initial) - after
        out: Tensor = self.head(self.merge(self.trunk(initial), difference))
        return out

    def _short(self, graph: Any) -> Tensor:
        return mean_over_atoms(self.short(self.trunk.embed(graph)), graph)
