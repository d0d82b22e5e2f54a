"""From the five images of a band to one vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PathReadout(nn.Module):
    r"""The ends of the path, and what lies above them, the same from either end.

    .. math::
        h &= \mathrm{SiLU}(W \,\mathrm{asinh}(x)) \\
        e &= (h_0 + h_4) / 2, \quad
        t = \sum_k \mathrm{softmax}_k(a \cdot h_k)\, h_k - e, \quad
        u = \max_{k = 1, 2, 3} h_k - e

    asinh tames images that nearly touch an atom of the host.

    Args:
        channels: C.
        hidden: width H.
        dropout: while training.

    Shapes:
        - x ``[B, 5, C]``
        - output ``[B, 3 H]``: e, t and u
    """

    def __init__(self, channels: int, hidden: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Linear(channels, hidden), nn.SiLU(), nn.Dropout(dropout))
        self.score = nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.image(torch.asinh(x))
        ends = (h[:, 0] + h[:, -1]) / 2
        top = (self.score(h).softmax(1) * h).sum(1)
        between = h[:, 1:-1].amax(1)
        return torch.cat([ends, top - ends, between - ends], dim=1)
