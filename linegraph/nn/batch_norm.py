"""Batch normalisation that counts a row as often as it stands for, followed by SiLU."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..kernels import BatchNorm, linear_norm_silu, norm_silu
from ..kernels.backend import Moments
from ..kernels.sync_norm import sync_norm_silu


class BatchNormSiLU(nn.BatchNorm1d):
    r"""``residual + SiLU(BatchNorm(x))``, the statistics weighted by row.

    A row of weight ``w`` (a bond of multiplicity 2, say) counts as ``w`` equal rows. Parameters,
    buffers and the running estimates (of the unbiased variance) are those of
    :class:`torch.nn.BatchNorm1d`, so checkpoints fit both. Unlike there, a batch with a single
    row or none is no error: it leaves the running variance as it is, and without rows it does not
    count as a batch. For statistics over several processes call
    :func:`linegraph.nn.set_synchronised`, not ``torch.nn.SyncBatchNorm.convert_sync_batchnorm``,
    whose modules know no weights.

    Args:
        channels: width C.
        eps: added to the variance.
        momentum: share of a batch in the running estimates; None for their mean over all batches,
            as :func:`torch.optim.swa_utils.update_bn` sets it.

    Shapes:
        - x ``[R, C]``, weight ``[R]`` or None, residual ``[R, C]`` or None
        - output ``[R, C]``

    Source: Ioffe and Szegedy, arXiv:1502.03167.
    """

    # track_running_stats and affine are always on here, so none of these is None.
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    #: Set by :func:`linegraph.nn.set_synchronised`.
    synchronised: bool = False

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float | None = 0.1) -> None:
        super().__init__(channels, eps, momentum)

    @property
    def exchanges(self) -> bool:
        """Whether statistics are those of all processes now."""
        return self.synchronised and self.training

    def forward(  # type: ignore[override]
        self, x: Tensor, weight: Tensor | None = None, residual: Tensor | None = None
    ) -> Tensor:
        if self.exchanges:
            out, *moments = sync_norm_silu(x, self.weight, self.bias, self.eps, weight, residual)
        else:
            out, *moments = norm_silu(
                x, self.weight, self.bias, self.eps, weight, residual, self._given()
            )
        self.track((moments[0], moments[1], moments[2]))
        return out

    def of_linear(self, x: Tensor, linear: nn.Linear, weight: Tensor | None = None) -> Tensor:
        """``forward(linear(x), weight)``, in one process without keeping the product."""
        if self.exchanges:
            return self.forward(linear(x), weight)
        out, *moments = linear_norm_silu(
            x, linear.weight, linear.bias, self.weight, self.bias, self.eps, weight, self._given()
        )
        self.track((moments[0], moments[1], moments[2]))
        return out

    def of_edges(self) -> BatchNorm:
        """The same normalisation, for :func:`linegraph.kernels.edge_update` to apply.

        Raises:
            RuntimeError: statistics are those of all processes, and that applies only those of one.
        """
        if self.exchanges:
            raise RuntimeError(
                "back ends normalise by the statistics of one process: use edge_gate, then the norm"
            )
        return BatchNorm(self.weight, self.bias, self.eps, self._given())

    @torch.no_grad()
    def track(self, moments: Moments | None) -> None:
        """Move the running estimates, in training, towards the statistics of a batch."""
        if not self.training or moments is None:
            return
        mean, var, count = moments
        # Written without a branch on `count`, which on a GPU would wait for it.
        self.num_batches_tracked += count > 0
        kind = self.running_mean.dtype
        share: float | Tensor | None = self.momentum
        if share is None:
            share = self.num_batches_tracked.clamp_min(1).to(kind).reciprocal()
        mean = torch.where(count > 0, mean.to(kind), self.running_mean)
        self.running_mean.lerp_(mean, share)
        unbiased = var * (count / (count - 1).clamp_min(torch.finfo(count.dtype).tiny))
        var = torch.where(count > 1, unbiased, self.running_var)
        self.running_var.lerp_(var.to(kind), share)

    def _given(self) -> tuple[Tensor, Tensor] | None:
        return None if self.training else (self.running_mean, self.running_var)
