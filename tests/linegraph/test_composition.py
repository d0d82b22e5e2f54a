"""Statistics of elements' classes: by hand, and what must not change them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from linegraph.composition import (
    COMPOSITION_FEATURES,
    ORDINAL,
    STATISTICS,
    composition_features,
)
from linegraph.elements import Z_OF
from linegraph.features import CLASSES, element_classes, element_features


def features(formula: str) -> dict[str, float]:
    found = composition_features(np.array([Z_OF[symbol] for symbol in formula.split()]))
    return dict(zip(COMPOSITION_FEATURES, found.tolist(), strict=True))


def of(formula: str, name: str) -> list[float]:
    found = features(formula)
    return [found[f"composition: {name}, {statistic}"] for statistic in STATISTICS]


def test_by_hand() -> None:
    # Groups of Li, P and four O: 1, 15, 16, with a mean of 80 / 6.
    deviation = (abs(1 - 80 / 6) + abs(15 - 80 / 6) + 4 * abs(16 - 80 / 6)) / 6
    expected = [1, 16, 15, 80 / 6, deviation, 16]
    assert of("Li P O O O O", "group") == pytest.approx(expected)
    assert of("Li P O O O O", "period") == pytest.approx([1, 2, 1, 7 / 6, 10 / 36, 1])


def test_names() -> None:
    assert len(COMPOSITION_FEATURES) == 8 * 6 == len(set(COMPOSITION_FEATURES))
    assert set(CLASSES) - set(ORDINAL) == {"block"}
    assert COMPOSITION_FEATURES[:2] == (
        "composition: group, minimum",
        "composition: group, maximum",
    )


def test_of_equally_frequent_elements_the_lightest_is_the_mode() -> None:
    assert of("Na Na O O F", "group")[-1] == of("O", "group")[-1]
    assert of("Na Na Na O O F", "group")[-1] == of("Na", "group")[-1]


def test_atoms_without_a_class_do_not_count() -> None:
    # Argon has no electronegativity, and is the most frequent.
    assert of("Ar Ar Ar Li F", "electronegativity") == of("Li F", "electronegativity")
    assert of("Ar Ar Ar Li F", "group")[-1] == 18
    assert np.isnan(of("Ar He", "electronegativity")).all()
    assert np.isfinite(of("Ar He", "group")).all()


def test_every_element_has_the_classes_of_the_network() -> None:
    classes, start = element_classes(), 0
    for column, width in zip(classes.T, CLASSES.values(), strict=True):
        block = element_features()[:, start : start + width].numpy()
        known = ~np.isnan(column)
        np.testing.assert_array_equal(known, block.sum(axis=1) == 1)
        np.testing.assert_array_equal(block.argmax(axis=1)[known], column[known])
        start += width


def test_elements_heavier_than_the_table_are_those_at_its_end() -> None:
    assert features("Lr Md") == pytest.approx(features("Fm No"), nan_ok=True)
    assert features("Lr") != pytest.approx(features("U"), nan_ok=True)


def test_a_caller_cannot_change_the_classes() -> None:
    before = element_features()
    element_classes()[:] = 0
    assert np.isnan(element_classes()[0]).all()
    assert torch.equal(element_features(), before)


def test_order_and_number_of_formula_units_do_not_matter() -> None:
    numbers = np.array([3, 3, 26, 15, 15, *[8] * 8])
    expected = composition_features(numbers)
    shuffled = np.random.default_rng(0).permutation(numbers)
    np.testing.assert_array_equal(composition_features(shuffled), expected)
    np.testing.assert_allclose(composition_features(np.tile(numbers, 3)), expected, rtol=1e-12)
