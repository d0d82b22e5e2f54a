"""Recipes: one YAML file per experiment, every value checked and open to change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from os.path import realpath
from pathlib import Path
from typing import Any, get_type_hints

from linegraph.errors import InputError
from linegraph.models import models
from linegraph.safe_reading import read_text

from .parts import PARTS
from .settings import checked
from .splits import SPLITS
from .yamlfile import parse_yaml

CHOICES: dict[str, tuple[str, ...]] = {
    "model": models(),
    "loss": ("l1", "huber", "mse", "root", "mixed"),
    "balance": ("none", "count", "uncertainty"),
    "schedule": ("onecycle", "constant"),
    "split": SPLITS,
    "keep": ("best", "last"),
    "norms": ("keep", "reset"),
    "precision": ("32-true", "bf16-mixed"),
    "freeze": tuple(PARTS),
    "lr_parts": tuple(PARTS),
}

_ENDINGS = (".yaml", ".yml")

#: Recipes that are based on one another, at most.
_LONGEST = 20


@dataclass(frozen=True)
class Recipe:
    """All settings of a training run: of a barrier model, or (model MPT) of a pre-training.

    Attributes:
        summary: one line for the list of recipes.
        model: name for :func:`linegraph.build_model`.
        hidden: width of all features.
        alignn_layers: layers over angles and bonds; BAND-1 has none, like the next two.
        conv_layers: layers over bonds only, after them.
        embedding: width between basis and hidden features.
        head: width inside the head.
        networks: of BAND-1.
        trees: of BAND-1.
        leaves: of each of them, at most.
        supports: records that its kernel machines compare with, at most.
        machines: of these; each of several sees a part of the features.
        tree_share: of all trees together in the barrier that BAND-1 says.
        machine_share: of the kernel machines; the rest is that of the networks.
        copies: of each record, a little off, that trees and machines of BAND-1 learn from, too.
        canonical: edge list of the SCRATCH models instead of the published default.
        max_neighbors: the neighbour whose shell is the last one bonded.
        shell_tol: width of a neighbour shell, Å.
        lattice_decimals: decimals the lattice is rounded to first; null for none.
        one_path: use one record of each system, as the paper's single-pathway subset does.
        drop: properties left out of a pre-training.
        strict_split: pre-train on no value of a structure that is held out for any property.
        split: how bands are parted when the command names no other way.
        val: fraction of records for validation (random and grouped splits).
        test: fraction of records held out for testing (random and grouped splits).
        epochs: passes over the training records.
        batch_size: records per optimiser step.
        shuffle: draw the batches anew each epoch.
        loss: l1, huber (linear beyond 0.25) or mse, on E_m in eV or on scaled properties; or root,
            huber on square roots of E_m; or mixed, l1 on E_m and on its square root in equal parts.
        balance: of the properties of a pre-training: none (published: every value counts the
            same), count (every property counts the same) or uncertainty (weights are learned).
        lr: largest learning rate.
        lr_parts: factors on lr by part of the model; of two parts that share layers the later
            one counts.
        weight_decay: of AdamW; never applied to biases and norms.
        schedule: onecycle or constant.
        warmup: fraction of the steps in which onecycle rises.
        clip: largest gradient norm; null for none.
        jitter: standard deviation of random displacements of all atoms while training, Å.
        center: start the output at the median training barrier instead of near zero.
        pretrained: training starts from the weights of another run, which must be given.
        new_head: of those weights take the trunk only; else everything, from the same model.
        norms: keep the running statistics of those weights, or reset them.
        freeze: parts of the model that do not learn, nor their statistics.
        unfreeze_at: epochs after which the frozen parts learn too, fewer than the run has; null for
            never.
        keep: weights written at the end, best (lowest validation MAE) or last.
        memory_gib: memory for one forward and backward pass; larger batches are passed in parts
            whose gradients are added up (batch statistics are then those of a part).
        recompute: keep half as much for the backward pass and compute it again there.
        precision: 32-true, or bf16-mixed to store features in bfloat16 (sums, statistics and
            weights stay in float32): for a GPU.
        seed: of weights, splits and batches.
    """

    summary: str
    model: str = "MODEL-3"
    hidden: int = 256
    alignn_layers: int = 4
    conv_layers: int = 4
    embedding: int = 64
    head: int = 128
    networks: int = 4
    trees: int = 100
    leaves: int = 512
    supports: int = 2304
    machines: int = 16
    tree_share: float = 0.25
    machine_share: float = 0.25
    copies: int = 4
    canonical: bool = False
    max_neighbors: int = 12
    shell_tol: float = 1e-3
    lattice_decimals: int | None = None
    one_path: bool = False
    drop: tuple[str, ...] = ()
    strict_split: bool = False
    split: str = "grouped"
    val: float = 0.1
    test: float = 0.1
    epochs: int = 100
    batch_size: int = 32
    shuffle: bool = True
    loss: str = "huber"
    balance: str = "none"
    lr: float = 1e-3
    lr_parts: dict[str, float] = field(default_factory=dict)
    weight_decay: float = 1e-5
    schedule: str = "onecycle"
    warmup: float = 0.3
    clip: float | None = None
    jitter: float = 0.0
    center: bool = True
    pretrained: bool = False
    new_head: bool = True
    norms: str = "keep"
    freeze: tuple[str, ...] = ()
    unfreeze_at: int | None = None
    keep: str = "best"
    memory_gib: float = 8.0
    recompute: bool = False
    precision: str = "32-true"
    seed: int = 123

    def __post_init__(self) -> None:
        if self.tree_share + self.machine_share > 1:
            raise InputError("more than 1, with tree_share", field="machine_share")

    @property
    def model_config(self) -> dict[str, Any]:
        """Arguments of :func:`linegraph.build_model`."""
        names = ["hidden", "head"]
        if self.model == "BAND-1":
            names += ["networks", "trees", "leaves", "supports", "machines"]
            names += ["tree_share", "machine_share"]
        else:
            names += ["alignn_layers", "conv_layers", "embedding"]
        return {name: getattr(self, name) for name in names}

    @property
    def graph_settings(self) -> dict[str, Any]:
        """Arguments of :func:`linegraph.views`; stored with every checkpoint."""
        names = ("canonical", "max_neighbors", "shell_tol", "lattice_decimals")
        return {name: getattr(self, name) for name in names}

    def changed(self, values: Mapping[str, Any], file: object = None) -> Recipe:
        """The recipe with some values replaced.

        Raises:
            InputError: unknown key (the message names the nearest known one), or a value of the
                wrong type or out of range.
        """
        return replace(self, **checked(values, get_type_hints(Recipe), CHOICES, file))

    def as_dict(self) -> dict[str, Any]:
        """All settings, as YAML holds them."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package."""
    names = [file.name for file in (files(__package__) / "recipes").iterdir()]
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def load_recipe(name: str) -> Recipe:
    """Read a recipe: one of ours by name, or the path of a YAML file.

    A file may name another recipe as its ``base`` and say only what differs from it; a relative
    path there starts at the folder of the file.

    Raises:
        InputError: no such recipe, unreadable YAML, unknown keys, wrong values.
    """
    return Recipe(**_read(name, ()))


def _read(name: str, above: tuple[str, ...]) -> dict[str, Any]:
    # Resolved, as one file may be reached by many paths (a.yaml, ../here/a.yaml).
    if "\0" in name:
        raise InputError(f"no recipe {name!r}")
    if realpath(name) in map(realpath, above):
        raise InputError(f"recipes are based on each other: {' -> '.join((*above, name))}")
    if len(above) == _LONGEST:
        raise InputError(f"more than {_LONGEST} recipes are based on each other", file=above[0])
    path = Path(name)
    of = f"; it is the base of {above[-1]}" if above else ""
    if name.endswith(_ENDINGS):
        try:
            text = read_text(path, errors="replace")
        except FileNotFoundError:
            raise InputError(f"no such recipe file{of}", file=path) from None
        except OSError as error:
            raise InputError(f"cannot be read ({error.strerror}){of}", file=path) from error
    elif name in recipe_names():
        path = Path(f"{name}.yaml")
        text = (files(__package__) / "recipes" / path.name).read_text(encoding="utf-8")
    else:
        known = ", ".join(recipe_names())
        raise InputError(f"no recipe {name!r}; known are {known}, or give a .yaml file")
    try:
        values = parse_yaml(text)
    except ValueError as error:
        raise InputError(f"is no YAML ({error})", file=path) from error
    if not isinstance(values, dict):
        raise InputError("expected settings as 'key: value' lines", file=path)
    base = values.pop("base", None)
    if base is not None and not isinstance(base, str):
        raise InputError(f"expected the name of a recipe, got {base!r}", file=path, field="base")
    if base is not None and base.endswith(_ENDINGS):
        base = str(path.parent / base)
    try:
        inherited = _read(base, (*above, name)) if base is not None else {}
    except InputError as error:
        raise (error.at(file=path, field="base") if error.file is None else error) from None
    # The summary describes one recipe, not those that build on it.
    own = checked(values, get_type_hints(Recipe), CHOICES, path)
    return {**inherited, "summary": "", **own}
