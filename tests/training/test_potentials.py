"""What barriers of a potential are worth beside a model, learned from held-out records."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from linegraph.domain import Domain
from linegraph.intervals import calibrate
from linegraph.potential import HIGHEST
from tests.bands import some_bands
from tests.errors import message_of
from tests.goldens import SHARED, needs_data
from training.bands import Band
from training.data import load_bands
from training.kernel_machine import fit_machine
from training.neb.table import NebTable, read_neb
from training.potentials import (
    FEWEST,
    PARTS,
    check_enough,
    fit_correction,
    learn_potential,
    nested,
)

FloatArray = NDArray[np.float64]

#: What the model says, and the potential: near it half of the difference is the truth, and where
#: it is far off the model is right.
RANDOM = np.random.default_rng(0)
SAID = RANDOM.uniform(0.7, 1.9, 120)
FAR = np.arange(120) % 3 == 0
APART = np.where(FAR, RANDOM.uniform(2, 4, 120), RANDOM.uniform(-0.6, 0.6, 120))
POTENTIAL = SAID + APART
TARGET = np.where(FAR, SAID, (SAID + POTENTIAL) / 2)
SYSTEMS = [f"s{i // 4}" for i in range(120)]


def table(**barriers: float) -> NebTable:
    return NebTable(Path("t.csv"), "m_eV", "", barriers, ("x", "y"))


def records(count: int, compounds: int) -> list[Band]:
    cell = some_bands(1)[0].cell
    return [Band(f"r{i}", cell, 0.3 + 0.05 * i, f"s{i % compounds}") for i in range(count)]


def error(said: FloatArray) -> float:
    return float(np.abs(said - TARGET).mean())


def test_a_machine_learns_when_to_believe_a_potential() -> None:
    learned = fit_correction(TARGET, SAID, POTENTIAL)
    assert error(learned(SAID, POTENTIAL)) < 0.6 * error(SAID)
    up, down = learned([1.0, 1.5], [1.4, 2.0]), learned([1.0, 1.5], [0.6, 1.1])
    assert ((up > [1.1, 1.6]) & (up < [1.2, 1.75])).all()
    assert ((down < [0.9, 1.4]) & (down > [0.8, 1.3])).all()
    assert learned([1.0, 1.5], [4.0, 5.0]) == pytest.approx([1.0, 1.5], abs=0.1)


def test_of_the_machine_only_what_says_something_is_kept() -> None:
    # Records without a barrier are not learned from, and have a say in no quantile.
    given = np.where(np.arange(120) < 100, POTENTIAL, np.nan)
    kept = fit_correction(TARGET, SAID, given).machine
    said, goal = np.sqrt(SAID[:100]), np.sqrt(POTENTIAL[:100])
    z = np.stack([said, goal - said], axis=1)
    whole = fit_machine(z, np.sqrt(TARGET[:100]) - said, 100, 0, decay=0.3, penalty=0.3, tube=0.03)
    assert kept(torch.from_numpy(z)).tolist() == pytest.approx(
        whole(torch.from_numpy(z)).tolist(), abs=1e-6
    )
    assert 0 < kept.supports < 100
    assert kept.weight.all()
    # A model that is right needs no step, and its machine no support.
    nothing = fit_correction(SAID, SAID, POTENTIAL)
    assert nothing.machine.supports == 1
    assert nothing(SAID, POTENTIAL) == pytest.approx(SAID)


def test_what_is_judged_teaches_nothing() -> None:
    found = nested(TARGET, SAID, POTENTIAL, SYSTEMS)
    assert error(found) < 0.6 * error(SAID)
    # What is true of one compound is of no concern to it, but to those of other parts.
    own = np.array([system == "s7" for system in SYSTEMS])
    other = nested(np.where(own, 5.0, TARGET), SAID, POTENTIAL, SYSTEMS)
    assert (other[own] == found[own]).all()
    assert (other != found).mean() > 0.5
    # Nor are other records of it, if all are of one compound but a few.
    systems = ["s" if i < 60 else f"s{i}" for i in range(120)]
    found = nested(np.where(np.arange(120) < 60, TARGET, SAID), SAID, POTENTIAL, systems)
    assert found[:60] == pytest.approx(SAID[:60])
    # Where there is no barrier nothing is said.
    given = np.where(np.arange(120) % 5 > 0, POTENTIAL, np.nan)
    found = nested(TARGET, SAID, given, SYSTEMS)
    assert (found[::5] == SAID[::5]).all()
    assert error(found) < 0.8 * error(SAID)


def test_too_few_to_learn_from() -> None:
    bands = records(30, PARTS)
    enough = {f"r{i}": 0.5 for i in range(FEWEST)}
    check_enough(table(**enough, strange=0.3), bands)
    line = message_of(lambda: check_enough(table(r0=0.1, strange=0.3), bands))
    told = "has barriers of 1 records of 1 compounds (2 not used: not converged, or both ends in"
    assert line.startswith(f"t.csv, field m_eV: {told}")
    assert line.endswith("to learn what they are worth takes 20 records of 5 compounds")
    del enough["r0"]
    assert "19 records of 5" in message_of(lambda: check_enough(table(**enough), bands))
    all_of_them = {band.name: 0.5 for band in bands}
    line = message_of(lambda: check_enough(table(**all_of_them), records(30, PARTS - 1)))
    assert "30 records of 4 compounds" in line
    line = message_of(lambda: check_enough(table(strange=0.3), bands))
    assert "has a barrier of none of the 30 hops (2 not used" in line


def test_what_is_learned_is_of_the_records_with_a_barrier() -> None:
    bands = records(30, 7)
    random = np.random.default_rng(0)
    target = np.array([band.target for band in bands], dtype=np.float64)
    said = target + random.normal(scale=0.2, size=30)
    member = np.arange(30) % 3
    domain = Domain(
        tuple(band.name for band in bands), member, random.normal(size=(3, 30, 4)).astype("f4")
    )
    # A potential that is right, of all but every fourth record.
    having = np.arange(30) % 4 > 0
    barriers = {b.name: t for b, t, has in zip(bands, target, having, strict=True) if has}
    found = learn_potential(table(**barriers), bands, said, domain)
    assert found.source == "m_eV of t.csv"
    own = fit_correction(target[having], said[having], target[having])
    assert (found.correction(said, target) == own(said, target)).all()
    systems = [band.system for band, has in zip(bands, having, strict=True) if has]
    after = nested(target[having], said[having], target[having], systems)
    assert found.mae == pytest.approx(
        (np.abs(said - target)[having].mean(), np.abs(after - target[having]).mean())
    )
    assert found.mae[1] < 0.5 * found.mae[0]
    expected = calibrate(target[having], after, domain.held_out[having], member[having])
    assert found.calibration.scores == pytest.approx(expected.scores)
    assert found.calibration.member.tolist() == member[having].tolist()
    numbers = [(c.offset, c.slope, c.reach) for c in (found.calibration, expected)]
    assert numbers[0] == numbers[1]
    # What is said of the others is of no concern.
    other = learn_potential(table(**barriers), bands, np.where(having, said, 9.0), replace(domain))
    assert other.figures() == found.figures()


def page(name: str) -> str:
    path = Path(__file__).parents[2] / "docs" / name
    return " ".join(path.read_text(encoding="utf-8").split())


def test_what_the_page_says_it_is_worth_and_takes() -> None:
    """The numbers are those of the results, which a command that stands there has printed."""
    told = page("predict.md")
    assert f"it takes {FEWEST} records with a barrier, of {PARTS} compounds" in told
    number = r"(\d\.\d{3})"
    said = re.findall(
        rf"becomes {number} instead of {number} eV, less by {number} \({number} to {number}\)", told
    )
    ((after, before, less, low, high),) = said
    results = page("results.md")
    assert f"**{after} ± " in results
    assert f"less by {less} ({low} to {high})" in results
    assert f"{before} ± " in results


@needs_data
def test_the_published_barriers_alone() -> None:
    data = SHARED / "data" / "barriers"
    neb = read_neb(data / "tabulation.csv", "mace_neb_relax_eV")
    of = [band for band in load_bands(data / "train.json.gz").bands if band.name in neb.barriers]
    errors = [abs(neb.barriers[band.name] - (band.target or 0.0)) for band in of]
    assert len(of) == 556
    assert f"The published barriers alone have {np.mean(errors):.3f}" in page("predict.md")


@needs_data
def test_no_published_barrier_is_taken_for_another_unit() -> None:
    with (SHARED / "data" / "barriers" / "tabulation.csv").open(newline="") as table_:
        rows = [row for row in csv.DictReader(table_) if row["split"] == "train"]
    columns = ("em_eV", "mace_neb_relax_eV", "mace_neb_no_relax_eV")
    said = [[float(row[column]) for row in rows if row[column]] for column in columns]
    dft, relaxed, as_they_are = map(max, said)
    assert max(dft, relaxed) < HIGHEST < as_they_are
    told = page("predict.md")
    assert f"Above {HIGHEST:g} eV a barrier is refused" in told
    assert f"none is above {dft:.2f} eV by DFT, and none above {relaxed:.2f} by MACE" in told
    beyond = sum(barrier > HIGHEST for barrier in said[2])
    assert f"with ends that are not relaxed {beyond} of {len(said[2])} are" in told
