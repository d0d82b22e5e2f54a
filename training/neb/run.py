"""The command ``neb`` as a function: barriers of many records, one after the other or at once."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any

from linegraph.errors import InputError
from training.bands import IMAGES, Band
from training.data import load_bands
from training.files import make_folder
from training.held import held
from training.read import BandSet
from training.runs import Source, claim_folder, write_config, write_skipped
from training.stopping import stoppable

from .calculators import Loaded, Potential, potential_of
from .relax import METHOD, Result, Settings, relax_band
from .store import Store, write_tables

#: Distributions, besides those of every run, whose versions are noted.
PACKAGES = ("ase", "chgnet", "mace-torch", "e3nn")


@dataclass(frozen=True, eq=False)
class Barriers:
    """What a run has found.

    Attributes:
        results: of the records chosen, in their order, those that went wrong included.
        metrics: content of ``metrics.json``: barriers that were found against targets.
    """

    results: list[Result]
    metrics: dict[str, Any]


def neb(
    out: str | PathLike[str],
    *,
    data: str | PathLike[str] | None = None,
    calculator: str = "chgnet",
    weights: str | PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    records: Sequence[str] = (),
    max_atoms: int | None = None,
    relax: bool = True,
    climb: bool = False,
    images: int = IMAGES,
    fmax: float = 0.05,
    steps: int = 1000,
    workers: int = 1,
    device: str = "cpu",
    skip_bad: bool = False,
    resume: bool = False,
    progress: bool = True,
    debug: bool = False,
) -> Barriers:
    """Calculate barriers by nudged elastic bands and write a run folder.

    A record that is done is on disk, in a file of its own. Whatever happens then, it is not done
    again: a run that was interrupted or killed goes on with ``resume``, which also repeats the
    records that went wrong. Tables hold all records that are done so far.

    Source: section S4 and Table S4 of arXiv:2508.06436.

    Args:
        out: the run folder; must not exist, unless ``resume``.
        data: a file or folder of bands; the embedded starter set if None.
        calculator: see :class:`training.neb.calculators.Potential`, as for the next two.
        weights: a file. It is a pickle and runs code of whoever made it.
        options: of the calculator.
        records: names of the records to do; all if empty. A resumed run may choose others.
        max_atoms: leave out records of more atoms than this (all five images counted).
        relax: see :class:`training.neb.relax.Settings`, as for the next four.
        climb: whether the highest image climbs.
        images: with both ends.
        fmax: eV/Å.
        steps: at most, for each end and for the band.
        workers: processes, each with a part of the cores and a potential of its own.
        device: where a potential by name computes: auto, cpu, cuda or cuda:N.
        skip_bad: leave out records that cannot be read.
        resume: go on with the run in ``out``.
        progress: print a line for each record that is done.
        debug: print the traceback of each record that goes wrong, to standard error.

    Raises:
        InputError: unusable data, settings, calculator or weights; a record that is not there; a
            run folder that exists, or that holds a run of other settings.
    """
    settings = Settings(relax, climb, images, fmax, steps).checked()
    if workers < 1:
        raise InputError(f"is {workers}, expected 1 or more", field="workers")
    bands = load_bands(data, skip_bad=skip_bad)
    chosen = _chosen(bands, records, max_atoms)
    potential = potential_of(calculator, weights, options, device)
    folder = Path(out)
    with stoppable(), held(folder):
        key = _Key(potential, repr((potential, potential.fingerprint())))
        version = _loaded(key).version
        same = _settings(settings, potential, version)
        source = Source(bands.path, bands.fingerprint, chosen, bands.skipped)
        claim_folder(folder, same, source, {}, resume=resume)
        notes = {
            "protocol": {"name": "no training"},
            "method": METHOD,
            "weights_path": None if potential.weights is None else str(potential.weights),
            "device": potential.device,
        }
        write_config(folder, same, source, notes, PACKAGES)
        write_skipped(folder, bands.skipped)
        store = Store(folder, bands.bands)
        make_folder(store.folder)
        job = _Job(key, settings, store, debug)
        found = store.read_all()
        todo = [b for b in chosen if b.name not in found or found[b.name].error is not None]
        title = f"{potential.name} NEB{'' if relax else ', ends not relaxed'}"
        try:
            # Closed first, so that nobody is at work when the tables are written.
            with closing(_done(job, todo, workers)) as results:
                for result in results:
                    found[result.name] = result
                    if progress:
                        _say(result, len(chosen), sum(b.name in found for b in chosen))
        finally:
            # Not what was handed over: processes may have done more until they were stopped.
            found = store.read_all()
            metrics = write_tables(folder, title, bands.bands, found, potential.name, version)
    return Barriers([found[band.name] for band in chosen], metrics)


def _chosen(bands: BandSet, names: Sequence[str], max_atoms: int | None) -> list[Band]:
    known = {band.name for band in bands.bands}
    for name in names:
        if name not in known:
            raise InputError("there is no such record", file=bands.path, record=repr(name))
    chosen = [
        band
        for band in bands.bands
        if (not names or band.name in names)
        and (max_atoms is None or len(band.structures[0]) <= max_atoms)
    ]
    if not chosen:
        raise InputError(f"no record has at most {max_atoms} atoms", file=bands.path)
    return chosen


def _settings(settings: Settings, potential: Potential, version: str) -> dict[str, Any]:
    """What a resumed run must have in common with this one."""
    return {
        "calculator": potential.name,
        "calculator_version": version,
        "weights": potential.fingerprint(),
        "options": dict(potential.options),
        **asdict(settings),
    }


@dataclass(frozen=True)
class _Key:
    """A potential as the key of a cache: its options may be lists, its weights may change."""

    potential: Potential = field(compare=False)
    words: str


@dataclass(frozen=True, eq=False)
class _Job:
    """What every process needs to do a record."""

    key: _Key
    settings: Settings
    store: Store
    debug: bool

    def do(self, band: Band) -> Result:
        with _loaded(self.key).ready() as calculator:
            result = relax_band(band, calculator, self.settings, debug=self.debug)
        self.store.write(result)
        return result


@lru_cache(maxsize=1)
def _loaded(key: _Key) -> Loaded:
    """The potential, loaded once in each process."""
    return key.potential.load()


def _done(job: _Job, todo: Sequence[Band], workers: int) -> Generator[Result, None, None]:
    """The results, as they come. Each is on disk by then."""
    if workers == 1 or len(todo) < 2:
        yield from map(job.do, todo)
        return
    from joblib import Parallel, delayed

    # joblib gives each process its part of the cores.
    parallel = Parallel(n_jobs=min(workers, len(todo)), return_as="generator_unordered")
    yield from parallel(delayed(job.do)(band) for band in todo)


def _say(result: Result, total: int, done: int) -> None:
    from rich.console import Console

    if result.error is not None:
        words = f"failed: {result.error}"
    else:
        words = f"{result.forward:.3f} eV, back {result.backward:.3f} eV"
        words += "" if result.converged else ", not converged"
    words += f" ({result.evaluations} evaluations, {result.wall_s:.0f} s)"
    line = f"{done}/{total} {result.name}: {words}"
    Console(stderr=True, soft_wrap=True).print(line, markup=False, highlight=False)
