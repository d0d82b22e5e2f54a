"""Barriers that are moved towards those of a potential, and ensembles that have learned to."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from scipy.stats import norm

import linegraph.ensemble
from linegraph.ensemble import Ensemble
from linegraph.ensemble_file import load_ensemble, save_ensemble
from linegraph.nn import KernelMachine
from linegraph.potential import HIGHEST, Correction, checked_barriers
from linegraph.prediction import predict_bands
from linegraph.weights import load_weights
from tests.ensembles import with_potential
from tests.errors import message_of
from tests.linegraph.test_ensemble import KNOWN, NEW, made, rewrite, seen

HOPS = [*NEW, KNOWN[0]]


@pytest.fixture(scope="module")
def plain() -> Ensemble:
    return made()


@pytest.fixture(scope="module")
def ensemble(plain: Ensemble) -> Ensemble:
    return with_potential(plain)


@pytest.fixture
def path(ensemble: Ensemble, tmp_path: Path) -> Path:
    file = tmp_path / "model.safetensors"
    save_ensemble(file, ensemble)
    return file


def format_of(path: Path) -> str:
    with safe_open(path, framework="pt") as file:
        told: str = json.loads(file.metadata()["linegraph"])["format"]
        return told


def constant(step: float) -> Correction:
    """A correction whose machine says the same of everything."""
    machine = KernelMachine(2, 1)
    machine.load_state_dict({"intercept": torch.tensor([step])}, strict=False)
    return Correction(machine)


def test_a_step_of_roots_is_kept_in_between() -> None:
    said, beside = np.array([0.25, 0.25, 0.25, 0.25]), np.array([0.64, 0.36, 0.09, 0.25])
    # From a root of 0.5 by 0.2, but not past 0.6, and not away from 0.3 and from 0.5.
    assert constant(0.2)(said, beside) == pytest.approx([0.49, 0.36, 0.25, 0.25])
    assert constant(-0.1)(said, beside) == pytest.approx([0.25, 0.25, 0.16, 0.25])
    # Roots have signs: from -0.3 by 0.4, and from 0.1 by -0.4.
    assert constant(0.4)([-0.09], [0.25]) == pytest.approx([0.01])
    assert constant(-0.4)([0.01], [-0.25]) == pytest.approx([-0.09])


def test_the_machine_sees_what_is_said_and_how_far_it_is() -> None:
    machine = KernelMachine(2, 2, quantiles=2)
    state = {
        "quantile": torch.tensor([[0.0, -1.0], [1.0, 1.0]]),
        "support": torch.tensor([[0.3, -0.2], [-1.0, 0.5]]),
        "weight": torch.tensor([[0.2, -0.1]]),
        "intercept": torch.tensor([0.05]),
        "decay": torch.tensor(0.7),
    }
    machine.load_state_dict(state, strict=False)
    said, beside = 0.36, 0.81
    # Ranks of a root of 0.6 between 0 and 1, and of 0.9 - 0.6 between -1 and 1.
    scores = norm.ppf([0.6, 0.65])
    far = 0.7 * 3**0.5 * np.linalg.norm(scores - [[0.3, -0.2], [-1.0, 0.5]], axis=1)
    step = 0.05 + ((1 + far) * np.exp(-far)) @ [0.2, -0.1]
    assert 0 < step < 0.3
    found = Correction(machine)(np.array([said]), np.array([beside]))
    assert found == pytest.approx([(0.6 + step) ** 2], abs=1e-6)


def test_shapes_and_barriers_that_are_missing(ensemble: Ensemble) -> None:
    assert ensemble.potential is not None
    correction = ensemble.potential.correction
    said = np.random.default_rng(0).uniform(0.1, 1.0, (3, 4))
    beside = np.array([np.nan, 0.4, np.nan, 1.1])
    found = correction(said, beside)
    assert found.shape == (3, 4)
    assert (found[:, [0, 2]] == said[:, [0, 2]]).all()
    assert (found[:, [1, 3]] != said[:, [1, 3]]).all()
    for row, of in zip(found, said, strict=True):
        assert correction(of, beside) == pytest.approx(row, abs=1e-6)
    assert (correction(said, np.full(4, np.nan)) == said).all()
    assert correction(np.empty((3, 0)), np.empty(0)).shape == (3, 0)


def test_where_there_is_no_barrier_nothing_changes(plain: Ensemble, ensemble: Ensemble) -> None:
    said = plain.predict(HOPS)
    assert ensemble.predict(HOPS) == said
    assert ensemble.predict(HOPS, potential=[None] * 4) == said
    mixed = ensemble.predict(HOPS, potential=[None, said[1].value + 0.1, None, None])
    assert [a == b for a, b in zip(mixed, said, strict=True)] == [True, False, True, True]
    assert [one.potential is None for one in mixed] == [True, False, True, True]


def test_every_member_takes_the_step(ensemble: Ensemble) -> None:
    assert ensemble.potential is not None
    assert ensemble.domain is not None
    both = [seen(member, HOPS) for member in ensemble.members]
    said = np.stack([values for values, _ in both])
    distances, _ = ensemble.domain.place(np.stack([vectors for _, vectors in both]))
    # One in between what the members say, one above, and two that are absurd.
    given = np.array([said[:, 0].mean(), said[:, 1].max() + 0.2, 0.0, HIGHEST])
    found = ensemble.predict(HOPS, level=0.8, threshold=0.7, potential=given.tolist())
    for i, barrier in enumerate(found):
        moved = ensemble.potential.correction(said[:, i], given[i])
        assert moved != pytest.approx(said[:, i], abs=1e-4)
        assert barrier.value == pytest.approx(moved.mean(), abs=1e-6)
        assert barrier.potential == given[i]
        expected = ensemble.potential.calibration.distribution(moved, distances[:, i])
        assert (barrier.low, barrier.high) == pytest.approx(expected.interval(0.8), abs=1e-5)
        assert barrier.below == pytest.approx(expected.below(0.7), abs=0.05)
    # Errors of the second calibration are smaller, and it has a record less.
    wide = ensemble.predict(HOPS[:1], level=0.8)[0]
    assert found[0].high - found[0].low < 0.8 * (wide.high - wide.low)  # type: ignore[operator]
    line = message_of(lambda: ensemble.predict(HOPS, level=0.92, potential=given.tolist()))
    assert "calibrated on 11 records" in line
    assert ensemble.predict(HOPS, level=0.92)


def test_batches_change_nothing(ensemble: Ensemble, monkeypatch: pytest.MonkeyPatch) -> None:
    given = [0.4, None, 0.9, 0.1]
    together = ensemble.predict(HOPS, potential=given)
    monkeypatch.setattr(linegraph.ensemble, "BUDGET", 1)
    for one, other in zip(ensemble.predict(HOPS, potential=given), together, strict=True):
        assert one[:3] == pytest.approx(other[:3], abs=1e-4)
        assert one.potential == other.potential


def test_from_a_file(path: Path) -> None:
    one, other = predict_bands(NEW[:2], weights=path, potential=[0.2, None])
    assert (one.potential, other.potential) == (0.2, None)


@pytest.mark.parametrize(
    "bad", [float("nan"), float("inf"), -0.01, 10.1, 650.0, True, "0.3", [0.3], 10**400]
)
def test_what_is_no_barrier(bad: Any, ensemble: Ensemble) -> None:
    line = message_of(lambda: ensemble.predict(HOPS, potential=[None, 0.0, bad, 0.3]))
    assert line.startswith("record 2, field potential: expected a barrier of 0 to 10 eV, got ")
    assert line.endswith(": is it in eV?") == (bad in (10.1, 650.0, float("inf")))


def test_barriers_that_cannot_be_used(plain: Ensemble, ensemble: Ensemble) -> None:
    line = message_of(lambda: ensemble.predict(HOPS, potential=[0.3] * 3))
    assert line == "field potential: 3 barriers for 4 bands"
    for given in ([0.3] * 4, [None] * 4):
        line = message_of(lambda given=given: plain.predict(HOPS, potential=given))  # type: ignore[misc]
        assert line.startswith("field potential: these weights have not learned")
    assert checked_barriers([np.float64(0.5), 1], 2).tolist() == [0.5, 1.0]
    with pytest.raises(ValueError, match="without a calibration"):
        replace(ensemble, domain=None, calibration=None)


def test_what_is_saved_is_loaded(path: Path, ensemble: Ensemble, tmp_path: Path) -> None:
    other = load_ensemble(path)
    given = [0.4, None, 0.9, 0.1]
    assert other.predict(HOPS, potential=given) == ensemble.predict(HOPS, potential=given)
    assert other.potential is not None
    assert ensemble.potential is not None
    assert other.potential.figures() == ensemble.potential.figures()
    assert other.potential.figures() == {
        "source": "m_eV of table.csv",
        "n": 11,
        "mae": 0.25,
        "mae_with": 0.125,
    }
    save_ensemble(tmp_path / "again.safetensors", other)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_files_without_are_as_they_were(path: Path, plain: Ensemble, tmp_path: Path) -> None:
    """Who does not know of potentials reads these files, and refuses those."""
    save_ensemble(tmp_path / "plain.safetensors", plain)
    assert format_of(tmp_path / "plain.safetensors") == "linegraph-ensemble-1"
    assert format_of(path) == "linegraph-ensemble-2"
    assert load_ensemble(tmp_path / "plain.safetensors").potential is None
    assert "holds several models" in message_of(lambda: load_weights(path))


def changed(**values: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Changes what is said of the potential."""
    return lambda told: {"potential": {k: v for k, v in {**told, **values}.items() if v != "gone"}}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda _: {"format": "linegraph-ensemble-1"}, "a potential in linegraph-ensemble-1"),
        (lambda _: {"potential": "gone"}, "none in linegraph-ensemble-2"),
        (lambda _: {"potential": None}, "nothing by name"),
        (lambda _: {"potential": [1]}, "nothing by name"),
        (lambda _: {"records": "gone"}, "without a calibration"),
        (changed(source=3), "no short text"),
        (changed(source="a\nb"), "no short text"),
        (changed(source="m" * 501), "no short text"),
        (changed(mae=[0.2]), "does not fit"),
        (changed(mae=[0.2, float("nan")]), "out of range"),
        (changed(mae=[-0.2, 0.1]), "out of range"),
        (changed(offset=0.0), "out of range"),
        (changed(slope="gone"), "does not fit"),
        (changed(reach=-1), "out of range"),
    ],
)
def test_file_that_says_something_else(
    change: Callable[[dict[str, Any]], dict[str, Any]], problem: str, path: Path
) -> None:
    with safe_open(path, framework="pt") as file:
        told = json.loads(file.metadata()["linegraph"])["potential"]

    def forget(state: dict[str, Any]) -> None:
        if problem == "without a calibration":
            for name in ("member", "scores", "embeddings"):
                del state[name]

    rewrite(path, change(told), forget)
    line = message_of(lambda: load_ensemble(path))
    assert line.startswith(str(path))
    assert problem in line


RECORDS, MACHINE = ("member", "scores"), "potential.machine."


def cut(name: str, part: Any) -> Callable[[dict[str, Any]], None]:
    """Leaves a part of a tensor of the machine."""
    return lambda s: s.update({f"{MACHINE}{name}": s[f"{MACHINE}{name}"][part].clone()})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda s: s.pop("potential.scores"), "does not fit"),
        (lambda s: s.pop("potential.member"), "does not fit"),
        (lambda s: s.update({"potential.more": torch.zeros(1)}), "unknown tensor potential.more"),
        (lambda s: s["potential.scores"].neg_(), "scores are negative"),
        (lambda s: s["potential.scores"].fill_(float("nan")), "field potential.scores: holds NaN"),
        (lambda s: s["potential.member"].fill_(3), "a member that is not there"),
        (lambda s: s["potential.member"].fill_(-1), "a member that is not there"),
        (
            lambda s: s.update({"potential.member": s["potential.member"].float()}),
            "not numbered",
        ),
        (
            lambda s: s.update({"potential.scores": s["potential.scores"][:5].clone()}),
            "members [11] and scores [5]",
        ),
        (
            lambda s: s.update({f"potential.{k}": s[f"potential.{k}"][:0] for k in RECORDS}),
            "members [0] and scores [0]",
        ),
        (lambda s: s.pop(f"{MACHINE}support"), "does not fit"),
        (lambda s: s.pop(f"{MACHINE}weight"), "does not fit"),
        (lambda s: s.update({f"{MACHINE}more": torch.zeros(1)}), "does not fit"),
        (cut("support", slice(0)), "supports [0, 2] of a potential"),
        (cut("support", 0), "supports [2] of a potential"),
        (cut("support", slice(3)), "weight of a kernel machine is no tensor of shape [1, 3]"),
        (cut("quantile", slice(9)), "quantile of a kernel machine is no tensor"),
        (cut("fill", slice(1)), "fill of a kernel machine is no tensor"),
        (lambda s: s[f"{MACHINE}decay"].zero_(), "decay of a kernel machine is 0"),
        (lambda s: s[f"{MACHINE}quantile"].neg_(), "do not ascend"),
        (lambda s: s[f"{MACHINE}seen"].zero_(), "sees no feature"),
        (lambda s: s[f"{MACHINE}support"].fill_(float("nan")), "holds NaN or infinite"),
        (lambda s: s[f"{MACHINE}weight"].fill_(3e38), "machine are too large"),
        (lambda s: s[f"{MACHINE}weight"].mul_(0.5), "is damaged"),
        (lambda s: s["potential.scores"].mul_(0.5), "is damaged"),
    ],
)
def test_damaged_tensors(change: Callable[[Any], Any], problem: str, path: Path) -> None:
    rewrite(path, {}, change)
    line = message_of(lambda: load_ensemble(path))
    assert line.startswith(str(path))
    assert problem in line
