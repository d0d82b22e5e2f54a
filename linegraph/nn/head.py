"""Prediction head."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class PropertyHead(nn.Module):
    """One number from the vector of a structure.

    ``output(SiLU(lin2(SiLU(lin1(SiLU(h))))))`` with widths hidden -> inner -> inner -> 1.

    Shapes:
        - h ``[B, hidden]``
        - output ``[B]``

    Source: the heads of the MPT model (Figure S2 of arXiv:2508.06436).
    """

    def __init__(self, hidden: int, inner: int = 128) -> None:
        super().__init__()
        self.lin1 = nn.Linear(hidden, inner)
        self.lin2 = nn.Linear(inner, inner)
        self.output = nn.Linear(inner, 1)

    def forward(self, h: Tensor) -> Tensor:
        h = self.lin1(F.silu(h))
        h = self.lin2(F.silu(h))
        out: Tensor = self.output(F.silu(h)).squeeze(-1)
        return out


class LinearHead(nn.Module):
    """One linear map ``[B, channels]`` to ``[B]``, the head of the SCRATCH models."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.output = nn.Linear(channels, 1)

    def forward(self, h: Tensor) -> Tensor:
        out: Tensor = self.output(h).squeeze(-1)
        return out
