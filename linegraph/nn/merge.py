"""One vector from the vectors of two graphs."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Merge(nn.Module):
    """Join two ``[B, H]`` vectors into one.

    Args:
        how: ``"add"``, ``"sub"`` (first minus second) or ``"concat"`` (side by side, then linear).
        hidden: width H.
        project: with ``"concat"``, map the 2 H numbers back to H.
    """

    def __init__(self, how: str, hidden: int, project: bool = True) -> None:
        super().__init__()
        if how not in ("add", "sub", "concat"):
            raise ValueError(f"unknown merge {how!r}; known are add, sub, concat")
        self.how = how
        self.channels = 2 * hidden if how == "concat" and not project else hidden
        self.linear = nn.Linear(2 * hidden, hidden) if how == "concat" and project else None

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        if self.how == "add":
            return first + second
        if self.how == "sub":
            return first - second
        both = torch.cat([first, second], dim=-1)
        return both if self.linear is None else self.linear(both)
