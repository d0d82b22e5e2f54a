"""Which features are selected, and from what."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from linegraph.path_features import PATH_FEATURES
from tests.errors import message_of
from tests.goldens import SHARED
from training.baselines.published import PUBLISHED_FEATURES
from training.baselines.selection import CorrelationSelector, NamedSelector
from training.baselines.structure import STRUCTURE_FEATURES

PAPER = SHARED / "spec" / "paper-supplementary.txt"


def table() -> tuple[pd.DataFrame, np.ndarray]:
    """Columns whose names say how they are related to the target."""
    random = np.random.default_rng(0)
    target, noise, other = random.normal(size=(3, 400))
    columns = {
        "weaker twin": target + 0.30 * noise,
        "stronger twin": target + 0.25 * noise,
        "noise": other,
        "constant": np.full(400, 0.1),
        "opposite": -target + 2 * random.normal(size=400),
    }
    return pd.DataFrame(columns), target


def test_the_first_of_a_pair_stays_and_noise_goes() -> None:
    features, target = table()
    selector = CorrelationSelector().fit(features, target)
    assert selector.get_feature_names_out().tolist() == ["weaker twin", "opposite"]
    swapped = features[["stronger twin", "weaker twin"]]
    names = CorrelationSelector().fit(swapped, target).get_feature_names_out()
    assert names.tolist() == ["stronger twin"]


def test_thresholds() -> None:
    features, target = table()
    all_but_noise = CorrelationSelector(redundant=1.0).fit(features, target)
    assert all_but_noise.get_support().tolist() == [True, True, False, False, True]
    strict = CorrelationSelector(relevant=0.9).fit(features, target)
    assert strict.get_feature_names_out().tolist() == ["weaker twin"]


def test_correlations_are_those_of_numpy() -> None:
    random = np.random.default_rng(1)
    X = random.normal(size=(60, 12)) @ random.normal(size=(12, 12)) + 1e3
    y = X[:, 3] + random.normal(size=60)
    selector = CorrelationSelector(redundant=0.5).fit(X, y)
    expected = np.corrcoef(np.column_stack([X, y]).T)
    np.testing.assert_allclose(selector.correlations_, expected[-1, :-1], atol=1e-9)
    kept = np.flatnonzero(selector.get_support())
    for i in range(12):
        relevant = abs(expected[i, -1]) >= 0.10
        repeats = any(abs(expected[i, j]) > 0.5 for j in kept if j < i)
        assert (i in kept) == (relevant and not repeats)
    assert 0 < len(kept) < 12


def test_nothing_relevant() -> None:
    features, target = table()
    message = message_of(lambda: CorrelationSelector().fit(features[["noise"]], target))
    assert "no feature correlates with the barrier" in message


def test_named_features_in_the_order_of_the_table() -> None:
    features, _ = table()
    selector = clone(NamedSelector(["opposite", "noise"])).set_output(transform="pandas")
    kept = selector.fit_transform(features)
    assert list(kept) == ["noise", "opposite"]
    np.testing.assert_array_equal(kept["noise"], features["noise"])
    message = message_of(lambda: NamedSelector(["absent", "noise"]).fit(features))
    assert message == "the table of features lacks absent"


def test_published_features_are_all_ours() -> None:
    assert len(PUBLISHED_FEATURES) == len(set(PUBLISHED_FEATURES)) == 75
    assert set(PUBLISHED_FEATURES[:70]) <= set(STRUCTURE_FEATURES)
    assert set(PUBLISHED_FEATURES[70:]) <= set(PATH_FEATURES)


@pytest.mark.skipif(not PAPER.is_file(), reason="the paper's tables (../shared/spec) are not here")
def test_published_features_are_those_of_the_paper() -> None:
    rows = re.findall(r"^(\d+)\t([^\t\n]+)\t", PAPER.read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 76))
    short = [name.replace("ground state (GS)", "GS").replace("GS vol", "GSvol") for _, name in rows]
    assert tuple(short) == PUBLISHED_FEATURES
