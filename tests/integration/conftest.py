"""A data set and a finished run, made once for all who only look at them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bands import data_file, settings
from tests.integration.command import linegraph


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_file(tmp_path_factory.mktemp("data") / "bands.json")


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A run folder."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    linegraph("train", "--data", data, "--out", folder, *settings())
    return folder
