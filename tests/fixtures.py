"""Data sets and a run that several folders of tests look at, for their ``conftest.py``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bands import data_file
from tests.property_data import TINY_MPT, property_folder
from tests.tuning import QUIET
from training.pretrain import pretrain
from training.recipe import load_recipe

#: Settings of :func:`mpt_run`.
MPT_RECIPE = load_recipe("mpt-small").changed(TINY_MPT)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of bands."""
    return data_file(tmp_path_factory.mktemp("data") / "bands.json")


@pytest.fixture(scope="session")
def crystals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of crystals with properties."""
    return property_folder(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture(scope="session")
def mpt_run(tmp_path_factory: pytest.TempPathFactory, crystals: Path) -> Path:
    """A run folder of a pre-training that nobody interrupted, of the sizes of bands' models."""
    folder = tmp_path_factory.mktemp("runs") / "mpt"
    pretrain(folder, MPT_RECIPE, crystals, recipe_name="mpt-small", machine=QUIET)
    return folder
