"""Barriers by nudged elastic bands, where they are known in closed form."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from linegraph.ends import Ends
from linegraph.structure import Cell
from training.bands import Band
from training.neb.band import path_of
from training.neb.relax import Result, Settings, relax_band

from ..errors import message_of
from .neb_calculators import HOP, Wave, WaveCalculator, wave_band, wave_ends


def relaxed(band: Band, settings: Settings | None = None, **options: Any) -> Result:
    result = relax_band(band, WaveCalculator(**options), settings or Settings())
    assert result.error is None
    return result


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_barrier_of_a_symmetric_hop() -> None:
    result = relaxed(wave_band("x"), Settings(fmax=0.01))
    assert result.converged and result.ends_converged == [True, True] and result.band_converged
    assert result.note == ""
    assert math.isclose(result.forward, 0.6, abs_tol=2e-3)
    assert math.isclose(result.backward, 0.6, abs_tol=2e-3)
    # Straight through the bend, the middle is far above the saddle.
    straight = relaxed(wave_band("x"), Settings(steps=0, relax=False))
    assert straight.forward > 2.0
    assert not straight.converged
    assert straight.force is not None and straight.force > 1
    assert result.force is not None and result.force < 0.01
    assert result.end_force is not None and result.end_force < 0.01


def test_forward_is_not_backward_and_the_saddle_is_climbed_to() -> None:
    wave = Wave(tilt=0.15)
    assert wave.forward - wave.backward == pytest.approx(0.15 * HOP)
    result = relaxed(wave_band("x"), Settings(fmax=0.005, climb=True), tilt=0.15)
    assert result.converged
    assert result.forward == pytest.approx(wave.forward, abs=1e-3)
    assert result.backward == pytest.approx(wave.backward, abs=1e-3)
    assert result.from_lowest == result.forward
    # Five images stay below it otherwise.
    plain = relaxed(wave_band("x"), Settings(fmax=0.005), tilt=0.15)
    assert plain.forward < wave.forward - 5e-3


def test_lowest_image_between_the_ends() -> None:
    """As of an end that lies above a site on the way (Na3OCl with CHGNet)."""
    result = relaxed(wave_band("x", first=-1.2, last=HOP), Settings(relax=False, images=9))
    assert result.from_lowest > result.forward + 0.05
    assert result.forward == max(result.energies) - result.energies[0]


def test_seven_images_are_spread_over_the_path() -> None:
    path = path_of(wave_band("x"), 7)
    np.testing.assert_allclose(path.places[:, 0, 0], np.linspace(0.2, 3.9, 7))
    assert path.places.shape == (7, 3, 3)
    result = relaxed(wave_band("x"), Settings(fmax=0.01, images=7))
    assert len(result.energies) == 7
    assert math.isclose(result.forward, 0.6, abs_tol=2e-3)


def test_ends_as_given_are_not_moved() -> None:
    result = relaxed(wave_band("x"), Settings(relax=False, fmax=0.01))
    assert result.ends_converged is None
    assert result.converged
    wave = Wave()
    at = wave.energy(0.2, 0, 0), wave.energy(HOP - 0.1, 0, 0)
    assert [result.energies[0], result.energies[-1]] == pytest.approx(at, abs=1e-12)
    assert result.forward < 0.6 - 0.01


def test_every_structure_is_evaluated_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    result = relaxed(wave_band("x"), Settings(relax=False), log=str(log))
    # The two ends once; the three images between once at the start, and once a step.
    assert result.evaluations == len(lines(log)) == 2 + 3 * (result.steps + 1)
    assert result.steps > 3


def test_not_converged_is_said() -> None:
    result = relaxed(wave_band("x"), Settings(steps=1))
    assert not result.converged
    assert result.ends_converged == [False, False]
    for word in ("not converged within 1 steps", "initial structure", "final structure", "band"):
        assert word in result.note
    assert len(result.energies) == 5


def test_remarks() -> None:
    down = relaxed(wave_band("x", first=2.0, last=4.0), Settings(relax=False))
    assert "an end is the highest image" in down.note
    assert down.forward == 0
    same = relaxed(wave_band("x", first=-0.8, last=0.9))
    assert "one site" in same.note


def test_path_of_a_band_is_unwrapped_image_by_image() -> None:
    band = wave_band("x")
    assert isinstance(band.cell, Cell)
    moved = band.cell.frac.copy()
    moved[[2, 4], 0] += 1
    moved[1, 1] -= 2
    wrapped = replace(band, cell=Cell(band.cell.lattice, moved, band.cell.numbers))
    np.testing.assert_allclose(path_of(wrapped).places, path_of(band).places, atol=1e-12)


def test_moved_ends_move_what_is_between_in_proportion() -> None:
    path = path_of(wave_band("x"))
    first, last = path.places[0].copy(), path.places[-1].copy()
    first[1] += [0, 0.4, 0]
    last[0] += [0.8, 0, 0]
    between = path.between(first, last)
    np.testing.assert_allclose(between[0], first, atol=1e-15)
    np.testing.assert_allclose(between[-1], last, atol=1e-15)
    np.testing.assert_allclose(between, np.linspace(first, last, 5), atol=1e-12)


def test_a_given_bend_is_kept() -> None:
    band = wave_band("x")
    assert isinstance(band.cell, Cell)
    bent = band.cell.frac.copy()
    bent[1:4, 1] += [0.05, 0.08, 0.05]
    path = path_of(replace(band, cell=Cell(band.cell.lattice, bent, band.cell.numbers)))
    assert path.places[2, 0, 1] == pytest.approx(0.8)
    shifted = path.between(path.places[0] + 0.1, path.places[-1] + 0.1)
    np.testing.assert_allclose(shifted, path.places + 0.1, atol=1e-12)


def test_two_ends_give_the_same_as_their_band() -> None:
    band = wave_band("x")
    ends = wave_ends(band)
    path = path_of(replace(band, cell=ends))
    np.testing.assert_allclose(path.places, path_of(band).places, atol=1e-12)
    assert path.note == ""
    # By a lattice translation, in another order, and in a cell of its own.
    final = ends.final
    order = [0, 2, 1]
    other = Cell(1.01 * final.lattice, final.frac[order] + [[1, 0, 0]], final.numbers[order])
    path = path_of(replace(band, cell=Ends(ends.initial, other)))
    np.testing.assert_allclose(path.places, path_of(band).places, atol=1e-12)
    for word in ("initial cell imposed", "0.12 Å", "reordered", "short way"):
        assert word in path.note


@pytest.mark.parametrize("images", [3, 4, 9])
def test_other_numbers_of_images_are_spread_by_length(images: int) -> None:
    """Where those given are not evenly spaced."""
    given = [[x / 10, 0.5, 0.5] for x in (0, 0.2, 0.4, 0.6, 3)]
    band = Cell(10 * np.eye(3), [*given, [0.5, 0, 0]], [3] * 5 + [8])
    path = path_of(Band("x", band), images)
    np.testing.assert_allclose(path.places[:, 0, 0], np.linspace(0, 3, images), atol=1e-12)


def test_atoms_are_paired_within_their_element() -> None:
    """Where those of two elements have changed places, both have moved."""
    lattice, ion = 9 * np.eye(3), [0.1, 0.1, 0.1]
    initial = Cell(lattice, [ion, [0.5, 0.5, 0.5], [0.6, 0.5, 0.5]], [3, 8, 9])
    final = Cell(lattice, [[0.3, 0.1, 0.1], [0.5, 0.5, 0.5], [0.6, 0.5, 0.5]], [3, 9, 8])
    path = path_of(Band("x", Ends(initial, final)))
    np.testing.assert_allclose(path.places[-1][1:] / 9, [[0.6, 0.5, 0.5], [0.5, 0.5, 0.5]])


def test_the_ion_is_the_same_at_both_ends() -> None:
    initial, final = wave_ends(wave_band("x"))
    order = [1, 0, 2]
    other = Cell(final.lattice, final.frac, final.numbers[order])
    assert "same atoms" in message_of(lambda: path_of(Band("x", Ends(initial, other))))


def test_ends_of_other_atoms_are_refused() -> None:
    initial, final = wave_ends(wave_band("x"))
    other = Cell(final.lattice, final.frac, [3, 9, 12])
    bad = Band("x", Ends(initial, other))
    assert "same atoms" in message_of(lambda: path_of(bad))
    assert "same atoms" in str(relax_band(bad, WaveCalculator(), Settings()).error)
