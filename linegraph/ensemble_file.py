"""Files of several models that predict as one (:class:`linegraph.ensemble.Ensemble`)."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .embedding import head_of
from .ensemble import Ensemble
from .errors import InputError
from .known_records import potential_as_tensors, read_potential, read_records, records_as_tensors
from .models import Model
from .weights import (
    ENSEMBLE,
    check_finite,
    check_intact,
    fitting,
    load_weights,
    model_of,
    read_tensors,
    tensor_file,
    write_tensors,
)

#: What a file is, and what it is if there is a potential in it: who does not know of that would
#: leave it out.
FORMAT, WITH_POTENTIAL = f"{ENSEMBLE}1", f"{ENSEMBLE}2"

#: The weights that come with the package.
DEFAULT = Path(__file__).parent / "data" / "barrier.safetensors"


def save_ensemble(path: str | PathLike[str], ensemble: Ensemble) -> None:
    """Write an ensemble to one safetensors file.

    Args:
        path: the file.
        ensemble: what to write; weights are stored as float32.
    """
    state: dict[str, Tensor] = {}
    for k, member in enumerate(ensemble.members):
        for key, tensor in member.state_dict().items():
            whole = tensor.float() if tensor.is_floating_point() else tensor
            state[f"members.{k}.{key}"] = whole
    about: dict[str, Any] = {
        "format": FORMAT,
        "name": ensemble.name,
        "config": ensemble.config,
        "graph_settings": ensemble.graph_settings,
        "members": len(ensemble.members),
    }
    if ensemble.domain is not None and ensemble.calibration is not None:
        told, tensors = records_as_tensors(ensemble.domain, ensemble.calibration)
        about, state = {**about, **told}, {**state, **tensors}
    if ensemble.potential is not None:
        told, tensors = potential_as_tensors(ensemble.potential)
        about, state = {**about, **told, "format": WITH_POTENTIAL}, {**state, **tensors}
    write_tensors(path, state, about)


def load_ensemble(path: str | PathLike[str] | None = None) -> Ensemble:
    """Read an ensemble, or a single model as an ensemble of one.

    Args:
        path: a file of :func:`save_ensemble` or :func:`linegraph.weights.save_weights`, or the
            folder of a run; None for the weights that come with the package.

    Returns:
        The ensemble, on the CPU; that of a single model is not calibrated.

    Raises:
        InputError: no such file, not a file of ours, damaged, of another version, or of a model
            that predicts no barriers.
    """
    # Models are built with random weights before they get theirs.
    with torch.random.fork_rng(devices=[]):
        return _read(path)


def _read(path: str | PathLike[str] | None) -> Ensemble:
    if path is None:
        if not DEFAULT.is_file():
            raise InputError(
                "no weights come with this version: train a model and give --weights RUN"
            )
        path = DEFAULT
    file = tensor_file(path)
    about, state = read_tensors(file)
    if about.get("format") in (FORMAT, WITH_POTENTIAL):
        check_finite(state, file)
        with fitting(file):
            ensemble = _ensemble(about, state)
        check_intact(about, state, file)
        return ensemble
    one = load_weights(file)
    if one.outputs or not hasattr(one.model, "head"):
        raise InputError(
            f"holds {one.name}, which predicts properties of crystals and no barriers: train "
            "--init makes a barrier model of it",
            file=file,
        )
    return Ensemble(one.name, one.config, one.graph_settings, (one.model,))


def _ensemble(about: dict[str, Any], state: dict[str, Tensor]) -> Ensemble:
    """Of what is in a file; anything that does not fit raises."""
    name, config, settings = about["name"], about["config"], about["graph_settings"]
    rest = dict(state)
    members: list[Model] = []
    if about["members"] < 1:
        raise ValueError("no members")
    for k in range(about["members"]):
        prefix = f"members.{k}."
        own = {key: rest.pop(key) for key in state if key.startswith(prefix)}
        weights = {key.removeprefix(prefix): tensor for key, tensor in own.items()}
        members.append(model_of(name, config, settings, weights))
    head_of(members[0])
    domain, calibration, potential = None, None, None
    if "records" in about:
        domain, calibration = read_records(about, rest, members)
    if ("potential" in about) != (about["format"] == WITH_POTENTIAL):
        raise ValueError(f"a potential in {FORMAT}, or none in {WITH_POTENTIAL}")
    if "potential" in about:
        potential = read_potential(about, rest, members)
    if rest:
        raise ValueError(f"unknown tensor {min(rest)}")
    return Ensemble(name, config, settings, tuple(members), domain, calibration, potential)
