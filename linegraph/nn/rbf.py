"""Radial basis expansion of a scalar."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RBFExpansion(nn.Module):
    r"""Gaussians on a regular grid, :math:`\exp(-\gamma (v - c_k)^2)` with gamma = 1 / spacing.

    Args:
        low: first centre, in the unit of the input.
        high: last centre.
        bins: number of centres (at least 2).

    Shapes:
        - input ``[...]``
        - output ``[..., bins]``

    Source: Choudhary and DeCost, npj Comput. Mater. 7, 185 (2021); gamma as in the published code
    (one over the spacing, not over its square).
    """

    centers: Tensor

    def __init__(self, low: float, high: float, bins: int) -> None:
        super().__init__()
        if bins < 2 or not high > low:
            raise ValueError(f"need high > low and at least 2 bins, got {low}, {high}, {bins}")
        self.low, self.high, self.bins = low, high, bins
        self.gamma = (bins - 1) / (high - low)
        self.register_buffer("centers", torch.linspace(low, high, bins))

    def forward(self, value: Tensor) -> Tensor:
        return torch.exp(-self.gamma * (value[..., None] - self.centers) ** 2)

    def extra_repr(self) -> str:
        return f"{self.low:g}..{self.high:g}, {self.bins}"
