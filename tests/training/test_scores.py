"""Scores, and their errors by resampling compounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import precision_score, r2_score, recall_score, roc_auc_score

from tests.errors import message_of
from tests.goldens import SHARED, needs_data
from training.judging.predictions import Predictions, read_table
from training.judging.resampled import resampled_metrics
from training.judging.scores import METRICS, Paired, Score, paired_difference, scores
from training.judging.table import _verdict

BARRIERS = SHARED / "data" / "barriers"


def predictions(
    target: Sequence[float], prediction: Sequence[float], systems: str = "", **changes: Any
) -> Predictions:
    """Records r0, r1, ... of compounds that are letters, by default one each."""
    n = len(target)
    given = Predictions(
        name="model",
        protocol="5 folds by system",
        train_fraction=1.0,
        path=Path("run"),
        names=[f"r{i}" for i in range(n)],
        split=["test"] * n,
        system=list(systems) or [f"s{i}" for i in range(n)],
        family=[""] * n,
        ion=["Li"] * n,
        fold=["1"] * n,
        seed=[0] * n,
        target=np.array(target, dtype=np.float64),
        prediction=np.array(prediction, dtype=np.float64),
        std=np.full(n, np.nan),
    )
    return replace(given, **changes)


def together(*parts: Predictions) -> Predictions:
    """The rows of several seeds, 0, 1, ..., as those of one run."""
    first = parts[0]
    names = ("names", "split", "system", "family", "ion", "fold")
    lists = {name: [v for part in parts for v in getattr(part, name)] for name in names}
    arrays = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("target", "prediction", "std")
    }
    seed = [number for number, part in enumerate(parts) for _ in part.names]
    return replace(first, seed=seed, **lists, **arrays)


def by_library(target: Any, prediction: Any, threshold: float) -> dict[str, float]:
    """What scikit-learn and SciPy say of records written out one by one; NaN where undefined."""
    positive, said = target < threshold, prediction < threshold
    constant = len(set(target)) < 2 or len(set(prediction)) < 2
    nan = float("nan")
    return {
        "mae": float(np.abs(target - prediction).mean()),
        "rmse": float(np.sqrt(((target - prediction) ** 2).mean())),
        "r2": float(r2_score(target, prediction)) if len(set(target)) > 1 else nan,
        "spearman": nan if constant else float(spearmanr(target, prediction).statistic),
        "accuracy": float((positive == said).mean()),
        "precision": float(precision_score(positive, said)) if said.any() else nan,
        "recall": float(recall_score(positive, said)) if positive.any() else nan,
        "roc_auc": roc_auc_score(positive, -prediction) if len(set(positive)) > 1 else nan,
    }


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 8))
def test_a_resample_is_its_records_written_out(seed: int, n: int, levels: int) -> None:
    """With ties of targets, of predictions, and of both kinds with the threshold."""
    random = np.random.default_rng(seed)
    target = random.integers(levels, size=n) / 4
    prediction = random.integers(levels, size=n) / 4
    counts = random.integers(3, size=(6, n))
    counts[counts.sum(axis=1) == 0, 0] = 1
    found = resampled_metrics(target, prediction, 0.5, counts)
    assert tuple(found) == METRICS
    for row, count in enumerate(counts):
        whole = np.repeat(np.arange(n), count)
        expected = by_library(target[whole], prediction[whole], 0.5)
        for name, value in expected.items():
            assert found[name][row] == pytest.approx(value, abs=1e-12, nan_ok=True), name


def test_scores_by_hand() -> None:
    found = scores(predictions([0.2, 0.4, 0.8, 1.0], [0.3, 0.7, 0.6, 1.4]), threshold=0.65)
    assert tuple(found) == METRICS
    assert {name: score.value for name, score in found.items()} == pytest.approx(
        {
            "mae": 0.25,
            "rmse": np.sqrt(0.3 / 4),
            "r2": 1 - 0.3 / 0.4,
            "spearman": 0.8,
            "accuracy": 0.5,
            "precision": 0.5,
            "recall": 0.5,
            "roc_auc": 0.75,
        }
    )
    assert all(score.error is not None and score.error > 0 for score in found.values())
    # At another threshold everything below it is found, and nothing else.
    found = scores(predictions([0.2, 0.4, 0.8, 1.0], [0.3, 0.7, 0.6, 1.4]), threshold=1.0)
    assert [found[name].value for name in ("accuracy", "precision", "recall")] == [1, 1, 1]


def test_compounds_are_resampled_not_records() -> None:
    target, said = [0.5] * 4, [0.5, 0.5, 1.5, 1.5]
    mae, alike = scores(predictions(target, said, "aabb"), resamples=4000)["mae"]
    assert mae == 0.5
    # Two compounds drawn: mean 0, 1/2 or 1 with chances 1/4, 1/2, 1/4.
    assert alike == pytest.approx(np.sqrt(1 / 8), abs=0.01)
    _, apart = scores(predictions(target, said, "abcd"), resamples=4000)["mae"]
    assert apart == pytest.approx(0.25, abs=0.01)
    # Compounds of three records and of one: mean 0, 1/4 or 1.
    uneven = predictions([0.5] * 4, [0.5, 0.5, 0.5, 1.5], "aaab")
    found = scores(uneven, resamples=4000)
    assert found["mae"].error == pytest.approx(0.375, abs=0.01)
    back = {
        name: getattr(uneven, name)[::-1]
        for name in ("names", "system", "target", "prediction", "std")
    }
    # Wherever the rows of a compound are.
    both = scores(together(uneven, replace(uneven, **back)), resamples=4000)
    assert both["mae"] == pytest.approx(found["mae"])


def test_what_is_undefined() -> None:
    none = Score(None, None)
    # One compound: nobody knows how others would do.
    assert scores(predictions([0.2, 0.8], [0.3, 0.9], "aa"))["mae"] == (pytest.approx(0.1), None)
    found = scores(predictions([0.7, 0.8, 0.9], [0.9, 0.8, 1.0]))
    assert [found[name] for name in ("precision", "recall", "roc_auc")] == [none] * 3
    assert found["accuracy"].value == 1
    found = scores(predictions([0.2, 0.3, 0.9], [0.8, 0.8, 0.8]))
    assert [found[name] for name in ("precision", "spearman")] == [none] * 2
    assert (found["recall"].value, found["roc_auc"].value) == (0, 0.5)
    found = scores(predictions([0.2, 0.2, 0.2], [0.1, 0.2, 0.3]))
    assert [found[name] for name in ("r2", "spearman", "roc_auc")] == [none] * 3


def test_several_seeds() -> None:
    random = np.random.default_rng(0)
    target = random.uniform(0.2, 1.2, size=30)
    said = [target + random.normal(scale=0.3, size=30) for _ in range(2)]
    single = [predictions(list(target), list(one)) for one in said]
    alone = [scores(one) for one in single]
    both = scores(together(*single))
    twice = scores(together(single[0], single[0]))
    for name in METRICS:
        values = [one[name].value for one in alone]
        assert both[name].value == pytest.approx(np.mean([v for v in values if v is not None]))
        # The same compounds for both: seeds that agree tell no more than one.
        assert twice[name] == pytest.approx(alone[0][name])
    errors = [score["mae"].error or 0 for score in (both, *alone)]
    assert 0 < errors[0] <= max(errors[1:])


def test_records_without_a_target_are_passed_over() -> None:
    whole = predictions([0.2, 0.4, 0.9], [0.3, 0.5, 0.7])
    more = predictions([0.2, 0.4, 0.9, np.nan], [0.3, 0.5, 0.7, 0.1])
    assert scores(more) == scores(whole)
    assert paired_difference(more, whole).n == 3
    nothing = predictions([np.nan], [0.3])
    assert message_of(lambda: scores(nothing)) == "run: no record has a target to judge by"


def test_a_record_counts_once() -> None:
    given = predictions([0.2, 0.2], [0.3, 0.4], names=["a", "a"], split=["train", "test"])
    for attempt in (lambda: scores(given), lambda: paired_difference(given, given)):
        assert message_of(attempt) == "run, record 'a': predicted in several splits"
    assert scores(given.of("test"))["mae"].value == pytest.approx(0.2)


def test_paired_difference() -> None:
    random = np.random.default_rng(1)
    target = random.uniform(0.2, 1.2, size=200)
    hard = random.normal(scale=0.5, size=200)
    systems = [f"s{i // 2}" for i in range(200)]
    a = predictions(list(target), list(target + hard), system=systems)
    b = predictions(list(target), list(target + 0.9 * hard), system=systems, name="other")
    found = paired_difference(a, b)
    assert found.mae == pytest.approx(0.1 * np.abs(hard).mean())
    assert found.low < found.mae < found.high
    # Of 95 %: 90 % would have 1.64 in place of 1.96.
    assert found.high - found.low == pytest.approx(2 * 1.96 * found.error, rel=0.1)
    # What is hard for both cancels: far less spread than that of either error.
    assert found.error < 0.2 * (scores(a)["mae"].error or 0)
    assert paired_difference(b, a)[:2] == pytest.approx((-found.mae, found.error))
    assert paired_difference(a, a)[:4] == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.05, 0.3, "worse"), (-0.3, -0.05, "better"), (-0.1, 0.3, "cannot be told apart"),
     (-0.3, 0.1, "cannot be told apart")],
)  # fmt: skip
def test_a_verdict_is_that_of_the_interval(low: float, high: float, verdict: str) -> None:
    assert _verdict(Paired((low + high) / 2, 0.1, low, high, 9)) == verdict


def test_paired_on_what_both_predict() -> None:
    a = predictions([0.2, 0.4, 0.6], [0.3, 0.4, 0.9])
    b = predictions([0.4, 0.6, 0.8], [0.6, 0.6, 0.8], names=["r1", "r2", "r3"])
    found = paired_difference(a, b)
    assert (found.n, found.mae) == (2, pytest.approx(0.15 - 0.1))
    # The mean error of the seeds, wherever their rows are.
    two = together(a, replace(a, prediction=np.array([0.3, 0.6, 0.9])))
    assert paired_difference(two, b).mae == pytest.approx((0.1 + 0.3) / 2 - 0.1)
    one = paired_difference(a.rows(np.array([True, False, False])), a)
    assert one.n == 1 and np.isnan([one.error, one.low, one.high]).all()

    other = replace(b, target=b.target + 0.1)
    assert "record 'r1': target 0.4 eV for model" in message_of(lambda: paired_difference(a, other))
    stranger = replace(b, names=["x", "y", "z"], name="stranger")
    assert "model and stranger predict no record in common" in message_of(
        lambda: paired_difference(a, stranger)
    )


def test_resamples_repeat_and_are_enough() -> None:
    given = predictions([0.2, 0.4, 0.9], [0.3, 0.5, 0.7])
    assert scores(given, seed=1) == scores(given, seed=1) != scores(given, seed=2)
    for attempt in (
        lambda: scores(given, resamples=1),
        lambda: paired_difference(given, given, resamples=1),
    ):
        assert "at least 2 resamples" in message_of(attempt)


@needs_data
@pytest.mark.parametrize(
    ("file", "name", "mae", "r2"),
    [
        ("published_predictions", "model_1", 0.241, 0.562),
        ("published_predictions", "model_2", 0.218, 0.579),
        ("published_predictions", "model_3", 0.085, 0.941),
        ("published_predictions", "model_4", 0.166, 0.834),
        ("tabulation", "mace_neb_relax", 0.366, 0.093),
    ],
)
def test_published_numbers(file: str, name: str, mae: float, r2: float) -> None:
    """Those of the data card, from the authors' own predictions."""
    by_name = {one.name: one for one in read_table(BARRIERS / f"{file}.csv")}
    found = scores(by_name[name].of("train"), resamples=2)
    assert found["mae"].value == pytest.approx(mae, abs=5.001e-4)
    assert found["r2"].value == pytest.approx(r2, abs=5.001e-4)
