"""Weights in the repository: they say what they said when they were made, and can be built on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pymatgen.core import Lattice, Structure

import linegraph
from linegraph.weights import load_weights
from tests.integration.command import linegraph as command

WEIGHTS = Path(__file__).parents[1] / "weights" / "mpt-small.safetensors"

#: Rock salt, as predicted when the weights were made; in units 12 GPa, a PBE gap of 4.5 eV, ...
SALT = {
    "gv": -0.2068, "ph": -0.9042, "pz": -0.9875, "dc": -0.9556,
    "ebg": 0.3269, "fe": -0.3142, "bg": -0.0645,
}  # fmt: skip


def test_rock_salt_is_what_it_was() -> None:
    weights = load_weights(WEIGHTS)
    salt = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )
    graphs = linegraph.views(salt, weights.model.views, **weights.graph_settings)
    with torch.no_grad():
        (said,) = weights.model(graphs).tolist()
    assert weights.outputs == tuple(SALT)
    assert said == pytest.approx(list(SALT.values()), abs=2e-4)


def test_a_barrier_model_starts_from_them(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["--recipe", "transfer-all", "--epochs", 1, "--set", "val=0", "--out", out]
    command("train", "--init", WEIGHTS, *words)
    assert load_weights(out).name == "MODEL-3"
