"""Files of weights as this package or torch writes them, and the tensors in them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import torch
from torch import Tensor

from linegraph.convert import reference_state_dict
from linegraph.domain import Domain
from linegraph.ensemble import Ensemble
from linegraph.ensemble_file import save_ensemble
from linegraph.intervals import calibrate
from linegraph.models import BandModel, Model, build_model
from linegraph.weights import save_weights
from tests.ensembles import with_potential
from training.forest import grow
from training.kernel_machine import fit_machine

CONFIG: dict[str, Any] = {
    "hidden": 8, "alignn_layers": 1, "conv_layers": 1, "embedding": 8, "head": 8,
}  # fmt: skip
BAND: dict[str, Any] = {
    "hidden": 8, "head": 8, "trees": 3, "leaves": 6, "supports": 20, "machines": 2,
    "tree_share": 0.5,
}  # fmt: skip
SETTINGS: dict[str, Any] = {
    "canonical": False, "max_neighbors": 12, "shell_tol": 1e-3, "lattice_decimals": None,
}  # fmt: skip


@cache
def original(kind: str) -> tuple[bytes, dict[str, Tensor]]:
    """A file as this package or torch writes it, and the tensors in it."""
    torch.manual_seed(1)
    path = Path(mkdtemp()) / "model"
    if kind == "weights":
        model = build_model("MODEL-4", **CONFIG)
        save_weights(path, model, "MODEL-4", CONFIG, SETTINGS)
        return path.read_bytes(), model.state_dict()
    if kind == "band":
        grown = _band()
        save_weights(path, grown, "BAND-1", BAND, SETTINGS)
        return path.read_bytes(), grown.state_dict()
    if kind in ("ensemble", "potential"):
        ensemble = _ensemble()
        if kind == "potential":
            ensemble = with_potential(ensemble)
        save_ensemble(path, ensemble)
        return path.read_bytes(), tensors_of(ensemble)
    model = build_model("MODEL-3", **CONFIG)
    zipped = kind == "zip"
    torch.save(reference_state_dict(model), path, _use_new_zipfile_serialization=zipped)
    return path.read_bytes(), model.state_dict()


def _band() -> Model:
    """A BAND-1 whose trees and kernel machine say something."""
    model = build_model("BAND-1", **BAND)
    assert isinstance(model, BandModel)
    random = np.random.default_rng(1)
    features, roots = random.normal(size=(20, model.forest.features)), random.random(20)
    grown = grow(features, roots, BAND["trees"], BAND["leaves"], seed=0)
    model.forest.load_state_dict(grown.state_dict())
    fitted = fit_machine(features, roots, BAND["supports"], 0, machines=2, share=0.5)
    model.machine.load_state_dict(fitted.state_dict())
    return model


def _ensemble() -> Ensemble:
    random = np.random.default_rng(1)
    members = tuple(build_model("MODEL-3", **CONFIG).eval() for _ in range(2))
    names = tuple(f"record {i}" for i in range(20))
    member = np.arange(20) % 2
    domain = Domain(names, member, random.normal(size=(2, 20, 8)).astype(np.float32))
    target, predicted = random.random((2, 20))
    calibration = calibrate(target, predicted, domain.held_out, member)
    return Ensemble("MODEL-3", CONFIG, SETTINGS, members, domain, calibration)


def tensors_of(ensemble: Ensemble) -> dict[str, Tensor]:
    """Those of the members, and of the machine of its potential."""
    found = {
        f"{k}.{name}": tensor
        for k, member in enumerate(ensemble.members)
        for name, tensor in member.state_dict().items()
    }
    if ensemble.potential is not None:
        machine = ensemble.potential.correction.machine.state_dict()
        found |= {f"potential.{name}": tensor for name, tensor in machine.items()}
    return found


def same(found: dict[str, Tensor], kind: str) -> None:
    """Refuse other tensors than those of the original of a kind."""
    wanted = original(kind)[1]
    assert set(found) == set(wanted)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted), "other weights"
