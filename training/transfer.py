"""Start from the weights of another run, and decide which parts of them learn."""

from __future__ import annotations

import hashlib
import inspect
import shlex
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import lightning as L
from torch import nn

from linegraph import InputError
from linegraph.nn import ALIGNN
from linegraph.weights import Weights, load_weights

from .parts import in_part, modules_in
from .recipe import Recipe


@dataclass(frozen=True, eq=False)
class Start:
    """Weights to start from.

    Attributes:
        path: the file.
        fingerprint: its SHA-256, so that a run is not resumed from another start.
        weights: what it holds.
    """

    path: Path
    fingerprint: str
    weights: Weights


def read_start(path: str | PathLike[str] | None, recipe: Recipe) -> Start | None:
    """The weights a run starts from, checked against its recipe; None for a run from scratch.

    Raises:
        InputError: unreadable weights, weights the recipe asks for but nobody gave, or sizes and
            graph settings that differ from the recipe's; the message lists all differences.
    """
    if path is None:
        if recipe.pretrained:
            raise InputError(
                "the recipe starts from trained weights: name them with --init, or train from "
                "scratch with --set pretrained=false"
            )
        return None
    if recipe.model == "BAND-1" and recipe.new_head:
        raise InputError(
            "BAND-1 has no trunk that could come from other weights: leave out --init, or go on "
            "with another BAND-1 with --set new_head=false",
            field="init",
        )
    weights = load_weights(path)
    file = Path(path) / "model.safetensors" if Path(path).is_dir() else Path(path)
    _check_same(weights, recipe, file)
    return Start(file, hashlib.sha256(file.read_bytes()).hexdigest(), weights)


def _check_same(weights: Weights, recipe: Recipe, file: Path) -> None:
    theirs = {**weights.config, **weights.graph_settings}
    ours = {**recipe.model_config, **recipe.graph_settings}
    trunk = inspect.signature(ALIGNN).parameters
    if recipe.new_head:
        ours = {k: v for k, v in ours.items() if k in trunk or k in recipe.graph_settings}
    elif weights.name != recipe.model:
        raise InputError(
            f"is a {weights.name}, the recipe's model is {recipe.model}: its head cannot be kept "
            "(new_head: false)",
            file=file,
        )
    for key, value in weights.config.items():
        if key in recipe.model_config or (recipe.new_head and key not in trunk):
            continue
        if key not in trunk or trunk[key].default != value:
            raise InputError(f"{key} is {value!r} there, which no recipe can set", file=file)
    # What the file does not mention has its default, which is that of a recipe too.
    plain = Recipe(summary="").as_dict()
    changes = {
        key: theirs.get(key, plain[key])
        for key, value in ours.items()
        if theirs.get(key, plain[key]) != value
    }
    if changes:
        listed = "; ".join(f"{k} is {v!r} there, {ours[k]!r} here" for k, v in changes.items())
        words = " ".join("--set " + shlex.quote(f"{k}={_word(v)}") for k, v in changes.items())
        raise InputError(f"does not fit the recipe: {listed}. To follow it: {words}", file=file)


def _word(value: Any) -> str:
    return "null" if value is None else str(value).lower()


def apply_start(model: nn.Module, start: Start, recipe: Recipe) -> None:
    """Copy weights into a new model: the trunk, or with ``new_head: false`` everything."""
    theirs = start.weights.model.state_dict()
    copied = {k: v for k, v in theirs.items() if k.startswith("trunk.") or not recipe.new_head}
    missing, unexpected = model.load_state_dict(copied, strict=False)
    wanted = [k for k in missing if k.startswith("trunk.") or not recipe.new_head]
    assert not wanted and not unexpected, (wanted, unexpected)
    if recipe.norms == "reset":
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.reset_running_stats()


class Freeze(L.Callback):
    """Keeps parts of the model as they are, for the whole run or up to an epoch.

    Frozen layers normalise by their running statistics, which stay as they are too. What is
    frozen depends on the number of the epoch alone, so a resumed run goes on as it was.

    Args:
        model: the model; in a task that Lightning trains.
        parts: names from :data:`training.parts.PARTS`.
        until: first epoch in which everything learns; None for never.

    Raises:
        InputError: nothing would be left to learn, at first or for good.
    """

    def __init__(self, model: nn.Module, parts: tuple[str, ...], until: int | None) -> None:
        self.until = until
        named = list(model.named_parameters())
        self.parameters = [p for name, p in named if any(in_part(name, part) for part in parts)]
        self.modules = list(modules_in(model, parts))
        if len(self.parameters) == len(named):
            raise InputError("every part of the model is frozen", field="freeze")

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        frozen = self.until is None or trainer.current_epoch < self.until
        for parameter in self.parameters:
            parameter.requires_grad_(not frozen)
        for module in self.modules:
            module.train(not frozen)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for parameter in self.parameters:
            parameter.requires_grad_(True)


def learning_rate_factor(name: str, recipe: Recipe) -> float:
    """What the learning rate of a parameter is multiplied by."""
    factor = 1.0
    for part, value in recipe.lr_parts.items():
        if in_part(name, part):
            factor = value
    return factor
