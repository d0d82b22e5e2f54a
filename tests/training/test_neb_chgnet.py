"""CHGNet for real: its precision, and a band of a small crystal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.bands import Band
from training.neb.calculators import Potential
from training.neb.run import neb
from training.records import write_bands

from ..bands import rock_salt_band
from ..errors import message_of

pytest.importorskip("chgnet")

pytestmark = pytest.mark.filterwarnings("ignore:Converting a tensor:UserWarning")


def atoms(jitter: float = 0.0) -> Any:
    from ase.build import bulk

    crystal = bulk("NaCl", "rocksalt", a=5.64)
    crystal.positions += np.random.default_rng(0).normal(scale=jitter, size=(2, 3))
    return crystal


def test_float64_is_chgnet_without_its_rounding() -> None:
    double, single = (
        Potential(options={"dtype": dtype}).load() for dtype in ("float64", "float32")
    )
    assert double.version.startswith("chgnet 0.") and "model 0.3.0" in double.version
    here = atoms(0.1)
    forces = double.calculator.get_property("forces", here)
    assert forces.dtype == np.float64
    np.testing.assert_allclose(forces, single.calculator.get_property("forces", here), atol=2e-4)
    energy = double.calculator.get_property("energy", here)
    assert energy == pytest.approx(float(single.calculator.get_property("energy", here)), abs=1e-4)
    # Forces are the slope of the energy to digits that single precision has not.
    step, slopes = 1e-4, []
    for sign in (1, -1):
        moved = here.copy()
        moved.positions[0, 0] += sign * step
        slopes.append(double.calculator.get_property("energy", moved))
    assert -(slopes[0] - slopes[1]) / (2 * step) == pytest.approx(forces[0, 0], abs=1e-5)


def test_a_band(tmp_path: Path) -> None:
    data = tmp_path / "data.json"
    write_bands(data, [Band("LiCl", rock_salt_band("Li", "Cl", 5.1), None)])
    found = neb(tmp_path / "run", data=data, relax=False, steps=2, progress=False)
    (result,) = found.results
    assert result.error is None
    assert result.evaluations == 2 + 3 * 3
    # The crystal is symmetric about the middle of the hop, and the ion has to climb.
    assert result.forward > 0.1
    assert result.forward == pytest.approx(result.backward, abs=1e-6)
    assert result.energies[1] == pytest.approx(result.energies[3], abs=1e-6)
    # No record has a target.
    assert found.metrics == {}


def test_weights_and_options_that_are_none(tmp_path: Path) -> None:
    bad = tmp_path / "bad.pth.tar"
    bad.write_bytes(b"nothing")
    said = message_of(Potential(weights=bad).load)
    assert str(bad) in said and "no readable weights" in said
    assert "model=0.3.0|0.2.0|r2scan" in message_of(Potential(options={"model": "9"}).load)
    assert "colour=1" in message_of(Potential(options={"colour": 1}).load)
    both = Potential(weights=bad, options={"model": "0.2.0"})
    assert "either" in message_of(both.load)
