"""Data sets and finished runs, made once for all who only look at them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import ensembles, fixtures
from tests.bands import settings
from tests.integration.command import linegraph

data = fixtures.data
crystals = fixtures.crystals
mpt_run = fixtures.mpt_run
weights = ensembles.weights


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A run folder."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    linegraph("train", "--data", data, "--out", folder, *settings())
    return folder
