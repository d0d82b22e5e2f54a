"""The warm process, once for each file of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .harness import Server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Runs commands as processes of their own."""
    with Server() as server:
        yield server
