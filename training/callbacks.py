"""What a person sees of a run while it goes on, and the history it leaves."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import lightning as L
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from .files import write_csv
from .judging.tables import read_lines
from .task import Task

HISTORY = ("epoch", "loss", "train_mae", "val_mae", "lr", "seconds")


class History(L.Callback):
    """One row an epoch in ``history.csv``: loss, MAE, learning rate, seconds, figures of the task.

    The file is written anew each epoch; a resumed run continues the rows it finds.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        self._started = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.rows = [r for r in read_history(self.path) if r["epoch"] < trainer.current_epoch]

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._started = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        metrics = trainer.callback_metrics
        more = pl_module.columns if isinstance(pl_module, Task) else ()
        row: dict[str, Any] = {"epoch": trainer.current_epoch}
        for name in ("loss", "train_mae", "val_mae", *more):
            row[name] = float(metrics[name]) if name in metrics else None
        row["lr"] = trainer.optimizers[0].param_groups[0]["lr"]
        row["seconds"] = round(time.perf_counter() - self._started, 3)
        self.rows.append(row)
        header = (*HISTORY, *more)
        write_csv(self.path, header, ([row.get(name) for name in header] for row in self.rows))


class EpochProgress(L.Callback):
    """A bar over the whole run: epoch, loss, MAE on training and validation, time left.

    On something other than a terminal (a log file) it prints about twenty lines instead.
    """

    def __init__(self, title: str, console: Console | None = None) -> None:
        self.title = title
        self.console = console or Console(stderr=True)
        self.figures = ""
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self.console.is_terminal:
            return
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self.console,
        )
        epochs, batches = int(trainer.max_epochs or 1), int(trainer.num_training_batches)
        self._task = self._bar.add_task(
            self.title,
            total=epochs * batches,
            completed=trainer.current_epoch * batches,
            figures="",
        )
        self._bar.start()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._bar is not None and self._task is not None:
            epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            self._bar.update(self._task, advance=1, figures=f"{epoch} {self.figures}")

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        metrics, epochs = trainer.callback_metrics, int(trainer.max_epochs or 1)
        unit = pl_module.unit if isinstance(pl_module, Task) else ""
        words = [f"loss {float(metrics['loss']):.4f}"]
        for name, word in (("train_mae", "MAE"), ("val_mae", "validation")):
            if name in metrics:
                words.append(f"{word} {float(metrics[name]):.3f} {unit}".rstrip())
        self.figures = ", ".join(words)
        epoch = trainer.current_epoch + 1
        if self._bar is None and (epoch % max(1, epochs // 20) == 0 or epoch == epochs):
            self.console.print(f"{self.title} epoch {epoch}/{epochs}: {self.figures}")

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: L.Trainer, pl_module: Any, exception: BaseException) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def read_history(path: Path) -> list[dict[str, Any]]:
    """Rows of a ``history.csv``; none where there is no file.

    Raises:
        InputError: it cannot be read, or is no such table; the message names the line.
    """
    if not path.is_file():
        return []
    columns, lines = read_lines(path, ("epoch",))
    rows = []
    for line in lines:
        row: dict[str, Any] = {"epoch": line.number_in("epoch")}
        if not row["epoch"].is_integer():
            raise line.error(f"expected a whole number, got {line['epoch']!r}", "epoch")
        for column in columns:
            # A figure may be NaN, of too few records for instance.
            nan = line[column].lower() == "nan"
            row[column] = math.nan if nan else line.number_in(column) if line[column] else None
        rows.append({**row, "epoch": int(row["epoch"])})
    return rows
