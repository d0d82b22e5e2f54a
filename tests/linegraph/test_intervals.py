from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from linegraph.intervals import MIN_OFFSET, Calibration, Distribution, calibrate
from tests.errors import message_of

LEVELS = (0.5, 0.8, 0.9, 0.95)
FloatArray = NDArray[np.float64]


def drawn(count: int, seed: int, slope: float = 4.0) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Barriers, predictions and distances: logarithms off by what grows with the distance."""
    random = np.random.default_rng(seed)
    said = random.lognormal(-0.5, 0.7, count)
    apart = random.random(count) * 1.2
    errors = random.laplace(scale=0.06, size=count) * (1 + slope * apart)
    truth = np.exp(np.log(said + 0.6) + errors) - 0.6
    return np.maximum(truth, 0.0), said, apart


def coverage(known: int, asked: int, seed: int, level: float) -> float:
    """How often intervals from some records hold the barriers of others."""
    truth, said, apart = drawn(known + asked, seed)
    learned = calibrate(truth[:known], said[:known], apart[:known], np.zeros(known, int))
    inside = []
    for y, f, d in zip(truth[known:], said[known:], apart[known:], strict=True):
        low, high = learned.distribution([f], [d]).interval(level)
        inside.append(low <= y <= high)
    return float(np.mean(inside))


@pytest.mark.parametrize("level", LEVELS)
def test_coverage(level: float) -> None:
    """Of what follows the assumptions; barriers clipped at 0 make it no smaller."""
    found = np.mean([coverage(300, 300, seed, level) for seed in range(8)])
    assert level - 0.02 < found < level + 0.03


def test_coverage_holds_from_few_records_and_any_errors() -> None:
    """Nine records bound the tenth in nine cases of ten, whatever the errors are."""
    random = np.random.default_rng(3)
    inside = 0
    for _ in range(3000):
        truth = 1 + random.standard_cauchy(10) ** 2
        learned = calibrate(truth[:9], np.ones(9), np.zeros(9), np.zeros(9, int))
        # The offset is learned, too; a fixed one leaves the exact statement.
        scores = np.abs(np.log(truth[:9] + 0.5) - np.log(1.5))
        low, high = (
            Calibration(0.5, 4.0, 1.0, scores, learned.member)
            .distribution([1.0], [0.0])
            .interval(0.9)
        )
        inside += low <= truth[9] <= high
    assert inside / 3000 == pytest.approx(0.9, abs=0.02)


def test_coverage_is_even_over_distances() -> None:
    truth, said, apart = drawn(4000, 5)
    learned = calibrate(truth[:2000], said[:2000], apart[:2000], np.zeros(2000, int))
    flat = calibrate(truth[:2000], said[:2000], apart[:2000], np.zeros(2000, int), slope=0)
    near, far = {}, {}
    for name, one in (("ours", learned), ("flat", flat)):
        inside = np.array(
            [
                low <= y <= high
                for y, f, d in zip(truth[2000:], said[2000:], apart[2000:], strict=True)
                for low, high in [one.distribution([f], [d]).interval(0.9)]
            ]
        )
        near[name] = inside[apart[2000:] < 0.3].mean()
        far[name] = inside[apart[2000:] > 0.9].mean()
    assert abs(near["ours"] - far["ours"]) < 0.04
    assert near["flat"] - far["flat"] > 0.1


def test_where_members_agree_it_is_cv_plus() -> None:
    """That of Barber et al. (2021), for the scaled logarithms of the barriers."""
    truth, said, apart = drawn(60, 1)
    member = np.arange(60) % 5
    learned = calibrate(truth, said, apart, member)
    c, b = learned.offset, learned.slope
    residuals = np.abs(np.log(truth + c) - np.log(said + c)) / (1 + b * apart)
    for level in LEVELS:
        rank = int(np.ceil(level * 61 - 1e-9))
        step = np.sort(residuals)[rank - 1] * (1 + b * 0.3)
        low, high = learned.distribution([0.7] * 5, [0.3] * 5).interval(level)
        assert high == pytest.approx(np.exp(np.log(0.7 + c) + step) - c)
        assert low == pytest.approx(max(np.exp(np.log(0.7 + c) - step) - c, 0.0))


def test_by_hand() -> None:
    """Three records, each off by a factor of its own in ``y + c``."""
    learned = Calibration(1.0, 2.0, 1.0, np.log([1.1, 1.5, 2.0]), np.array([0, 1, 0]))
    points = learned.distribution([1.0, 3.0], [0.0, 0.5]).points
    # Member 1 is at distance 0.5, where errors are twice as large as at 0.
    assert points == pytest.approx(
        sorted([2 / 1.1 - 1, 2 * 1.1 - 1, 4 / 2.25 - 1, 4 * 2.25 - 1, 2 / 2 - 1, 2 * 2 - 1])
    )
    said = Distribution(points)
    assert said.interval(0.75) == pytest.approx((0.0, 8.0))
    assert said.interval(0.5) == pytest.approx((4 / 2.25 - 1, 3.0))
    assert said.below(1.0) == pytest.approx((3 + 1) / 8)
    # What is at the threshold is not below it.
    assert Distribution(np.array([0.5, 1.0, 1.0, 2.0])).below(1.0) == (1 + 1) / 6


def test_levels_that_rounding_would_raise() -> None:
    """Seven of 100 are inside at 7 %, though ``0.07 * 100`` is more than 7."""
    assert 0.07 * 100 > 7
    one = Distribution(np.arange(2 * 99, dtype=np.float64))
    assert one.interval(0.07) == (99 - 7, 99 + 6)
    assert one.interval(0.0701) == (99 - 8, 99 + 7)


def test_levels_and_thresholds_are_monotone() -> None:
    truth, said, apart = drawn(200, 2)
    learned = calibrate(truth, said, apart, np.arange(200) % 3)
    one = learned.distribution([0.4, 0.5, 0.9], [0.2, 0.4, 0.3])
    ends = np.array([one.interval(level) for level in np.linspace(0.01, 0.99, 99)])
    assert (np.diff(ends[:, 0]) <= 0).all()
    assert (np.diff(ends[:, 1]) >= 0).all()
    assert (ends >= 0).all()
    chances = np.array([one.below(t) for t in np.linspace(-1, 50, 500)])
    assert (np.diff(chances) >= 0).all()
    assert chances[0] == 0.0
    assert one.below(0.0) == 0.0
    assert 0.99 < one.below(1e9) < 1
    assert message_of(lambda: one.below(float("nan"))) == "field threshold: is no number"
    # Both are of one distribution.
    low, high = one.interval(0.9)
    assert one.below(low) == pytest.approx(0.05, abs=0.01)
    assert one.below(high) == pytest.approx(0.95, abs=0.01)


def test_distance_and_disagreement_widen() -> None:
    truth, said, apart = drawn(200, 4)
    learned = calibrate(truth, said, apart, np.arange(200) % 2)

    def width(values: list[float], distances: list[float]) -> float:
        low, high = learned.distribution(values, distances).interval(0.9)
        return high - low

    assert width([0.7, 0.7], [0.2, 0.2]) < width([0.7, 0.7], [0.9, 0.9])
    assert width([0.7, 0.7], [0.2, 0.2]) < width([0.2, 1.2], [0.2, 0.2])
    assert width([0.7, 0.7], [0.2, 0.2]) < width([2.0, 2.0], [0.2, 0.2])


def test_any_hop_has_an_answer() -> None:
    """A prediction below 0, and a distance that no crystal has."""
    truth, said, apart = drawn(50, 6)
    learned = calibrate(truth, said, apart, np.zeros(50, int))
    for value, distance in ((-3.0, 0.1), (0.5, 1e6), (1e4, 0.0)):
        one = learned.distribution([value], [distance])
        assert np.isfinite(one.points).all()
        low, high = one.interval(0.9)
        assert 0 <= low < high
    # Errors beyond the farthest held-out record are not known.
    assert learned.reach == apart.max()
    far, farther = (learned.distribution([0.5], [d]).interval(0.9) for d in (apart.max(), 9.0))
    assert far == farther


def test_offset_follows_the_barriers() -> None:
    truth, said, apart = drawn(101, 7)
    zeros = np.zeros(101, int)
    assert calibrate(truth, said, apart, zeros).offset == pytest.approx(np.median(truth))
    assert calibrate(truth * 0, said, apart, zeros).offset == MIN_OFFSET
    # A file holds float32: what is read from it must be what was written.
    scores = calibrate(truth, said, apart, zeros).scores
    assert (scores.astype(np.float32).astype(np.float64) == scores).all()


@pytest.mark.parametrize("level", [0, 1, -0.1, 1.5, float("nan")])
def test_levels_that_are_none(level: float) -> None:
    one = Distribution(np.linspace(0, 1, 40))
    assert "not between 0 and 1" in message_of(lambda: one.interval(level))


def test_level_that_so_few_records_do_not_support() -> None:
    one = Distribution(np.linspace(0, 1, 18))
    assert one.interval(0.9) == (0.0, 1.0)
    line = message_of(lambda: one.interval(0.91))
    assert "calibrated on 9 records" in line
    assert "0.9" in line


def test_unusable_records() -> None:
    one, zero = np.ones(3), np.zeros(3, int)
    for arrays in ((one, one, one[:2], zero), (one[:0], one[:0], one[:0], zero[:0])):
        assert "as many of each" in message_of(partial(calibrate, *arrays))
    assert "not finite" in message_of(lambda: calibrate(one * np.nan, one, one, zero))
