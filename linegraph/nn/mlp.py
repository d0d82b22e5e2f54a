"""Linear map, batch normalisation, SiLU."""

from __future__ import annotations

from torch import Tensor, nn

from .batch_norm import BatchNormSiLU
from .fusible import fusible


class MLPLayer(nn.Module):
    """``SiLU(BatchNorm(Linear(x)))``.

    Shapes:
        - x ``[R, in_channels]``, weight ``[R]`` (of the rows in the statistics) or None
        - output ``[R, out_channels]``
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.linear = nn.Linear(in_channels, out_channels)
        self.norm = BatchNormSiLU(out_channels)

    def forward(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        if fusible(self.norm, BatchNormSiLU) and fusible(self.linear, nn.Linear):
            return self.norm.of_linear(x, self.linear, weight)
        out: Tensor = self.norm(self.linear(x), weight)
        return out
