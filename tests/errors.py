"""What is said of input that cannot be used."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from linegraph import InputError


def message_of(attempt: Callable[[], object]) -> str:
    """The one line of the error that the call ends with."""
    with pytest.raises(InputError) as caught:
        attempt()
    assert "\n" not in str(caught.value)
    return str(caught.value)
