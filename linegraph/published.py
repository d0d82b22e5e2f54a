"""Checkpoints of the reference implementation: which model one is, and ours made of it."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Mapping
from os import PathLike
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .atomic_files import replacing
from .checkpoint import checked, read_tensors
from .convert import load_reference_state_dict, reference_differences
from .errors import InputError
from .models import PROPERTIES, PUBLISHED, Model, build_model
from .nn import ALIGNN
from .weights import save_weights

BOND_CENTERS = "edge_embedding.0.centers"
ANGLE_CENTERS = "angle_embedding.0.centers"

# The tensor whose length is a size of the model.
_LENGTHS = {
    "hidden": "atom_embedding.layer.0.weight",
    "embedding": "edge_embedding.1.layer.0.weight",
    "bond_bins": BOND_CENTERS,
    "angle_bins": ANGLE_CENTERS,
    "head": "conv_to_fc.0.weight",
}


class Published(NamedTuple):
    """A model read from a checkpoint of the reference.

    Attributes:
        model: the model, in evaluation mode, on the CPU, of the checkpoint's dtype.
        name: its name, one of :data:`linegraph.models.PUBLISHED`.
        config: its sizes, arguments of :func:`linegraph.build_model`.
        graph_settings: arguments of :func:`linegraph.views` that the published models were
            trained with.
    """

    model: Model
    name: str
    config: dict[str, Any]
    graph_settings: dict[str, Any]


def read_published(path: str | PathLike[str], model: str | None = None) -> Published:
    """Read a plain state dict of the reference: tensors by name, as ``torch.save`` wrote them.

    The file is opened with ``weights_only``, so one from a stranger runs no code. Sizes come from
    the shapes. The prefix ``module.`` that ``DataParallel`` puts before all names is
    dropped. The public class of SCRATCH-CC ends in two linear layers in a row (``fc.0``,
    ``fc.1``); they become the one that they amount to, equal but for rounding.

    Args:
        path: the checkpoint.
        model: which of :data:`linegraph.models.PUBLISHED` it is. May be left out where the tensors
            tell; MODEL-1-ADD, MODEL-1-SUB, MODEL-3 and an MPT of one property have the same ones,
            and so have ALIGNN, SCRATCH-ADD, SCRATCH-SUB and SCRATCH-MODEL-3.

    Raises:
        InputError: no such file, damaged, more or other than tensors by name, a training
            checkpoint, weights that are not finite numbers of one floating-point type, or not
            the state dict of the model (of any, or of more than one, where none is given).
    """
    if model is not None and model not in PUBLISHED:
        raise InputError(f"no published model {model!r}; there are {', '.join(PUBLISHED)}")
    state = _merged_linear(checked(read_tensors(path), path))
    _check_centers(state, path)
    name = model or _only_fit(state, path)
    config = _sizes(name, state)
    # Compared before memory is taken for the sizes that single tensors claim.
    if found := reference_differences(_outline(name, config), state):
        raise InputError(f"is no state dict of {name}; {_listed(found)}", file=path)
    ours = build_model(name, **config).to(state[_LENGTHS["hidden"]].dtype)
    load_reference_state_dict(ours, state)
    settings = {
        # As the training scripts have it: the fine-tuned models and MPT never canonise.
        "canonical": name == "ALIGNN" or name.startswith("SCRATCH-"),
        "max_neighbors": 12,
        "shell_tol": 1e-8,
        "lattice_decimals": 5,
    }
    return Published(ours.eval(), name, config, settings)


def convert_checkpoint(
    path: str | PathLike[str], out: str | PathLike[str], model: str | None = None
) -> Published:
    """Write a checkpoint of the reference as a file of :func:`linegraph.weights.load_weights`.

    Args:
        path: the checkpoint, see :func:`read_published`.
        out: the safetensors file; replaced if it is there, and left as it is on any error.
        model: see :func:`read_published`.

    Returns:
        What was written.

    Raises:
        InputError: as :func:`read_published`; ``out`` cannot be written, or is ``path``.
    """
    found = read_published(path, model)
    if os.path.realpath(out) == os.path.realpath(path):
        raise InputError("is the checkpoint itself; give another name", file=out)
    outputs = PROPERTIES if found.config.get("properties") == len(PROPERTIES) else ()
    with replacing(out) as partial:
        save_weights(partial, found.model, found.name, found.config, found.graph_settings, outputs)
    return found


def _merged_linear(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Two linear layers ``fc.0`` and ``fc.1`` as one ``fc``; anything else as it is."""
    parts = ("fc.0.weight", "fc.0.bias", "fc.1.weight", "fc.1.bias")
    if not all(name in state for name in parts):
        return state
    inner, inner_bias, outer, outer_bias = (state[name].double() for name in parts)
    if not (
        inner.ndim == outer.ndim == 2
        and inner_bias.shape == inner.shape[:1] == outer.shape[1:]
        and outer_bias.shape == outer.shape[:1]
    ):
        return state
    dtype = state["fc.0.weight"].dtype
    merged = {name: tensor for name, tensor in state.items() if name not in parts}
    merged["fc.weight"] = (outer @ inner).to(dtype)
    merged["fc.bias"] = (outer @ inner_bias + outer_bias).to(dtype)
    return merged


def _check_centers(state: Mapping[str, Tensor], path: str | PathLike[str]) -> None:
    """Refuse Gaussians other than ours: their width is in no tensor, but follows from the grid."""
    for name, low, high in ((BOND_CENTERS, 0.0, None), (ANGLE_CENTERS, -1.0, 1.0)):
        if name not in state:
            continue
        centers = state[name]
        if centers.ndim == 1 and len(centers) > 1:
            last = float(centers[-1]) if high is None else high
            grid = torch.linspace(low, last, len(centers), dtype=torch.float64)
            # As exact as single precision, which weights in double precision may come from.
            eps = max(torch.finfo(kind).eps for kind in (centers.dtype, torch.float32))
            allowed = 2 * eps * max(1.0, last)
            if last > low and (centers.double() - grid).abs().max() <= allowed:
                continue
        end = "" if high is None else f" to {high:g}"
        raise InputError(f"is no even grid from {low:g}{end}", file=path, field=name)


def _sizes(name: str, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Arguments of :func:`build_model`, as far as tensors tell."""
    config: dict[str, Any] = {
        size: len(state[tensor])
        for size, tensor in _LENGTHS.items()
        if tensor in state and state[tensor].ndim
    }
    config["alignn_layers"] = _count("alignn_layers", state)
    config["conv_layers"] = _count("gcn_layers", state)
    if name == "MPT" and (properties := _count("conv_to_fc", state)):
        config["properties"] = properties
    if BOND_CENTERS in state:
        # By way of the shortest text that means the number: 5.1, not 5.099999904632568.
        last = state[BOND_CENTERS][-1].double()
        single = last.float()
        config["bond_cutoff"] = float(str((single if single == last else last).numpy()))
    for size in ("bond_bins", "angle_bins", "bond_cutoff"):
        if config.get(size) == inspect.signature(ALIGNN).parameters[size].default:
            del config[size]
    return config


def _count(kind: str, state: Mapping[str, Tensor]) -> int:
    pattern = re.compile(rf"{kind}\.(\d+)\.")
    return len({match[1] for name in state if (match := pattern.match(name))})


def _outline(name: str, config: Mapping[str, Any]) -> Model:
    """A model that has shapes, but takes no memory."""
    with torch.device("meta"):
        return build_model(name, **config)


def _only_fit(state: Mapping[str, Tensor], path: str | PathLike[str]) -> str:
    """The one model that has just these tensors."""
    differences = {
        name: reference_differences(_outline(name, _sizes(name, state)), state)
        for name in PUBLISHED
    }
    fits = [name for name, found in differences.items() if not found]
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise InputError(
            f"may be {', '.join(fits[:-1])} or {fits[-1]}, which have the same tensors; "
            "say which with --model",
            file=path,
        )
    nearest = min(differences, key=lambda name: sum(map(len, differences[name].values())))
    listed = _listed(differences[nearest], most=3)
    raise InputError(f"is a state dict of no model here, nearest {nearest}; {listed}", file=path)


def _listed(differences: Mapping[str, list[str]], most: int | None = None) -> str:
    """Differences in words, of each kind no more than so many."""
    kinds = []
    for kind, which in differences.items():
        more = len(which) - len(which[:most])
        kinds.append(f"{kind}: {', '.join(which[:most])}" + (f" and {more} more" if more else ""))
    return "; ".join(kinds)
