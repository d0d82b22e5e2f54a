"""What several files of these tests only look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import ensembles, fixtures, tuning
from tests.property_sets import HARD, SOFT, TABLE, written

data = fixtures.data
crystals = fixtures.crystals
mpt_run = fixtures.mpt_run
weights = ensembles.weights


@pytest.fixture(scope="session")
def mpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights to start from, that nobody trained."""
    return tuning.weights(tmp_path_factory.mktemp("mpt") / "model.safetensors")


@pytest.fixture
def property_set(tmp_path: Path) -> Path:
    """A folder of two properties, hard and soft."""
    return written(tmp_path, TABLE, hard=HARD, soft=SOFT)
