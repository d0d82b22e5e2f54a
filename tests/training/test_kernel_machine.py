from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.preprocessing import QuantileTransformer
from sklearn.svm import SVR

from linegraph.nn import KernelMachine
from tests.errors import message_of
from training.columns import medians
from training.kernel_machine import fit_machine

FloatArray = NDArray[np.float64]


def table(n: int, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    """Records with gaps, and columns of few different numbers that are rarest at their ends."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 7))
    y = np.sin(x[:, 0]) + x[:, 1] ** 2 + 0.1 * random.normal(size=n)
    x[:, 3] = np.round(x[:, 3])
    x[:, 4] = np.round(2 * x[:, 4])
    x[random.random(x.shape) < 0.2] = np.nan
    x[0, 3:5], x[1, 3:5] = -9, 9
    return x.astype(np.float32).astype(np.float64), y


def filled(x: FloatArray) -> FloatArray:
    found: FloatArray = np.where(np.isnan(x), np.nanmedian(x, axis=0), x)
    return found


def stock(x: FloatArray, new: FloatArray) -> FloatArray:
    """Normal scores by scikit-learn."""
    ranks = QuantileTransformer(n_quantiles=100, output_distribution="normal").fit(filled(x))
    gaps = np.where(np.isnan(new), np.nanmedian(x, axis=0), new)
    found: FloatArray = np.clip(ranks.transform(gaps), -3, 3)
    return found


def kernel(a: FloatArray, b: FloatArray, decay: float) -> FloatArray:
    far = np.sqrt(3) * decay * cdist(a, b)
    found: FloatArray = (1 + far) * np.exp(-far)
    return found


def said(machine: KernelMachine, x: Any) -> FloatArray:
    found: FloatArray = machine(torch.as_tensor(x)).double().numpy()
    return found


@pytest.mark.parametrize("n", [150, 240, 559])
def test_scores_of_scikit_learn(n: int) -> None:
    x, y = table(n)
    machine = fit_machine(x, y, n, seed=0)
    new, _ = table(300, seed=1)
    for rows in (x, new, 2 * new):
        scores = machine.scores(torch.as_tensor(rows)).numpy()
        np.testing.assert_allclose(scores, stock(x, rows), atol=3e-4)


@pytest.mark.parametrize(
    ("decay", "penalty", "tube"), [(0.03, 10, 0.05), (0.3, 1, 0.2), (1.0, 100, 0)]
)
def test_says_what_scikit_learn_says(decay: float, penalty: float, tube: float) -> None:
    x, y = table(240)
    machine = fit_machine(x, y, 300, seed=0, decay=decay, penalty=penalty, tube=tube)
    assert machine.support.shape == (300, 7)
    own = stock(x, x)
    model = SVR(kernel="precomputed", C=penalty, epsilon=tube, tol=1e-6)
    model.fit(kernel(own, own, decay), y)
    new, _ = table(300, seed=1)
    for rows in (x, new, 100 * new):
        theirs = model.predict(kernel(stock(x, rows), own, decay))
        # Both stop within 1e-3 of the optimum by default; ours does.
        np.testing.assert_allclose(said(machine, rows), theirs, atol=4e-3)


def test_says_what_scikit_learn_says_of_the_same_scores() -> None:
    x, y = table(240)
    machine = fit_machine(x, y, 240, seed=0)
    own = machine.scores(torch.as_tensor(x)).double().numpy()
    model = SVR(kernel="precomputed", C=10, epsilon=0.05).fit(kernel(own, own, 0.03), y)
    new = machine.scores(torch.as_tensor(table(300, seed=1)[0])).double().numpy()
    theirs = model.predict(kernel(new, own, 0.03))
    np.testing.assert_allclose(said(machine, table(300, seed=1)[0]), theirs, atol=1e-4)


def test_weights_share_out_the_penalty() -> None:
    x, y = table(120)
    counts = np.random.default_rng(1).uniform(0.1, 2, 120)
    machine = fit_machine(x, y, 120, seed=0, weights=counts)
    own = machine.scores(torch.as_tensor(x)).double().numpy()
    model = SVR(kernel="precomputed", C=10, epsilon=0.05)
    model.fit(kernel(own, own, 0.03), y, sample_weight=counts)
    theirs = model.predict(kernel(own, own, 0.03))
    np.testing.assert_allclose(said(machine, x), theirs, atol=1e-4)
    assert np.abs(said(fit_machine(x, y, 120, seed=0), x) - theirs).max() > 0.01
    # Of a sample, each record keeps its own.
    drawn = np.random.default_rng(3).choice(120, 50, replace=False)
    few = fit_machine(x, y, 50, seed=3, weights=counts, ruler=x)
    same = fit_machine(x[drawn], y[drawn], 50, seed=3, weights=counts[drawn], ruler=x)
    np.testing.assert_allclose(said(few, x), said(same, x), atol=1e-6)


def test_ruler() -> None:
    """Ranks are those among other rows; what is learned is of the records alone."""
    x, y = table(100)
    others = 3 * table(300, seed=2)[0]
    machine = fit_machine(x, y, 100, seed=0, ruler=others)
    longer = fit_machine(others, np.zeros(300), 300, seed=0)
    assert torch.equal(machine.quantile, longer.quantile)
    assert torch.equal(machine.fill, longer.fill)
    held = machine.support[machine.weight[0] != 0]
    known = machine.scores(torch.as_tensor(x))
    assert len(held) > 10 and torch.cdist(held, known).amin(1).max() < 1e-3


def test_weights_and_rulers_that_do_not_fit() -> None:
    x, y = table(20)
    for counts in ([1.0] * 19, [[1.0] * 20], [1.0] * 19 + [0.0], [1.0] * 19 + [np.nan]):
        assert "field weights" in message_of(lambda: fit_machine(x, y, 20, 0, weights=counts))  # noqa: B023
    for rows in (x[:, :6], x[0], x[:0]):
        assert message_of(lambda: fit_machine(x, y, 20, 0, ruler=rows))  # noqa: B023


def test_defaults() -> None:
    x, y = table(100)
    plain, named = (
        fit_machine(x, y, 100, 0, **chosen)
        for chosen in (
            {},
            {"decay": 0.03, "penalty": 10, "tube": 0.05, "machines": 1, "share": 1},
        )
    )
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, named.state_dict()[name])


def test_ends_that_many_records_share() -> None:
    """Their mean rank, where scikit-learn has the first and the last."""
    x = np.repeat([[0.0, 5], [0, 5], [1, 5], [2, 5]], 25, axis=0)
    machine = fit_machine(x, np.arange(100.0), 100, seed=0)
    scores = machine.scores(torch.tensor([[0.0, 5], [1, 4.9], [2, 5.1], [-1, 5]]))
    expected = torch.tensor([[-0.67, 0], [0.32, -3], [1.15, 3], [-3, 0]])
    torch.testing.assert_close(scores, expected, rtol=0, atol=0.05)
    assert stock(x, x)[0].tolist() == [-3, -3]


def test_gaps_are_filled_by_medians_of_the_training_records() -> None:
    x = np.array([[1.0, np.nan, 3e38], [4.0, np.nan, 3.2e38], [np.nan, np.nan, 3.3e38]] * 2)
    machine = fit_machine(x, np.arange(6.0), 8, seed=0)
    assert machine.fill.tolist() == [2.5, 0.0, float(np.float32(3.2e38))]
    assert machine.quantile[:, 1].tolist() == [0.0] * 100
    assert medians(x.astype(np.float32)).tolist() == machine.fill.tolist()
    assert np.isfinite(said(machine, x)).all()


def test_no_more_records_than_supports() -> None:
    x, y = table(200)
    machine = fit_machine(x, y, 50, seed=3)
    assert machine.support.shape == (50, 7)
    drawn = np.random.default_rng(3).choice(200, 50, replace=False)
    every = fit_machine(x, y, 200, seed=0)
    assert torch.equal(machine.quantile, every.quantile)
    assert torch.equal(machine.fill, every.fill)
    own = machine.scores(torch.as_tensor(x[drawn])).double().numpy()
    model = SVR(kernel="precomputed", C=10, epsilon=0.05).fit(kernel(own, own, 0.03), y[drawn])
    new = machine.scores(torch.as_tensor(x)).double().numpy()
    theirs = model.predict(kernel(new, own, 0.03))
    np.testing.assert_allclose(said(machine, x), theirs, atol=1e-4)


def test_padding() -> None:
    x, y = table(60)
    small, large = fit_machine(x, y, 60, seed=0), fit_machine(x, y, 200, seed=0)
    used = int((small.weight != 0).sum())
    assert 0 < used < 60 and (small.weight[0, used:] == 0).all()
    assert torch.equal(large.weight[:, :60], small.weight) and (large.weight[:, 60:] == 0).all()
    np.testing.assert_allclose(said(large, x), said(small, x), atol=1e-4)


def test_several_machines_are_as_many_regressions() -> None:
    """Each on the features that it sees, with a decay for so many."""
    x, y = table(120)
    machine = fit_machine(x, y, 150, seed=4, machines=5, share=0.4)
    assert machine.seen.sum(1).tolist() == [3] * 5  # of 7
    assert len({tuple(row) for row in machine.seen.tolist()}) > 2
    own = machine.scores(torch.as_tensor(x)).double().numpy()
    new, _ = table(200, seed=1)
    theirs = []
    for seen in machine.seen.numpy():
        decay = 0.03 / 0.4**0.5
        model = SVR(kernel="precomputed", C=10, epsilon=0.05)
        model.fit(kernel(own[:, seen], own[:, seen], decay), y)
        scores = machine.scores(torch.as_tensor(new)).double().numpy()[:, seen]
        theirs.append(model.predict(kernel(scores, own[:, seen], decay)))
    np.testing.assert_allclose(said(machine, new), np.mean(theirs, axis=0), atol=2e-4)
    assert not torch.equal(fit_machine(x, y, 150, 5, machines=5, share=0.4).seen, machine.seen)
    assert fit_machine(x, y, 150, 4, machines=2, share=0.01).seen.sum(1).tolist() == [1, 1]


def test_few_records() -> None:
    one = fit_machine([[1.0, np.nan]], [0.25], 4, seed=0)
    assert said(one, [[9.0, 9.0]]) == pytest.approx([0.25])
    equal = fit_machine(table(20)[0], [0.5] * 20, 30, seed=0)
    assert said(equal, table(20)[0]) == pytest.approx([0.5] * 20)


def test_same_input_and_seed_give_the_same_bytes() -> None:
    x, y = table(60)
    before = x.copy()
    first, again, other = (fit_machine(x, y, 40, seed) for seed in (1, 1, 2))
    assert np.array_equal(x, before, equal_nan=True)
    for name, tensor in first.state_dict().items():
        assert tensor.numpy().tobytes() == again.state_dict()[name].numpy().tobytes()
    assert not torch.equal(first.support, other.support)
    singles = fit_machine(x.astype(np.float32), y, 40, 1)
    assert torch.equal(first.weight, singles.weight)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1e-45, 1e-40, 1e-30, 1.0, 1e30, 1.5e38]))
def test_numbers_close_together_far_apart_and_tiny(seed: int, scale: float) -> None:
    """Quantiles ascend, and a larger number has no lower score."""
    random = np.random.default_rng(seed)
    column = np.float32(scale) * np.clip(random.normal(size=41), -2, 2).astype(np.float32)
    column[10:20] = column[9]
    column[20:30] = np.nextafter(column[9], np.float32(np.inf))
    machine = fit_machine(column[:, None], random.normal(size=41), 41, seed=0)
    ends = np.array([-np.inf, -3e38, 0, 3e38, np.inf], dtype=np.float32)
    rows = np.sort(np.concatenate([column, np.nextafter(column, -np.float32(np.inf)), ends]))
    scores = machine.scores(torch.from_numpy(rows[:, None])).numpy()[:, 0]
    assert (np.diff(scores) >= 0).all() and scores[0] == -3 and scores[-1] == 3
    assert np.isfinite(said(machine, rows[:, None])).all()


def test_input_that_no_machine_is_fitted_to() -> None:
    x, y = table(10)
    for rows, targets in ((x, y[:-1]), (x[:0], y[:0]), (x[:, :0], y), (y, y)):
        assert "targets" in message_of(lambda: fit_machine(rows, targets, 8, 0))  # noqa: B023
    assert message_of(lambda: fit_machine(x, y, 0, 0)) == (
        "field supports: a machine has at least 1 support, not 0"
    )
    bad_x, bad_y = x.copy(), y.copy()
    bad_x[4, 5], bad_y[7] = -np.inf, np.nan
    assert message_of(lambda: fit_machine(bad_x, y, 8, 0)) == (
        "record 4, field 5: a feature is infinite"
    )
    assert message_of(lambda: fit_machine(x, bad_y, 8, 0)) == (
        "record 7: a target is NaN or infinite"
    )


def test_machines_and_shares_that_are_none() -> None:
    for share in (0.0, -0.5, 1.1, np.nan):
        line = message_of(lambda: fit_machine(*table(10), 8, 0, share=share))  # noqa: B023
        assert line == f"field share: {share} is no share of the features"
    line = message_of(lambda: fit_machine(*table(10), 8, 0, machines=0))
    assert line == "field machines: there is at least 1 machine, not 0"


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf, 1e-60])
@pytest.mark.parametrize("name", ["decay", "penalty", "tube"])
def test_settings_out_of_range(name: str, value: float) -> None:
    if name == "tube" and 0 <= value < 1:
        return
    message = message_of(lambda: fit_machine(*table(10), 8, 0, **{name: value}))
    assert message.startswith(f"field {name}: {value} is no ")
