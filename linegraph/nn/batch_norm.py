"""Batch normalisation that counts a row as often as it stands for, followed by SiLU."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..kernels import norm_silu


class BatchNormSiLU(nn.BatchNorm1d):
    r"""``residual + SiLU(BatchNorm(x))``, the statistics weighted by row.

    A row of weight ``w`` (a bond of multiplicity 2, say) counts as ``w`` equal rows. Parameters,
    buffers and the running estimates (unbiased variance, momentum 0.1) are those of
    :class:`torch.nn.BatchNorm1d`, so checkpoints fit both. Unlike there, a batch with a single
    row or none is no error: it leaves the running variance as it is.

    Shapes:
        - x ``[R, C]``, weight ``[R]`` or None, residual ``[R, C]`` or None
        - output ``[R, C]``

    Source: Ioffe and Szegedy, arXiv:1502.03167.
    """

    # track_running_stats, affine and momentum are always on here, so none of these is None.
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def forward(  # type: ignore[override]
        self, x: Tensor, weight: Tensor | None = None, residual: Tensor | None = None
    ) -> Tensor:
        statistics = None if self.training else (self.running_mean, self.running_var)
        out, mean, var, count = norm_silu(
            x, self.weight, self.bias, self.eps, weight, residual, statistics
        )
        if self.training:
            self._track(mean, var, count)
        return out

    @torch.no_grad()
    def _track(self, mean: Tensor, var: Tensor, count: Tensor) -> None:
        self.num_batches_tracked += 1
        if bool(count > 0):
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        if bool(count > 1):
            unbiased = var * (count / (count - 1))
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
