"""Recipes: one YAML file per experiment, every value checked and open to change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args, get_type_hints

import yaml

from linegraph.errors import InputError
from linegraph.models import models

CHOICES: dict[str, tuple[str, ...]] = {
    # MPT has one output per property of its pre-training, none of them a barrier.
    "model": tuple(name for name in models() if name != "MPT"),
    "loss": ("l1", "huber", "mse"),
    "schedule": ("onecycle", "constant"),
    "split": ("published", "random", "grouped"),
    "keep": ("best", "last"),
}


@dataclass(frozen=True)
class Recipe:
    """All settings of a training run.

    Attributes:
        summary: one line for the list of recipes.
        model: name for :func:`linegraph.build_model`.
        hidden: width of all features.
        alignn_layers: layers over angles and bonds.
        conv_layers: layers over bonds only, after them.
        embedding: width between basis and hidden features.
        head: width inside the head.
        canonical: edge list of the SCRATCH models instead of the published default.
        max_neighbors: the neighbour whose shell is the last one bonded.
        shell_tol: width of a neighbour shell, Å.
        lattice_decimals: decimals the lattice is rounded to first; null for none.
        split: how records are parted when the command names no other way.
        val: fraction of records for validation (random and grouped splits).
        test: fraction of records held out for testing (random and grouped splits).
        epochs: passes over the training records.
        batch_size: records per optimiser step.
        shuffle: draw the batches anew each epoch.
        loss: l1, huber (linear beyond 0.25 eV) or mse, on E_m in eV.
        lr: largest learning rate.
        weight_decay: of AdamW; never applied to biases and norms.
        schedule: onecycle or constant.
        warmup: fraction of the steps in which onecycle rises.
        clip: largest gradient norm; null for none.
        jitter: standard deviation of random displacements of all atoms while training, Å.
        center: start the output at the median training barrier instead of near zero.
        keep: weights written at the end, best (lowest validation MAE) or last.
        memory_gib: memory for one forward and backward pass; larger batches are passed in parts
            whose gradients are added up (batch statistics are then those of a part).
        seed: of weights, splits and batches.
    """

    summary: str
    model: str = "MODEL-3"
    hidden: int = 256
    alignn_layers: int = 4
    conv_layers: int = 4
    embedding: int = 64
    head: int = 128
    canonical: bool = False
    max_neighbors: int = 12
    shell_tol: float = 1e-3
    lattice_decimals: int | None = None
    split: str = "grouped"
    val: float = 0.1
    test: float = 0.1
    epochs: int = 100
    batch_size: int = 32
    shuffle: bool = True
    loss: str = "huber"
    lr: float = 1e-3
    weight_decay: float = 1e-5
    schedule: str = "onecycle"
    warmup: float = 0.3
    clip: float | None = None
    jitter: float = 0.0
    center: bool = True
    keep: str = "best"
    memory_gib: float = 8.0
    seed: int = 123

    @property
    def model_config(self) -> dict[str, int]:
        """Arguments of :func:`linegraph.build_model`."""
        names = ("hidden", "alignn_layers", "conv_layers", "embedding", "head")
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
        return replace(self, **_checked(values, file))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package."""
    names = [file.name for file in (files(__package__) / "recipes").iterdir()]
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def load_recipe(name: str) -> Recipe:
    """Read a recipe: one of ours by name, or the path of a YAML file.

    Raises:
        InputError: no such recipe, unreadable YAML, unknown keys, wrong values.
    """
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        if not path.is_file():
            raise InputError("no such recipe file", file=path)
        text = path.read_text(encoding="utf-8", errors="replace")
    elif name in recipe_names():
        path = Path(f"{name}.yaml")
        text = (files(__package__) / "recipes" / path.name).read_text(encoding="utf-8")
    else:
        known = ", ".join(recipe_names())
        raise InputError(f"no recipe {name!r}; known are {known}, or give a .yaml file")
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"is no YAML ({str(error).splitlines()[0]})", file=path) from error
    if not isinstance(values, dict):
        raise InputError("expected settings as 'key: value' lines", file=path)
    values.setdefault("summary", "")
    return Recipe(**_checked(values, path))


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """``key=value`` words of the command line, values read as YAML.

    Raises:
        InputError: a word without ``=`` or an unreadable value.
    """
    values: dict[str, Any] = {}
    for word in settings:
        key, equals, text = word.partition("=")
        if not equals:
            raise InputError(f"--set takes key=value, got {word!r}")
        try:
            values[key.strip()] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise InputError(f"unreadable value {text!r}", field=key) from None
    return values


def _checked(values: Mapping[str, Any], file: object) -> dict[str, Any]:
    hints = get_type_hints(Recipe)
    known = [f.name for f in fields(Recipe)]
    checked: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            near = get_close_matches(str(key).lower(), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
            raise InputError(f"unknown recipe key {key!r}{hint}", file=file)
        checked[key] = _value(key, value, hints[key], file)
    for field in fields(Recipe):
        if field.name in CHOICES and field.name in checked:
            choices = CHOICES[field.name]
            if checked[field.name] not in choices:
                raise InputError(
                    f"{checked[field.name]!r} is none of {', '.join(choices)}",
                    file=file,
                    field=field.name,
                )
    return checked


def _value(key: str, value: Any, hint: Any, file: object) -> Any:
    kinds = get_args(hint) or (hint,)
    if value is None and type(None) in kinds:
        return None
    kind = next(k for k in kinds if k is not type(None))
    if isinstance(value, str) and kind in (int, float):
        # YAML 1.1 reads "1e-3" as text.
        with suppress(ValueError):
            value = float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise InputError(f"expected {_article(kind)}, got {value!r}", file=file, field=key)
    low, high = _RANGES.get(key, (None, None))
    if low is not None and not low <= value <= high:
        raise InputError(f"expected {low:g} to {high:g}, got {value!r}", file=file, field=key)
    return value


def _article(kind: type) -> str:
    return {int: "a whole number", float: "a number", bool: "true or false", str: "text"}[kind]


_RANGES: dict[str, tuple[float, float]] = {
    "hidden": (1, 4096),
    "alignn_layers": (0, 64),
    "conv_layers": (0, 64),
    "embedding": (1, 4096),
    "head": (1, 4096),
    "max_neighbors": (1, 200),
    "shell_tol": (0, 1),
    "lattice_decimals": (0, 16),
    "val": (0, 0.9),
    "test": (0, 0.9),
    "epochs": (1, 1_000_000),
    "batch_size": (1, 1_000_000),
    "lr": (1e-12, 10),
    "weight_decay": (0, 10),
    "warmup": (0.001, 0.999),
    "clip": (1e-6, 1e6),
    "jitter": (0, 1),
    "memory_gib": (0.05, 10_000),
    "seed": (0, 2**31),
}
