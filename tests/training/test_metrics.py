from __future__ import annotations

import csv
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import training.metrics as module
from linegraph.errors import InputError
from training.metrics import paired_mae_difference, regression_metrics, trivial_predictions

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "barriers" / "published_predictions.csv"
KEYS = ["r2", "mae", "rmse", "r2_se", "mae_se", "n"]

values = st.floats(-1e6, 1e6)
pairs = st.lists(st.tuples(values, values), min_size=1, max_size=20)


def test_known_values() -> None:
    metrics = regression_metrics([0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 5.0])
    assert list(metrics) == KEYS
    assert metrics["r2"] == pytest.approx(1 - 4 / 5)
    assert metrics["mae"] == pytest.approx(0.5)
    assert metrics["rmse"] == pytest.approx(1.0)
    assert metrics["n"] == 4


def test_standard_errors_are_those_of_a_plain_bootstrap() -> None:
    random = np.random.default_rng(1)
    target = random.normal(size=60)
    prediction = target + 0.4 * random.normal(size=60)
    metrics = regression_metrics(target, prediction, resamples=4000)
    r2, mae = [], []
    for _ in range(4000):
        drawn = random.choice(60, size=60)
        t, p = target[drawn], prediction[drawn]
        r2.append(1 - np.sum((p - t) ** 2) / np.sum((t - t.mean()) ** 2))
        mae.append(np.mean(np.abs(p - t)))
    # 4,000 resamples know a standard deviation to about 1.1 %.
    assert metrics["r2_se"] == pytest.approx(np.std(r2), rel=0.08)
    assert metrics["mae_se"] == pytest.approx(np.std(mae), rel=0.06)


def test_standard_error_of_the_mean_error_is_the_textbook_one() -> None:
    error = np.random.default_rng(0).exponential(size=500)
    metrics = regression_metrics(np.zeros(500), error, resamples=4000)
    assert metrics["mae_se"] == pytest.approx(error.std() / np.sqrt(500), rel=0.06)


def test_resamples_without_spread_are_left_out() -> None:
    # Half of all resamples draw one record twice; the others all have the R2 of the two.
    metrics = regression_metrics([0.1, 0.7], [0.2, 0.6])
    assert metrics["r2"] == pytest.approx(1 - 0.02 / 0.18)
    assert metrics["r2_se"] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("target", [[0.3], [0.3, 0.3], [0.1] * 7, [0.0] * 3, [0.3, 0.1 + 0.2]])
def test_r2_is_none_where_it_is_undefined(target: list[float]) -> None:
    metrics = regression_metrics(target, np.arange(len(target)) * 0.1)
    assert metrics["r2"] is None
    assert metrics["r2_se"] is None
    assert metrics["mae_se"] >= 0


@settings(deadline=None)
@given(pairs)
def test_metrics_are_always_json_without_nan_or_warning(pairs: list[tuple[float, float]]) -> None:
    target, prediction = zip(*pairs, strict=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics = regression_metrics(target, prediction, resamples=50)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    assert 0 <= metrics["mae"] <= metrics["rmse"] * (1 + 1e-9) + 1e-100
    if len(set(target)) == 1:
        assert metrics["r2"] is None


def test_seed_decides_the_resamples() -> None:
    random = np.random.default_rng(0)
    data = random.normal(size=30), random.normal(size=30)
    assert regression_metrics(*data, seed=1) == regression_metrics(*data, seed=1)
    assert regression_metrics(*data, seed=1)["mae_se"] != regression_metrics(*data)["mae_se"]


def test_block_by_block_draws_as_many_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 70)
    blocks = [drawn.shape for drawn in module._resampled(30, 5, 0)]
    assert blocks == [(2, 30), (2, 30), (1, 30)]
    assert [drawn.shape for drawn in module._resampled(100, 2, 0)] == [(1, 100), (1, 100)]


@pytest.mark.parametrize(
    ("target", "prediction", "message"),
    [
        ([], [], "no records"),
        ([1.0, 2.0], [1.0], "2 targets but 1 predictions"),
        ([1.0, float("nan")], [1.0, 2.0], "record 1, field target"),
        ([1.0, None], [1.0, 2.0], "record 1, field target"),
        ([1.0, 2.0], [float("inf"), 2.0], "record 0, field prediction"),
        ([1.0, 2.0], [[1.0], [2.0]], r"got shape \(2, 1\)"),
        (["a", "b"], [1.0, 2.0], "not a list of numbers"),
    ],
)
def test_unusable_input_is_refused(target: Any, prediction: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        regression_metrics(target, prediction)
    with pytest.raises(InputError, match=message):
        paired_mae_difference(target, prediction, prediction)


def test_one_resample_is_too_few() -> None:
    with pytest.raises(InputError, match="at least 2 resamples"):
        regression_metrics([1.0, 2.0], [1.0, 2.0], resamples=1)


def test_paired_difference_is_signed() -> None:
    target = np.linspace(0, 1, 20)
    worse, better = target + 0.3, target - 0.1
    difference, error = paired_mae_difference(target, worse, better)
    assert difference == pytest.approx(0.2)
    assert error == pytest.approx(0.0, abs=1e-12)
    assert paired_mae_difference(target, better, worse)[0] == pytest.approx(-0.2)


def test_pairing_cancels_what_is_hard_for_both() -> None:
    random = np.random.default_rng(0)
    hard = random.exponential(size=400)
    gain = 0.05 + 0.02 * random.normal(size=400)
    difference, error = paired_mae_difference(np.zeros(400), hard + 1, hard + 1 - gain)
    assert difference == pytest.approx(gain.mean())
    assert error == pytest.approx(gain.std() / np.sqrt(400), rel=0.1)


def test_trivial_predictions() -> None:
    predicted = trivial_predictions(
        [1.0, 3.0, 8.0, 12.0], ["olivine", "olivine", "spinel", ""], ["spinel", "olivine", "x", ""]
    )
    assert list(predicted) == ["train mean", "class mean"]
    np.testing.assert_allclose(predicted["train mean"], [6.0] * 4)
    np.testing.assert_allclose(predicted["class mean"], [8.0, 2.0, 6.0, 6.0])


def test_trivial_predictions_check_their_input() -> None:
    with pytest.raises(InputError, match="1 targets but 2 classes"):
        trivial_predictions([1.0], ["a", "b"], ["a"])
    with pytest.raises(InputError, match="no records"):
        trivial_predictions([], [], ["a"])


def test_published_predictions_score_as_published() -> None:
    if not PUBLISHED.is_file():
        pytest.skip("the barrier data are not beside the repository")
    with PUBLISHED.open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == "train"]
    target = [float(row["em_eV"]) for row in rows]
    for model, mae, r2 in [(1, 0.241, 0.562), (2, 0.218, 0.579), (3, 0.085, 0.941)]:
        metrics = regression_metrics(target, [float(row[f"model_{model}_eV"]) for row in rows])
        assert metrics["n"] == 559
        assert metrics["mae"] == pytest.approx(mae, abs=5e-4)
        assert metrics["r2"] == pytest.approx(r2, abs=5e-4)
