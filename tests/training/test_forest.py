from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor

from linegraph.nn import Forest
from tests.errors import message_of
from training.forest import grow

TREES = 7
FloatArray = NDArray[np.float64]


def table(n: int, features: int = 9, missing: float = 0.2) -> tuple[FloatArray, FloatArray]:
    """Records with gaps, a column that is empty and one of few different numbers."""
    random = np.random.default_rng(n)
    x = random.normal(size=(n, features))
    y = np.sin(x[:, 0]) + x[:, 1] ** 2 + 0.1 * random.normal(size=n)
    x[:, 3] = np.round(x[:, 3])
    x[random.random(x.shape) < missing] = np.nan
    x[:, 2] = np.nan
    return x, y


def filled(x: FloatArray) -> NDArray[np.float32]:
    """By the rule, and in the numbers that scikit-learn looks at."""
    single = x.astype(np.float32)
    for column in single.T:
        known = column[~np.isnan(column)]
        column[np.isnan(column)] = np.median(known) if len(known) else 0
    return single


def stock(x: FloatArray, y: FloatArray, **settings: Any) -> ExtraTreesRegressor:
    model = ExtraTreesRegressor(TREES, max_features=0.4, random_state=3, **settings)
    return model.fit(filled(x), y)


def said(forest: Forest, x: Any) -> NDArray[np.float64]:
    """Values of leaves ``[n, T]``."""
    found: NDArray[np.float64] = forest(torch.as_tensor(x)).double().numpy()
    return found


def test_weights() -> None:
    x, y = table(200)
    counts = np.random.default_rng(1).uniform(0.1, 2, 200)
    forest = grow(x, y, TREES, 16, seed=3, weights=counts)
    model = ExtraTreesRegressor(TREES, max_features=0.4, random_state=3, max_leaf_nodes=16)
    model.fit(filled(x), y, sample_weight=counts)
    np.testing.assert_allclose(said(forest, x).mean(1), model.predict(filled(x)), atol=1e-6)
    assert np.abs(said(grow(x, y, TREES, 16, seed=3), x) - said(forest, x)).max() > 0.01


@pytest.mark.parametrize(("n", "limit"), [(200, None), (200, 200), (200, 199), (200, 16), (200, 2)])
def test_says_what_scikit_learn_says(n: int, limit: int | None) -> None:
    x, y = table(n)
    forest = grow(x, y, TREES, limit or 512, seed=3)
    model = stock(x, y, max_leaf_nodes=limit if limit and limit < n else None)
    new, _ = table(300)
    gaps = np.isnan(new)
    known = np.where(gaps, np.asarray(forest.fill), new).astype(np.float32)
    for rows, theirs in ((x, filled(x)), (new, known)):
        # Every tree, not only their mean.
        each = np.array([tree.predict(theirs) for tree in model.estimators_]).T
        assert np.array_equal(said(forest, rows).astype(np.float32), each.astype(np.float32))
        whole = forest(torch.as_tensor(rows)).mean(1).double().numpy()
        np.testing.assert_allclose(whole, model.predict(theirs), rtol=1e-6, atol=1e-6)


def test_tells_records_apart_that_it_has_room_for() -> None:
    x, y = table(100, missing=0)
    full = grow(x, y, TREES, 100, seed=0)
    assert np.allclose(said(full, x), y[:, None], rtol=1e-6)
    assert (said(full, x).std(axis=1) < 1e-6).all()


@pytest.mark.parametrize("limit", [2, 3, 16, 60])
def test_limit_of_leaves(limit: int) -> None:
    forest = grow(*table(80), TREES, limit, seed=0)
    assert forest.leaves == limit and forest.feature.shape == (TREES, 2 * limit - 1)
    assert ((forest.feature >= 0).sum(1) == limit - 1).all()
    x = np.random.default_rng(1).normal(scale=3, size=(4000, 9))
    values = [len(np.unique(column)) for column in said(forest, x).T]
    assert 1 < max(values) <= limit


def test_gaps_are_filled_by_medians_of_the_training_records() -> None:
    x = np.array([[1.0, np.nan, 3e38], [4.0, np.nan, 3.2e38], [np.nan, np.nan, 3.3e38]] * 2)
    forest = grow(x, np.arange(6.0), TREES, 8, seed=0)
    assert forest.fill.tolist() == [2.5, 0.0, float(np.float32(3.2e38))]
    x[::3, 2] = np.nan
    x[2::3, 2] = np.nan
    x[1, 2] = 3.4e38
    forest = grow(x, np.arange(6.0), TREES, 8, seed=0)
    assert forest.fill[2] == pytest.approx(3.3e38)  # the sum of the two is too large for float32


def test_few_records() -> None:
    one = grow([[1.0, np.nan]], [0.25], TREES, 4, seed=0)
    assert said(one, [[9.0, 9.0]]).tolist() == [[0.25] * TREES]
    equal = grow([[1.0]] * 5, [1, 2, 3, 4, 5], TREES, 4, seed=0)
    assert said(equal, [[0.0]]).tolist() == [[3.0] * TREES]


def test_same_input_and_seed_give_the_same_bytes() -> None:
    x, y = table(60)
    before = x.copy()
    first, again, other = (grow(x, y, TREES, 32, seed) for seed in (1, 1, 2))
    assert np.array_equal(x, before, equal_nan=True)
    for name, tensor in first.state_dict().items():
        assert tensor.numpy().tobytes() == again.state_dict()[name].numpy().tobytes()
    assert not torch.equal(first.value, other.value)
    singles = grow(x.astype(np.float32), y, TREES, 32, 1)
    assert torch.equal(first.threshold, singles.threshold)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1e-40, 1e-30, 1.0, 1e6, 1e36]))
def test_records_at_thresholds(seed: int, scale: float) -> None:
    """Between neighbours of float32 a threshold of float64 lies; both sides have to agree."""
    random = np.random.default_rng(seed)
    # Few different numbers close to each other: thresholds fall between neighbours.
    low = np.float32(scale * random.normal())
    steps = [low]
    for _ in range(6):
        steps.append(np.nextafter(steps[-1], np.float32(np.inf)))
    x = random.choice(np.array(steps), size=(20, 2))
    x[::4] = np.float32(scale) * random.normal(size=(5, 2)).astype(np.float32)
    y = random.normal(size=20)
    forest = grow(x, y, TREES, 20, seed=3)
    model = ExtraTreesRegressor(TREES, max_features=0.4, random_state=3).fit(x, y)
    tests = [x[:, 0], np.array(steps)]
    for tree in model.estimators_:
        near = tree.tree_.threshold[tree.tree_.feature >= 0].astype(np.float32)
        tests += [near, np.nextafter(near, -np.float32(np.inf)), np.nextafter(near, near + 1)]
    column = np.unique(np.concatenate(tests))
    for pair in (np.stack([column, column], 1), np.stack([column, column[::-1]], 1)):
        theirs = np.array([tree.predict(pair) for tree in model.estimators_]).T
        assert np.array_equal(said(forest, pair), theirs.astype(np.float32))


def test_thresholds_that_float32_holds_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are rare enough that scikit-learn has to be helped to one."""
    x, y = np.round(2 * np.random.default_rng(0).normal(size=(50, 3))) / 2, np.arange(50.0)
    model = ExtraTreesRegressor(TREES, max_features=0.4, random_state=3).fit(x, y)
    for tree in model.estimators_:
        tree.tree_.threshold[:] = np.floor(2 * tree.tree_.threshold) / 2
    theirs = np.array([tree.predict(x) for tree in model.estimators_]).T
    monkeypatch.setattr("sklearn.ensemble.ExtraTreesRegressor", lambda **_: model)
    monkeypatch.setattr(model, "fit", lambda *_, **__: model)
    assert np.array_equal(said(grow(x, y, TREES, 64, 3), x), theirs.astype(np.float32))


def test_input_that_no_tree_grows_on() -> None:
    x, y = table(10)
    assert "targets" in message_of(lambda: grow(x, y[:-1], TREES, 8, 0))
    assert "targets" in message_of(lambda: grow(x[:0], y[:0], TREES, 8, 0))
    assert "targets" in message_of(lambda: grow(x[:, :0], y, TREES, 8, 0))
    assert "targets" in message_of(lambda: grow(y, y, TREES, 8, 0))
    assert message_of(lambda: grow(x, y, TREES, 1, 0)) == (
        "field leaves: trees have at least 2 leaves, not 1"
    )
    for bad in (np.inf, -np.inf, 1e39):
        x[4, 5] = bad
        assert message_of(lambda: grow(x, y, TREES, 8, 0)) == (
            "record 4, field 5: a feature is infinite"
        )
    for bad in (np.nan, np.inf, 1e39):
        x, y = table(10)
        y[7] = bad
        assert message_of(lambda: grow(x, y, TREES, 8, 0)) == (  # noqa: B023
            "record 7: a target is NaN or infinite"
        )
