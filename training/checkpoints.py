"""Checkpoints of a training: which there are, each written whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from linegraph.atomic_files import replacing

from .files import make_folder


class WholeCheckpoints(TorchCheckpointIO):
    """Lightning's checkpoints in the way of :func:`linegraph.atomic_files.replacing`.

    Lightning itself writes to the folder of temporary files and moves the result: where that is on
    another disk, a checkpoint is copied, and a kill leaves half of one under its name.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint.

        Args:
            checkpoint: what ``torch.save`` takes.
            path: the file.
            storage_options: for other file systems; not used.

        Raises:
            InputError: the file cannot be written; the one before is still there.
        """
        # To memory first: of a full disk, torch itself tells in words of its own.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        make_folder(Path(path).parent)
        with replacing(path) as partial:
            partial.write_bytes(content.getbuffer())


class Kept(ModelCheckpoint):
    """Lightning's bookkeeping of checkpoints, which also knows a folder again that was moved."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with what a checkpoint says of the others in its folder."""

        def here(path: str) -> str:
            return str(Path(self.dirpath or "", Path(path).name)) if path else path

        paths = ("best_model_path", "kth_best_model_path", "last_model_path")
        known = {here(path): score for path, score in state_dict["best_k_models"].items()}
        moved = {name: here(state_dict[name]) for name in paths}
        state = {**state_dict, **moved, "best_k_models": known, "dirpath": self.dirpath}
        super().load_state_dict(state)


def kept(folder: Path, *, validate: bool) -> list[Kept]:
    """What keeps ``last.ckpt``, after every epoch, and ``best.ckpt``, if there is validation.

    One callback for each: Lightning's own ``save_last`` leaves out epochs that are not the best.

    Args:
        folder: where.
        validate: whether there are validation records.
    """
    last = Kept(folder, filename="last", enable_version_counter=False)
    if not validate:
        return [last]
    # The best one first: the last one holds which it is.
    return [Kept(folder, filename="best", monitor="val_mae", enable_version_counter=False), last]
