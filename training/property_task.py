"""The training step of many properties at once, of which most are unknown of most crystals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError, R2Score

from .batches import Part
from .properties import Property
from .ranks import total
from .recipe import Recipe
from .task import LOSSES, Task

#: Where the huber loss turns linear, on the scale of -1 to 1.
HUBER_DELTA = 0.1


class PropertyTask(Task):
    r"""Fit a model with one output per property to scaled values, NaN where unknown.

    Unknown values take no part. With :math:`l_{ip}` the loss of crystal i and property p, the
    recipe's ``balance`` makes of it

    - ``none``: :math:`\frac{1}{BP} \sum l_{ip}`, the published loss (outputs times one-hot, L1
      over all P columns), in which a property counts by its number of values;
    - ``count``: :math:`\frac{1}{B} \sum \frac{N}{P n_p} l_{ip}`, in expectation the mean over the
      properties of their mean loss, n_p of the N training crystals having property p;
    - ``uncertainty``: :math:`\frac{1}{B} \sum (e^{-s_p} l_{ip} + s_p)` with learned :math:`s_p`,
      the likelihood of errors of a width that every property has for itself (Kendall, Gal and
      Cipolla, arXiv:1705.07115).

    Args:
        model: maps ``{"crystal": batch}`` to ``[B, P]``.
        recipe: loss, balance, optimiser and schedule.
        steps: optimiser steps of the whole run.
        properties: what the outputs are.
        known: ``[N, P]``, which values of the training crystals are known.
    """

    unit = "scaled"

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        steps: int,
        properties: Sequence[Property],
        known: Tensor,
    ) -> None:
        super().__init__(model, recipe, steps)
        self.properties = list(properties)
        self.outputs = tuple(p.name for p in properties)
        self.criterion = LOSSES[recipe.loss]
        width = len(self.properties)
        weight = torch.full((width,), 1 / width)
        if recipe.balance == "count":
            weight = len(known) / (width * known.sum(0).clamp_min(1))
        self.weight: Tensor
        self.register_buffer("weight", weight.to(torch.get_default_dtype()))
        learned = recipe.balance == "uncertainty"
        self.log_width = nn.Parameter(torch.zeros(width)) if learned else None
        self.train_figures = nn.ModuleList(_Figures(p) for p in self.properties)
        self.val_figures = nn.ModuleList(_Figures(p) for p in self.properties)
        self.columns = tuple(
            [f"{stage}_{c}" for stage in ("train", "val") for p in properties for c in columns(p)]
            + [f"width_{p.name}" for p in self.properties if learned]
        )

    @property
    def model_config(self) -> dict[str, int]:
        return {**self.recipe.model_config, "properties": len(self.properties)}

    def loss_of(self, out: Tensor, part: Part) -> Tensor:
        known = part["target"].isfinite()
        # Replaced before the loss: a NaN that is masked afterwards still makes NaN gradients.
        target = torch.where(known, part["target"], out.detach())
        loss: Tensor = self.criterion(out, target, HUBER_DELTA)
        if self.log_width is None:
            weighted = loss * self.weight
        else:
            weighted = loss * torch.exp(-self.log_width) + self.log_width
        total: Tensor = (weighted * known).sum()
        return total

    def note(self, stage: str, out: Tensor, part: Part) -> None:
        for column, figures in enumerate(self._figures(stage)):
            figures.update(out[:, column], part["target"][:, column])

    def report(self, stage: str) -> None:
        found: dict[str, Tensor] = {}
        errors = []
        every = self._figures(stage)
        counts = total(*(figures.count for figures in every))
        for p, figures, count in zip(self.properties, every, counts, strict=True):
            found |= {f"{stage}_{name}": value for name, value in figures.compute(count).items()}
            errors.append(found.get(f"{stage}_mae_{p.name}"))
        known = [error for error in errors if error is not None]
        if known:
            found[f"{stage}_mae"] = torch.stack(known).mean()
        if stage == "train" and self.log_width is not None:
            for p, width in zip(self.properties, self.log_width.detach().exp(), strict=True):
                found[f"width_{p.name}"] = width
        for name, value in found.items():
            self.log(name, value, on_step=False, on_epoch=True, batch_size=1)

    def _figures(self, stage: str) -> list[_Figures]:
        return cast(
            "list[_Figures]", list(self.train_figures if stage == "train" else self.val_figures)
        )


def columns(p: Property) -> list[str]:
    """What ``history.csv`` says of a property, after ``train_`` or ``val_``."""
    units = [f"mae_{p.name}_units"] if p.scale is not None else []
    return [f"mae_{p.name}", *units, f"r2_{p.name}"]


class _Figures(nn.Module):
    """Errors of one property since they were last asked for."""

    def __init__(self, p: Property) -> None:
        super().__init__()
        self.property = p
        self.mae, self.r2 = MeanAbsoluteError(), R2Score()
        self.count = 0

    def update(self, out: Tensor, target: Tensor) -> None:
        known = target.isfinite()
        values = int(known.sum())
        if values:
            # Of one type in every process, also in those that have not seen a value.
            self.mae.update(out[known].float(), target[known].float())
            self.r2.update(out[known].float(), target[known].float())
            self.count += values

    def compute(self, count: int) -> dict[str, Tensor]:
        """Given the number of values, of all processes together."""
        name, scale = self.property.name, self.property.scale
        if not count:
            return {}
        found = {f"mae_{name}": self.mae.compute()}
        if scale is not None:
            found[f"mae_{name}_units"] = found[f"mae_{name}"] * scale
        # One value has no spread that could be explained.
        if count > 1:
            found[f"r2_{name}"] = self.r2.compute()
        self.mae.reset()
        self.r2.reset()
        self.count = 0
        return found
