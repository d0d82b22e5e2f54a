"""Mean and variance of rows that arrive in blocks."""

from __future__ import annotations

import torch
from torch import Tensor

from .backend import Moments
from .blocks import Scratch, row_blocks


class RunningMoments:
    """Weighted mean and variance ``[C]``, merged block by block.

    Squares are taken about the mean of each block and merged as in Chan, Golub and LeVeque,
    Am. Stat. 37, 242 (1983), so no digits are lost where the mean is far from zero.
    """

    def __init__(self, like: Tensor) -> None:
        self.count = like.new_zeros(())
        self.mean = torch.zeros_like(like)
        self.square = torch.zeros_like(like)

    def add(self, rows: Tensor, weight: Tensor | None, spare: Tensor | None = None) -> None:
        """Take in ``[R, C]`` rows, each ``weight [R]`` times; ``spare`` is overwritten."""
        if rows.size(0) == 0:
            return
        if weight is None:
            count = self.count.new_tensor(float(rows.size(0)))
            mean = rows.mean(0)
        else:
            count = weight.sum()
            # Rows that count nothing have any mean; it is given no weight below.
            mean = (weight @ rows) / count.clamp_min(torch.finfo(count.dtype).tiny)
        square = torch.sub(rows, mean, out=spare).square_()
        square = square.sum(0) if weight is None else weight @ square
        total = self.count + count
        share = count / total.clamp_min(torch.finfo(total.dtype).tiny)
        step = mean - self.mean
        self.mean += step * share
        self.square += square + step.square_() * (self.count * share)
        self.count = total

    @classmethod
    def of_rows(
        cls, x: Tensor, weight: Tensor | None, like: Tensor, scratch: Scratch
    ) -> RunningMoments:
        """Moments of ``[R, C]`` rows, block by block, in the precision of ``like [C]``."""
        moments = cls(like)
        for rows in row_blocks(x, x.size(1)):
            part = None if weight is None else weight[rows]
            moments.add(x[rows].to(like.dtype), part, scratch("square", rows))
        return moments

    def result(self) -> Moments:
        """Mean, biased variance and weight; mean 0 and variance 1 where nothing counts."""
        empty = self.count <= 0
        var = self.square / self.count.clamp_min(torch.finfo(self.count.dtype).tiny)
        return self.mean, torch.where(empty, torch.ones_like(var), var), self.count
