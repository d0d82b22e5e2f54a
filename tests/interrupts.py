"""Ctrl+C in the middle of a training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from training.callbacks import History


@contextmanager
def interrupted(epoch: int, hook: str = "on_train_batch_end") -> Iterator[None]:
    """Every training in the block is interrupted in this epoch, counted from 0.

    Args:
        epoch: in which.
        hook: of the callback that writes the history.
    """

    def press(self: History, trainer: Any, *args: Any) -> None:
        if trainer.current_epoch == epoch:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(History, hook, press)
        yield
