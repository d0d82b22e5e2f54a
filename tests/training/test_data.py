"""Data sets made ready for training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from linegraph.errors import InputError
from tests.bands import some_bands
from tests.goldens import SHARED, needs_data
from training.data import one_path_each
from training.read import BandSet, read_bands

BARRIERS = SHARED / "data" / "barriers"


def band_set(*names: str) -> BandSet:
    band = some_bands(1)[0]
    skipped = [InputError("no atoms", record="'x'")]
    return BandSet([replace(band, name=n) for n in names], skipped, Path("bands.json"), "print")


def kept(*names: str) -> list[str]:
    return [band.name for band in one_path_each(band_set(*names)).bands]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["A_1", "A_2", "A_3", "B"], ["A_1", "B"]),
        (["A_2", "A_1", "B", "C_10", "C_11", "C_1"], ["A_1", "B", "C_1"]),
        # A path whose first one is not there is no first one.
        (["A_2", "B_1"], ["B_1"]),
        (["A_01", "A_11", "A_1_1", "B"], ["A_1_1", "B"]),
        # What follows the last underscore is a path only if it is a number.
        (
            ["Ti2S4_Mg", "VPO4F_Rb_1", "VPO4F_Rb_3", "_2"],
            ["Ti2S4_Mg", "VPO4F_Rb_1", "_2"],
        ),
    ],
)
def test_one_path_of_each(names: list[str], expected: list[str]) -> None:
    assert kept(*names) == expected


def test_the_rest_of_the_data_set_is_as_it_was() -> None:
    before = band_set("A_1", "A_2", "B")
    after = one_path_each(before)
    assert after.bands == [before.bands[0], before.bands[2]]
    assert (after.skipped, after.path, after.fingerprint) == (
        before.skipped, before.path, before.fingerprint,
    )  # fmt: skip
    assert len(before.bands) == 3


def test_no_first_path() -> None:
    with pytest.raises(InputError, match="every record is a further path") as caught:
        kept("A_2", "B_3")
    assert caught.value.file == Path("bands.json")


@needs_data
@pytest.mark.parametrize(("split", "count"), [("train", 395), ("test", 45)])
def test_single_pathway_subset_of_the_paper(split: str, count: int) -> None:
    found = one_path_each(read_bands(BARRIERS / f"{split}.json.gz"))
    names = [band.name for band in found.bands]
    assert len(names) == len(set(names)) == count
    listed = json.loads((BARRIERS / f"single_pathway_{split}.json").read_text())
    assert names == [record["sys_name"] for record in listed["records"]]
