"""The 92 numbers of every element."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from linegraph.features import CLASSES, NUM_FEATURES, element_features
from linegraph.structure import MAX_Z

from .. import goldens


@goldens.needs_goldens
def test_table_is_the_references() -> None:
    theirs = goldens.load("atom_features_cgcnn")
    assert theirs["Z"].tolist() == list(range(1, MAX_Z + 1))
    np.testing.assert_array_equal(element_features()[1:].numpy(), theirs["features"])


@goldens.needs_goldens
@pytest.mark.parametrize("name", goldens.records())
def test_rows_of_recorded_atoms(name: str) -> None:
    record = goldens.load(f"record_{name}")
    if "atom_features" not in record:
        pytest.skip("not recorded")
    np.testing.assert_array_equal(
        element_features()[torch.from_numpy(record["Z"]).long()].numpy(), record["atom_features"]
    )


def test_shape_and_classes() -> None:
    table = element_features()
    assert table.shape == (MAX_Z + 1, 92)
    assert NUM_FEATURES == 92
    assert table[0].sum() == 0
    assert set(table.unique().tolist()) == {0.0, 1.0}
    per_property = torch.split(table[1:], list(CLASSES.values()), dim=1)
    for name, block in zip(CLASSES, per_property, strict=True):
        assert (block.sum(dim=1) <= 1).all(), name
    for name in ("group", "period", "block"):
        block = per_property[list(CLASSES).index(name)]
        assert (block.sum(dim=1) == 1).all(), name


def test_groups_and_periods_of_known_elements() -> None:
    group, period = torch.split(element_features(), list(CLASSES.values()), dim=1)[:2]
    lithium, sodium, oxygen, sulfur = 3, 11, 8, 16
    assert group[lithium].equal(group[sodium])
    assert group[oxygen].equal(group[sulfur])
    assert not group[lithium].equal(group[oxygen])
    assert period[lithium].equal(period[oxygen])
    assert period[sodium].argmax() == period[lithium].argmax() + 1


def test_elements_differ_up_to_the_end_of_the_published_table() -> None:
    table = element_features()
    for z in (101, 102, 103):
        assert table[z].equal(table[100])
    light = table[1:58]
    assert len(light.unique(dim=0)) == len(light)


def test_a_caller_cannot_change_the_table() -> None:
    element_features().zero_()
    assert element_features()[1:].sum(dim=1).min() > 0
