"""What a worker does: structure files in, a file for each result out."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from linegraph.barrier import Barrier
from linegraph.ensemble import Ensemble
from linegraph.ensemble_file import load_ensemble
from linegraph.errors import InputError
from linegraph.prediction import predict
from linegraph.structure import Cell
from linegraph.warned import warnings_as
from training.records import ENDINGS
from training.structures import Kind, read_given
from training.tracebacks import print_traceback

from .ions import ion_in
from .store import Failure, Result, Store, name_of, sha256_of

#: What takes time. ``bands`` are supercells and images, ``model`` includes the comparison with the
#: training records.
STAGES = ("read", "hops", "bands", "graphs", "model", "percolation")


@dataclass(frozen=True)
class Settings:
    """What a resumed screening must have in common with the one before.

    Attributes:
        ion: of several with commas in between, the first that is in the structure. See
            :func:`linegraph.predict`, as for the rest.
        max_length: Å.
        find_empty_sites: whether they are looked for.
        min_width: Å.
        idpp: whether paths are bent.
        level: of the intervals.
        threshold: eV.
    """

    ion: str | None
    max_length: float | None
    find_empty_sites: bool
    min_width: float
    idpp: bool
    level: float
    threshold: float


class Clock:
    """Time by stage: what has passed since the last mark belongs to the stage that is named."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin with another structure."""
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def mark(self, stage: str) -> None:
        """A stage ends now."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now


@dataclass(frozen=True, eq=False)
class TimedEnsemble(Ensemble):
    """An ensemble that says when its members begin and end: what is in between are graphs.

    Attributes:
        clock: is told.
    """

    clock: Clock = field(default_factory=Clock)

    def predict(self, bands: Sequence[Any], **how: Any) -> list[Barrier]:
        """See :meth:`Ensemble.predict`."""
        with ExitStack() as hooks:
            first, last = self.members[0], self.members[-1]
            for handle in (
                first.register_forward_pre_hook(lambda *_: self.clock.mark("graphs")),
                last.register_forward_hook(lambda *_: self.clock.mark("model")),
            ):
                hooks.callback(handle.remove)
            return super().predict(bands, **how)


@dataclass(frozen=True)
class Job:
    """What every worker needs to do structures.

    Attributes:
        weights: a file.
        sha256: of it.
        settings: of the screening.
        device: auto, cpu, cuda or cuda:N.
        store: where results go.
        threads: of torch, in a process other than the one that started the screening.
        debug: print the traceback of each structure that fails, to standard error.
        parent: the process that did.
    """

    weights: Path
    sha256: str
    settings: Settings
    device: str
    store: Store
    threads: int
    debug: bool
    parent: int = field(default_factory=os.getpid)

    def do(self, files: Sequence[Path]) -> tuple[int, int]:
        """Do structures, one after the other; each is on disk when it is done.

        Returns:
            How many, and how many of them failed.

        Raises:
            InputError: weights that are gone or have changed, or a result that cannot be written.
        """
        if os.getpid() != self.parent and torch.get_num_threads() > self.threads:
            torch.set_num_threads(self.threads)
        ensemble = _loaded(self.weights, self.sha256)
        return len(files), sum(self._do(file, ensemble) for file in files)

    def _do(self, file: Path, ensemble: TimedEnsemble) -> bool:
        """Do one structure. Returns whether it failed."""
        clock = ensemble.clock
        clock.start()
        about = name_of(file), sha256_of(file)
        prediction, failure = None, None
        try:
            cell = read_crystal(file, self.settings.ion)
            clock.mark("read")
            how = {**asdict(self.settings), "ion": ion_in(cell, self.settings.ion)}
            found = predict(cell, weights=ensemble, device=self.device, ended=clock.mark, **how)
            prediction = found.as_dict()
        except InputError as error:
            hop = None if error.record is None else str(error.record).strip("'")
            failure = Failure(about[0], error.problem, error.field, hop)
            self._tell(about[0], error)
        except Exception as error:  # one structure in thousands must not end them all
            reason = (str(error).strip().splitlines() or [""])[0]
            failure = Failure(about[0], f"unexpected {type(error).__name__}: {reason}")
            self._tell(about[0], error)
        try:
            self.store.write(file, Result(*about, clock.seconds, prediction, failure))
        except InputError as error:
            if failure is not None or isinstance(error.__cause__, OSError):
                raise
            # Far from all training records the end of an interval may be infinite, unlike JSON.
            failure = Failure(about[0], f"its result {error.problem}")
            self._tell(about[0], error)
            self.store.write(file, Result(*about, clock.seconds, None, failure))
        return failure is not None

    def _tell(self, name: str, error: Exception) -> None:
        if self.debug:
            print_traceback(name, error)


def read_crystal(file: Path, ion: str | None) -> Cell:
    """Read a crystal.

    Raises:
        InputError: unreadable, or a band.
    """
    # Data sets of bands have endings that structures of pymatgen have, too.
    kind: Kind | None = "crystal" if file.name.lower().endswith(ENDINGS) else None
    with warnings_as("ignore"):
        given = read_given(file, kind, ion)
    if not isinstance(given, Cell):
        raise InputError("looks like a band, not a crystal; the command predict reads both")
    return given


# By thread, as a clock times one structure after the other.
_LOCAL = threading.local()


def _loaded(weights: Path, sha256: str) -> TimedEnsemble:
    """The weights, loaded once in each worker."""
    if getattr(_LOCAL, "key", None) != (weights, sha256):
        if sha256_of(weights) != sha256:
            raise InputError("have changed since the screening began", file=weights)
        ensemble = load_ensemble(weights)
        _LOCAL.ensemble = TimedEnsemble(
            **{one.name: getattr(ensemble, one.name) for one in fields(Ensemble)}
        )
        _LOCAL.key = (weights, sha256)
    loaded: TimedEnsemble = _LOCAL.ensemble
    return loaded
