"""Attention read-out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..kernels import Segments
from .graph_input import as_data
from .pool import mean_over_atoms

#: Scores computed at once (elements of the padded [structures, heads, n, n] block).
BLOCK = 1 << 24


class AttentionReadout(nn.Module):
    r"""One vector per structure: the mean over its atoms, and what attention adds to it.

    .. math::
        q, k, v &= \mathrm{ReLU}(\mathrm{Linear}(x)) \\
        a_i &= \mathrm{softmax}_i \sum_j \tanh(k_i \cdot q_j) \\
        o &= \mathrm{LayerNorm}\Bigl(\frac{1}{n}\sum_i x_i + \sum_i a_i v_i\Bigr)

    over the atoms of one structure. Structures of about one size are padded and scored together,
    few enough at a time that their ``[n, n]`` scores fit into memory.

    Args:
        hidden: width H.
        heads: parts of q, k and v that attend on their own. The published code names four but
            computes with one, which is the default here.
        dropout: of the weights ``a``, while training.

    Shapes:
        - x ``[N, H]``, graph: the batch the atoms belong to, in any order
        - output ``[B, H]``

    Source: MODEL-4 of Devi, Butler and Sai Gautam, arXiv:2508.06436.
    """

    def __init__(self, hidden: int, heads: int = 1, dropout: float = 0.2) -> None:
        super().__init__()
        if hidden % heads:
            raise ValueError(f"{heads} heads do not divide {hidden} channels")
        self.heads = heads
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(hidden, hidden)
        self.value = nn.Linear(hidden, hidden)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(hidden)

    def forward(self, x: Tensor, graph: Any) -> Tensor:
        graph = as_data(graph)
        batch = getattr(graph, "batch", None)
        if batch is None:
            batch = x.new_zeros(x.size(0), dtype=torch.long)
        order, ptr = Segments.of(batch, getattr(graph, "num_graphs", None) or 1)
        starts, sizes = ptr[:-1], ptr.diff()
        query, key, value = (F.relu(part(x)) for part in (self.query, self.key, self.value))
        attended = torch.zeros_like(sizes[:, None] * x[:1])
        for members in _chunks(sizes.tolist(), self.heads):
            chosen = torch.tensor(members, device=x.device)
            atom = torch.arange(int(sizes[chosen].max()), device=x.device)
            mask = atom < sizes[chosen, None]
            rows = (starts[chosen, None] + atom).clamp_max(x.size(0) - 1)
            rows = rows if order is None else order[rows]
            out = self._attend(query[rows], key[rows], value[rows], mask)
            attended = attended.index_copy(0, chosen, out)
        readout: Tensor = self.norm(mean_over_atoms(x, graph) + attended)
        return readout

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        """Padded ``[b, n, H]`` and mask ``[b, n]`` to ``[b, H]``."""
        query, key, value = (
            part.view(*part.shape[:2], self.heads, -1).transpose(1, 2)
            for part in (query, key, value)
        )
        scores = torch.tanh(key @ query.transpose(-1, -2))
        total = (scores * mask[:, None, None]).sum(-1)
        weights = total.masked_fill(~mask[:, None], -torch.inf).softmax(-1)
        out: Tensor = self.dropout(weights)[:, :, None] @ value
        return out.flatten(1)


def _chunks(sizes: list[int], heads: int) -> list[list[int]]:
    """Structures that are scored together: of similar size, and few enough."""
    order = sorted((i for i, n in enumerate(sizes) if n), key=lambda i: -sizes[i])
    chunks: list[list[int]] = []
    for i in order:
        # The first of a chunk is the largest, which the others are padded to.
        largest = sizes[chunks[-1][0]] if chunks else 0
        if (
            not chunks
            or (len(chunks[-1]) + 1) * heads * largest**2 > BLOCK
            or 2 * sizes[i] < largest
        ):
            chunks.append([])
        chunks[-1].append(i)
    return chunks
