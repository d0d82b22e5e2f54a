"""Support vector regression as tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .offered import offered_buffers

#: Normal scores lie between minus this and this.
LARGEST_SCORE = 3.0


class KernelMachine(nn.Module):
    """A weighted sum of how similar a record is to some it was fitted to.

    A feature counts by its rank among the records of the fit, as a *normal score*: the number
    that a normal distribution has at that rank, cut off at +-3. Ranks are read off the column's
    quantiles, piecewise linearly. A number that several quantiles equal has their mean rank, at
    either end, too (unlike in scikit-learn's QuantileTransformer, which gives the ends the first
    and the last rank); what lies beyond has the first or the last. A missing feature (NaN) is
    first replaced by that feature's ``fill``. Similarity falls with the Euclidean distance r of
    scores as a Matérn kernel of order 3/2::

        k(r) = (1 + sqrt(3) decay r) exp(-sqrt(3) decay r)

    There may be several machines in one, which know the same records and look at different
    features of them; it says their mean. Their errors differ, and those of the mean are smaller.

    A new machine says 0; :func:`training.kernel_machine.fit_machine` makes one from data.

    Everything is a buffer: nothing is learned by gradients and none flow back. All is computed in
    float32, whatever the precision of features and buffers.

    Args:
        features: number of features F.
        supports: the most records S that it has room for.
        quantiles: number of quantiles Q of each feature, at least 2.
        machines: number of machines K.

    Attributes:
        fill: ``[F]`` float32, in place of missing features.
        quantile: ``[Q, F]`` float32, ascending: at ranks from 0 to 1 in equal steps.
        support: ``[S, F]`` float32, normal scores of records.
        seen: ``[K, F]`` bool, the features a machine looks at.
        weight: ``[K, S]`` float32, of each record; 0 in padding.
        intercept: ``[K]`` float32, added to the sum.
        decay: ``[]`` float32, above 0.

    Shapes:
        - x ``[B, F]``, which may hold NaN
        - output ``[B]`` float32

    Raises:
        ValueError: sizes are out of range, x is of another shape, or ``load_state_dict`` is given
            what is no such machine (then nothing of it is loaded here).

    Source: A. J. Smola and B. Schölkopf, Stat. Comput. 14, 199 (2004), eq. 11, for the regression;
    T. K. Ho, IEEE Trans. Pattern Anal. Mach. Intell. 20, 832 (1998), for random subspaces;
    C. E. Rasmussen and C. K. I. Williams, Gaussian Processes for Machine Learning (MIT Press,
    2006), eq. 4.17, for the kernel.
    """

    fill: Tensor
    quantile: Tensor
    support: Tensor
    seen: Tensor
    weight: Tensor
    intercept: Tensor
    decay: Tensor

    def __init__(
        self, features: int, supports: int, quantiles: int = 100, machines: int = 1
    ) -> None:
        super().__init__()
        if features < 1 or supports < 1 or quantiles < 2 or machines < 1:
            raise ValueError(
                "a kernel machine has at least 1 feature, 1 support, 2 quantiles and 1 machine, "
                f"not {features}, {supports}, {quantiles} and {machines}"
            )
        self.features, self.supports = features, supports
        self.quantiles, self.machines = quantiles, machines
        for name, size in (
            ("fill", (features,)),
            ("quantile", (quantiles, features)),
            ("support", (supports, features)),
            ("weight", (machines, supports)),
            ("intercept", (machines,)),
        ):
            self.register_buffer(name, torch.zeros(size, dtype=torch.float32))
        self.register_buffer("decay", torch.ones((), dtype=torch.float32))
        self.register_buffer("seen", torch.ones(machines, features, dtype=torch.bool))

    def forward(self, x: Tensor) -> Tensor:
        scores, support, decay = self.scores(x), self.support.float(), self.decay.float()
        said = []
        for seen, weight in zip(self.seen, self.weight.float(), strict=True):
            apart = distances(scores[:, seen], support[:, seen])
            # No product of matrices: what is said of a record would depend on the others beside it.
            said.append((matern(apart, decay) * weight).sum(1))
        return (torch.stack(said) + self.intercept.float()[:, None]).mean(0)

    def scores(self, x: Tensor) -> Tensor:
        """Normal scores ``[B, F]`` float32 of features ``[B, F]``.

        Raises:
            ValueError: x is of another shape.
        """
        if x.dim() != 2 or x.size(1) != self.features:
            raise ValueError(f"expected [B, {self.features}] features, got {list(x.shape)}")
        x = x.detach().float()
        x = torch.where(x.isnan(), self.fill.float(), x)
        # Halved, since the distance of two quantiles may be more than float32 holds.
        column, value = self.quantile.float().T.contiguous() / 2, x.T.contiguous() / 2
        last = self.quantiles - 1
        above = torch.searchsorted(column, value).clamp(max=last)
        below = (torch.searchsorted(column, value, right=True) - 1).clamp(min=0)
        low, high = column.gather(1, below), column.gather(1, above)
        # In a run of equal quantiles ``above`` is the first and ``below`` the last of them.
        part = torch.where(high > low, (value - low) / (high - low), 0.5)
        rank = torch.lerp(below.float(), above.float(), part) / last
        scores: Tensor = torch.special.ndtri(rank).clamp(-LARGEST_SCORE, LARGEST_SCORE)
        return scores.T

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *args: Any, **options: Any
    ) -> None:
        state = offered_buffers(self, state_dict, prefix, "kernel machine")
        if state is not None:
            _check(state["quantile"], state["decay"], state["seen"])
        super()._load_from_state_dict(state_dict, prefix, *args, **options)

    def extra_repr(self) -> str:
        return (
            f"features={self.features}, supports={self.supports}, quantiles={self.quantiles}, "
            f"machines={self.machines}"
        )


def distances(x: Tensor, y: Tensor) -> Tensor:
    """Euclidean distances ``[B, S]`` of ``[B, F]`` and ``[S, F]``: 0 between equal rows."""
    found: Tensor = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    return found


def matern(distance: Tensor, decay: Tensor | float) -> Tensor:
    """Matérn kernel of order 3/2: 1 at distance 0, falling to 0.

    Args:
        distance: of any shape, at least 0; may be infinite.
        decay: above 0, per unit of distance.

    Source: Rasmussen and Williams (2006), eq. 4.17, with ``decay`` their 1/l.
    """
    # The exponential of more than this is 0, and 0 times infinity would be NaN.
    far = (decay * distance * 3**0.5).clamp(max=1e3)
    return (1 + far) * torch.exp(-far)


def _check(quantile: Tensor, decay: Tensor, seen: Tensor) -> None:
    falling = (quantile[1:].float() < quantile[:-1].float()).any(dim=0)
    if falling.any():
        column = int(falling.nonzero()[0])
        raise ValueError(f"quantiles of feature {column} in a kernel machine do not ascend")
    if decay <= 0:
        raise ValueError(f"decay of a kernel machine is {float(decay):g}, not above 0")
    if not seen.any(dim=1).all():
        raise ValueError("a machine of a kernel machine sees no feature")
