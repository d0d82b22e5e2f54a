"""Features of the way back are those that would be measured there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from linegraph import Cell, reversal
from linegraph.band_features import BAND_FEATURES, band_features
from linegraph.reversal import reversed_features
from tests.bands import rock_salt_band
from tests.goldens import SHARED, needs_data
from tests.linegraph.test_band_features import quartz_like
from training.read import read_bands

#: Features are rounded to 1e-4 each; a bottleneck of the way back is the sum of three.
ROUNDING, OF_THREE = 1.1e-4, 2.2e-4


def back(band: Cell) -> Cell:
    """The same hop the other way."""
    return Cell(band.lattice, np.r_[band.frac[4::-1], band.frac[5:]], band.numbers)


def assert_reversed(band: Cell) -> None:
    found = reversed_features(torch.from_numpy(band_features(band))).numpy()
    expected = band_features(back(band))
    for name, ours, theirs in zip(BAND_FEATURES, found, expected, strict=True):
        allowed = OF_THREE if name.endswith("bottleneck") else ROUNDING
        assert np.isclose(ours, theirs, rtol=1e-6, atol=allowed, equal_nan=True), name


@pytest.mark.parametrize("seed", range(4))
def test_generated_bands(seed: int) -> None:
    band = quartz_like(seed)
    assert_reversed(band)
    there, again = band_features(band), band_features(back(band))
    # It is another hop, which few features do not tell.
    ends = [i for i, name in enumerate(BAND_FEATURES) if name.endswith(", ends")]
    assert len(ends) == 6
    assert (np.abs(there - again)[ends] > 1e-3).any()


def test_a_symmetric_hop_is_its_own_way_back() -> None:
    band = rock_salt_band()
    assert_reversed(band)
    features = torch.from_numpy(band_features(band))
    found = reversed_features(features)
    torch.testing.assert_close(found, features, rtol=0, atol=OF_THREE, equal_nan=True)


def test_after_inference_there_are_still_gradients() -> None:
    """What is worked out once and kept may first be asked for by a prediction."""
    reversal._rule.cache_clear()
    with torch.inference_mode():
        reversed_features(torch.zeros(1, len(BAND_FEATURES)))
    features = torch.zeros(1, len(BAND_FEATURES), requires_grad=True)
    (slope,) = torch.autograd.grad(reversed_features(features).sum(), features)
    assert slope.any()


def test_what_does_not_exist_stays_away() -> None:
    band = rock_salt_band()
    sparse = Cell(np.diag([1e5, 4.2, 4.2]), band.frac, band.numbers)
    assert np.isnan(band_features(sparse)).any()
    assert_reversed(sparse)


@needs_data
def test_published_bands() -> None:
    bands = read_bands(SHARED / "data" / "barriers" / "train.json.gz").bands
    cells = [band.cell for band in bands if isinstance(band.cell, Cell)]
    small = [cell for cell in cells if len(cell) < 60][::30]
    assert len(small) > 3
    for band in small:
        assert_reversed(band)


def test_reversed_again_they_are_the_first() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, len(BAND_FEATURES), generator=generator, dtype=torch.float64)
    x[0, 0, ::7] = float("nan")
    before = x.clone()
    once = reversed_features(x)
    assert once.shape == x.shape and once.dtype == x.dtype
    assert reversed_features(x.half()).dtype == torch.float16
    assert not torch.allclose(once, x, equal_nan=True)
    finite = torch.ones_like(x, dtype=torch.bool)
    finite[0, 0] = False  # a bottleneck is NaN where one of three is
    torch.testing.assert_close(reversed_features(once)[finite], x[finite])
    assert torch.equal(x.nan_to_num(9), before.nan_to_num(9))
