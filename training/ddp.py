"""Lightning's side of a training in several processes."""

from __future__ import annotations

import signal
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from lightning.pytorch.strategies import DDPStrategy

from . import ranks
from .stopping import remember


class SummedGradients(DDPStrategy):
    """Lightning's DDP with the gradients left to the task (:func:`training.ranks.add_gradients`).

    ``DistributedDataParallel`` takes the mean over processes after every backward pass and has to
    be told what takes no part. Here a step may take several passes, and what is wanted is the
    gradient of one sum over all records, exchanged once a step.
    """

    def configure_ddp(self) -> None:
        """Let all processes begin with the weights of the first."""
        assert self.model is not None
        for tensor in self.model.state_dict().values():
            # As bytes: not every back end knows every type of integer.
            dist.broadcast(tensor.reshape(-1).view(torch.uint8), src=0)


class StopTogether(L.Callback):
    """Requests to stop (SIGTERM, Ctrl+C) end all processes after the same step.

    Stopped each by itself, one would wait for another in the middle of a step.
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # Lightning's own handlers, set just before, exchange messages wherever they interrupt.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _note)


_asked = False


def _note(number: int, frame: Any) -> None:
    global _asked
    _asked = True
    remember(number)


def records_in_step(records: int) -> int:
    """Records of a step over all processes.

    Raises:
        KeyboardInterrupt: one of them was asked to stop; in all at once.
    """
    global _asked
    found, asked = ranks.total(records, int(_asked))
    if asked:
        _asked = False
        raise KeyboardInterrupt
    return found
