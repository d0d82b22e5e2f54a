"""Batch normalisation and SiLU of one block of rows, forward and backward."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from .blocks import Scratch


class Affine(NamedTuple):
    r"""What normalises a row: :math:`(x - \mu) f + s` with :math:`f = \gamma / \sqrt{\sigma^2 +
    \epsilon}`.

    Attributes:
        mean: ``[C]``.
        rstd: ``[C]``, one over the standard deviation.
        factor: ``[C]`` f.
        shift: ``[C]`` s.
    """

    mean: Tensor
    rstd: Tensor
    factor: Tensor
    shift: Tensor

    @classmethod
    def of(cls, mean: Tensor, var: Tensor, scale: Tensor, shift: Tensor, eps: float) -> Affine:
        mean, rstd = mean.to(shift.dtype), (var.to(shift.dtype) + eps).rsqrt()
        return cls(mean, rstd, scale * rstd, shift)

    def activated(self, rows: Tensor, out: Tensor | None = None) -> Tensor:
        """SiLU of the normalised rows ``[R, C]``."""
        block = torch.sub(rows, self.mean, out=out)
        torch.addcmul(self.shift, block, self.factor, out=block)
        return F.silu(block, inplace=True)

    def through_silu(self, rows: Tensor, grad: Tensor, scratch: Scratch, at: slice) -> Tensor:
        """Gradient before the SiLU; the rows less their mean are left in "centred"."""
        centred = torch.sub(rows, self.mean, out=scratch("centred", at))
        before = torch.addcmul(self.shift, centred, self.factor, out=scratch("before", at))
        gate = torch.sigmoid(before, out=scratch("gate", at))
        # d SiLU = g (1 + b (1 - g)) = g + g b - g (g b)
        slope = before.mul_(gate)
        slope.addcmul_(slope, gate, value=-1).add_(gate)
        return slope.mul_(grad)


class NormGradients:
    """Sums over all rows that the gradient of every row needs: a first pass.

    Args:
        affine: the normalisation.
        count: weight of all rows if the statistics were their own, else None.
        scratch: memory for temporaries.
    """

    def __init__(self, affine: Affine, count: Tensor | None, scratch: Scratch) -> None:
        self.affine = affine
        self.along = torch.zeros_like(affine.factor)
        self.shift = torch.zeros_like(affine.factor)
        # A batch without weight was normalised by constants, not by its own statistics.
        self.share = None if count is None else (count > 0) / count.clamp_min(1e-30)
        self.scratch = scratch

    def add(self, at: slice, rows: Tensor, grad: Tensor) -> Tensor:
        """Take in the block ``at``; returns the gradient before the SiLU for the second pass."""
        before = self.affine.through_silu(rows, grad, self.scratch, at)
        self.shift += before.sum(0)
        self.along += self.scratch("centred", at).mul_(before).sum(0)
        return before

    @property
    def scale(self) -> Tensor:
        """Gradient of the scale ``[C]``, once all blocks are in."""
        return self.along * self.affine.rstd

    def finish(self, at: slice, rows: Tensor, before: Tensor, weight: Tensor | None) -> Tensor:
        """Second pass: the gradient of a block ``[R, C]``."""
        affine = self.affine
        if self.share is None:
            return torch.mul(before, affine.factor, out=self.scratch("centred", at))
        part = torch.sub(rows, affine.mean, out=self.scratch("centred", at))
        slope = self.scale * affine.rstd * self.share
        torch.addcmul(self.shift * self.share, part, slope, out=part)
        if weight is not None:
            part *= weight[:, None]
        return torch.sub(before, part, out=part).mul_(affine.factor)
