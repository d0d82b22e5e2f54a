"""What barriers of a potential are worth beside a model, learned from held-out records."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from linegraph.domain import Domain
from linegraph.intervals import calibrate
from linegraph.nudge import Nudge
from tests.bands import some_bands
from tests.errors import message_of
from tests.goldens import SHARED, needs_data
from training.bands import Band
from training.data import load_bands
from training.neb.table import NebTable, read_neb
from training.nudging import FEWEST, PARTS, best_nudge, check_enough, learn_potential, nested

#: What is true, what the model says (always too low), and the potential, absurd about one.
TARGET = np.linspace(0.2, 1.9, 18)
SAID = TARGET - 0.1
POTENTIAL = np.where(np.arange(18) == 17, 50.0, TARGET + 0.1)
SYSTEMS = [f"s{i // 2}" for i in range(18)]


def table(**barriers: float) -> NebTable:
    return NebTable(Path("t.csv"), "m_eV", "", barriers, ("x", "y"))


def records(count: int, compounds: int) -> list[Band]:
    cell = some_bands(1)[0].cell
    return [Band(f"r{i}", cell, 0.3 + 0.05 * i, f"s{i % compounds}") for i in range(count)]


def test_the_best_step() -> None:
    # Half of the difference is the truth; beyond 0.2 eV only the absurd one differs.
    assert best_nudge(TARGET, SAID, POTENTIAL) == Nudge(0.5, 0.2)
    assert best_nudge(SAID, SAID, POTENTIAL).weight == 0


def test_what_is_judged_chooses_nothing() -> None:
    assert nested(TARGET, SAID, POTENTIAL, SYSTEMS) == pytest.approx(TARGET, abs=1e-6)
    # Of a record whose own potential is wrong by much, the others' step is taken all the same.
    wrong = POTENTIAL.copy()
    wrong[3] = SAID[3] - 0.2
    assert nested(TARGET, SAID, wrong, SYSTEMS)[3] == pytest.approx(SAID[3] - 0.1)
    # A large compound for which the potential is right, and others for which it is worth nothing:
    # of all records the step would be one, but the compound has no say in its own.
    own = np.arange(18) < 10
    target = np.where(own, TARGET, SAID)
    potential = np.where(own, TARGET + 0.1, SAID + 0.2 * (-1) ** np.arange(18))
    assert best_nudge(target, SAID, potential).weight > 0
    found = nested(target, SAID, potential, ["s" if of else f"s{i}" for i, of in enumerate(own)])
    assert found[own] == pytest.approx(SAID[own])
    assert (found[~own] != SAID[~own]).all()


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
    assert found.nudge == best_nudge(target[having], said[having], target[having])
    assert found.nudge.weight == 0.8
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
