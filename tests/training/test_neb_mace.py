"""The real MACE with a tiny model nobody trained: wiring, no physics."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from training.bands import Band
from training.neb.calculators import Potential
from training.neb.run import neb
from training.records import write_bands

from ..bands import rock_salt_band
from ..errors import message_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("mace")

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as MACE's training writes it, of a model for Li and O."""
    from e3nn import o3
    from mace.modules import MACE, interaction_classes
    from torch.nn.functional import silu

    torch.manual_seed(0)
    block = interaction_classes["RealAgnosticResidualInteractionBlock"]
    model = MACE(
        r_max=4.0,
        num_bessel=4,
        num_polynomial_cutoff=5,
        max_ell=1,
        interaction_cls=block,
        interaction_cls_first=block,
        num_interactions=2,
        num_elements=2,
        hidden_irreps=o3.Irreps("8x0e"),
        MLP_irreps=o3.Irreps("4x0e"),
        gate=silu,
        atomic_energies=np.array([-1.0, -2.0]),
        avg_num_neighbors=12.0,
        atomic_numbers=[3, 8],
        correlation=1,
    )
    path = tmp_path_factory.mktemp("mace") / "tiny.model"
    torch.save(model, path)
    return path


def test_a_band(weights: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.json"
    bands = [Band("LiO", rock_salt_band(), 0.5), Band("NaO", rock_salt_band("Na"), 0.5)]
    write_bands(data, bands)
    before = torch.get_default_dtype(), os.environ.get("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
    found = neb(
        tmp_path / "run", data=data, calculator="mace", weights=weights, relax=False, steps=1,
        progress=False,
    )  # fmt: skip
    good, bad = found.results
    assert good.error is None
    assert good.evaluations == 2 + 3 * 2
    assert np.isfinite(good.energies).all() and len(set(good.energies)) > 1
    assert good.forward == pytest.approx(max(good.energies) - good.energies[0])
    # The model does not know Na.
    assert bad.error is not None
    # Importing and running MACE changes both for the whole process.
    after = torch.get_default_dtype(), os.environ.get("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
    assert after == before


def test_it_computes_in_float64(weights: Path) -> None:
    from ase.build import bulk

    loaded = Potential("mace", weights).load()
    assert loaded.version.startswith("mace-torch 0.") and "weights " in loaded.version
    crystal = bulk("LiO", "rocksalt", a=4.2)
    crystal.positions[0] += [0.1, 0.05, 0.0]
    step, energies = 1e-4, []
    with loaded.ready() as calculator:
        forces = calculator.get_property("forces", crystal)
        assert forces.dtype == np.float64
        for sign in (1, -1):
            moved = crystal.copy()
            moved.positions[0, 0] += sign * step
            energies.append(calculator.get_property("energy", moved))
    slope = (energies[0] - energies[1]) / (2 * step)
    assert abs(slope) > 1e-6
    assert -slope == pytest.approx(forces[0, 0], rel=1e-4)


def test_files_that_are_none(weights: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.model"
    bad.write_bytes(weights.read_bytes()[:100])
    said = message_of(Potential("mace", bad).load)
    assert str(bad) in said and "no readable weights" in said
    torch.save({"not": "a model"}, bad)
    said = message_of(Potential("mace", bad).load)
    assert str(bad) in said and "mace cannot use it" in said
