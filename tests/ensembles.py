"""An ensemble of random weights, calibrated all the same, and a fixture for ``conftest.py``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

import linegraph as library
from linegraph.domain import Domain
from linegraph.embedding import values_and_embeddings
from linegraph.ensemble import Ensemble
from linegraph.ensemble_file import save_ensemble
from linegraph.intervals import calibrate
from linegraph.potential import Potential
from training.bands import Band
from training.potentials import fit_correction
from training.starter import starter_bands

CONFIG = {"hidden": 8, "alignn_layers": 1, "conv_layers": 1, "head": 8}


def ensemble_of(bands: list[Band]) -> Ensemble:
    """Two models with random weights, calibrated on bands that each has half of."""
    members = []
    for seed in range(2):
        torch.manual_seed(seed)
        members.append(library.build_model("MODEL-4", **CONFIG).eval())
    graphs = [library.views(band.cell, members[0].views) for band in bands]
    batch = {
        name: Batch.from_data_list([graph[name] for graph in graphs]) for name in members[0].views
    }
    said = [values_and_embeddings(member, batch) for member in members]
    of = np.arange(len(bands)) % 2
    domain = Domain(tuple(band.name for band in bands), of, np.stack([one for _, one in said]))
    held_out = np.stack([values for values, _ in said])[of, np.arange(len(bands))]
    targets = [band.target or 0.0 for band in bands]
    calibration = calibrate(targets, held_out, domain.held_out, of)
    return Ensemble("MODEL-4", CONFIG, {}, tuple(members), domain, calibration)


def with_potential(ensemble: Ensemble) -> Ensemble:
    """The same, and it has learned of a potential from all records but the first.

    The truth was in the middle between the model and the potential.
    """
    assert ensemble.domain is not None
    random = np.random.default_rng(0)
    said, apart_by = random.uniform(-0.5, 1.5, 40), random.uniform(-0.4, 0.4, 40)
    correction = fit_correction(said + apart_by / 2, said, said + apart_by)
    member, apart = ensemble.domain.member[1:], ensemble.domain.held_out[1:]
    errors = np.random.default_rng(1).normal(scale=0.03, size=len(member))
    calibration = calibrate(0.5 + errors, np.full(len(member), 0.5), apart, member)
    potential = Potential(correction, "m_eV of table.csv", calibration, (0.25, 0.125))
    return replace(ensemble, potential=potential)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an ensemble that knows some of the starter set."""
    path = tmp_path_factory.mktemp("weights") / "ensemble.safetensors"
    save_ensemble(path, ensemble_of(starter_bands()[:14]))
    return path
