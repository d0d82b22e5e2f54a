"""The command ``screen`` as a function: a folder of crystals in, their ranking out."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from linegraph.ensemble_file import DEFAULT, load_ensemble
from linegraph.errors import InputError
from linegraph.prediction import LEVEL, THRESHOLD, predict_bands
from linegraph.supercell import MIN_WIDTH
from linegraph.weights import tensor_file
from training.files import make_folder
from training.held import held
from training.runs import Source, claim_folder, write_config

from .ions import checked_ions
from .ranking import Row, row_of, write_tables
from .store import STRUCTURES, Failure, Store, sha256_of, unusable
from .worker import STAGES, Job, Settings

#: Distributions, besides those of every run, whose versions are noted.
PACKAGES = ("spglib", "ase", "joblib")

#: Structures a worker is given at a time: so many at most are between two moves of the bar.
_CHUNK = 8


@dataclass(frozen=True, eq=False)
class Screened:
    """What a screening has found, earlier parts of a resumed one included.

    Attributes:
        ranking: a row for each crystal, in the order of ``ranking.csv``.
        failures: of the structures without barriers, by name.
        seconds: of wall-clock time by stage, summed over the crystals of the ranking.
    """

    ranking: list[Row]
    failures: list[Failure]
    seconds: dict[str, float]


def screen(
    out: str | PathLike[str],
    folder: str | PathLike[str],
    ion: str | None = None,
    *,
    weights: str | PathLike[str] | None = None,
    max_length: float | None = None,
    find_empty_sites: bool = False,
    min_width: float = MIN_WIDTH,
    idpp: bool = False,
    level: float = LEVEL,
    threshold: float = THRESHOLD,
    workers: int | None = None,
    device: str = "cpu",
    resume: bool = False,
    progress: bool = True,
    debug: bool = False,
) -> Screened:
    """Predict the barriers of all crystals in a folder, and rank them.

    A structure that is done is on disk, in a file of its own. Whatever happens then, it is not done
    again: a screening that was interrupted or killed goes on with ``resume``, which also repeats
    what failed, and does files that are new or have changed. Only a row for each is kept in memory.

    The work is joblib's: in the block of ``joblib.parallel_config(backend=...)`` another backend
    does it. Workers read the structures and the weights, and write the results, by their paths.

    Args:
        out: the run folder; must not exist, unless ``resume``.
        folder: of structure files. Hidden ones and folders in it are left out.
        ion: of several with commas in between (``"Li,Na"``), the first that is in the structure.
            See :func:`linegraph.predict`, as for the next seven.
        weights: a file, or the folder of a run; those that come with the package if None.
        max_length: Å.
        find_empty_sites: whether they are looked for.
        min_width: Å.
        idpp: whether paths are bent.
        level: of the intervals.
        threshold: eV.
        workers: at a time, each with a part of the cores; if None, ``n_jobs`` of joblib's block,
            and without that as many as the backend has.
        device: auto, cpu, cuda or cuda:N.
        resume: go on with the screening in ``out``.
        progress: show a progress bar on standard error.
        debug: print the traceback of each structure that fails, to the standard error of the worker
            that did it.

    Raises:
        InputError: a folder without files, unusable weights or settings, a run folder that exists
            or that holds a run of other settings, a worker that was killed.
    """
    from joblib import cpu_count

    if workers is not None and workers < 1:
        raise InputError(f"is {workers}, expected 1 or more", field="workers")
    files = structure_files(folder)
    settings = Settings(
        checked_ions(ion), max_length, find_empty_sites, min_width, idpp, level, threshold
    )
    file = DEFAULT.absolute() if weights is None else tensor_file(weights).absolute()
    _check(settings, file, device)
    jobs = min(_workers(workers), len(files))
    run = Path(out).absolute()
    store = Store(run / STRUCTURES)
    threads = max(1, cpu_count() // jobs)
    job = Job(file, sha256_of(file), settings, device, store, threads, debug)
    same = {**asdict(settings), "weights": job.sha256}
    # What counts is the content of each file, which is noted with its result.
    source = Source(Path(folder), "of each file, in structures/", (), ())
    notes = {
        "protocol": {"name": "no training"},
        "structures": len(files),
        "weights_path": str(file),
        "device": device,
    }
    with held(run):
        claim_folder(Path(out), same, source, {}, resume=resume)
        write_config(run, same, source, notes, PACKAGES)
        make_folder(store.folder)
        todo = store.unfinished(files)
        try:
            _do_all(job, todo, jobs, len(files), progress)
        finally:
            # Not what was handed over: workers may have done more until they were stopped.
            found = collect(store, files)
            write_tables(run, found.ranking, found.failures)
    return found


def structure_files(folder: str | PathLike[str]) -> list[Path]:
    """The files of a folder, sorted by name; neither hidden ones nor folders in it.

    Raises:
        InputError: no folder, or nothing in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError("is no folder" if folder.exists() else "no such folder", file=folder)
    try:
        # Also what cannot be read, as a link to nothing: it is missed otherwise.
        found = sorted(p for p in folder.absolute().iterdir() if not p.is_dir())
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=folder) from error
    files = [path for path in found if not path.name.startswith(".")]
    if not files:
        raise InputError("there are no structure files in it", file=folder)
    return files


def collect(store: Store, files: Sequence[Path]) -> Screened:
    """What there is on disk, read one file at a time.

    Raises:
        InputError: a file that this program has not written.
    """
    rows: list[Row] = []
    failures: list[Failure] = []
    seconds = dict.fromkeys(STAGES, 0.0)
    for file in files:
        if (result := store.read(file)) is None:
            continue
        if result.failure is not None:
            failures.append(result.failure)
        elif result.prediction is not None:
            try:
                rows.append(row_of(result.file, result.prediction))
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                raise unusable(store.path(file), error) from error
            for stage in STAGES:
                seconds[stage] += result.seconds.get(stage, 0.0)
    return Screened(sorted(rows, key=lambda row: row.order), failures, seconds)


def _workers(wanted: int | None) -> int:
    """How many the backend in use has: those wanted, those of its block, or all."""
    from joblib import effective_n_jobs
    from joblib.parallel import get_active_backend

    if wanted is None:
        _, wanted = get_active_backend()
    jobs: int = effective_n_jobs(-1 if wanted is None else wanted)
    return jobs


def _check(settings: Settings, weights: Path, device: str) -> None:
    """Refuse at once what every structure would fail with."""
    for name, value in (("max_length", settings.max_length), ("min_width", settings.min_width)):
        if value is not None and not value > 0:
            raise InputError(f"expected more than 0 Å, got {value}", field=name)
    ensemble = load_ensemble(weights)
    predict_bands(
        [], weights=ensemble, level=settings.level, threshold=settings.threshold, device=device
    )


def _do_all(job: Job, todo: Sequence[Path], jobs: int, total: int, progress: bool) -> None:
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not progress) as bar:
        task = bar.add_task("screening", total=total, completed=total - len(todo))
        failed = 0
        # Closed first, so that nobody is at work when the tables are written.
        with closing(_done(job, todo, jobs)) as counts:
            for done, bad in counts:
                failed += bad
                words = f"screening, {failed} failed" if failed else "screening"
                bar.update(task, advance=done, description=words)


def _done(job: Job, todo: Sequence[Path], jobs: int) -> Generator[tuple[int, int], None, None]:
    """How many structures are done, and failed, chunk by chunk. They are on disk by then."""
    from joblib import Parallel, delayed
    from joblib.parallel import get_active_backend

    size = max(1, min(_CHUNK, len(todo) // (4 * jobs)))
    chunks = [todo[i : i + size] for i in range(0, len(todo), size)]
    backend, _ = get_active_backend()
    as_they_come = "generator_unordered" if backend.supports_return_generator else "list"
    try:
        yield from Parallel(n_jobs=jobs, return_as=as_they_come)(
            delayed(job.do)(chunk) for chunk in chunks
        )
    except BrokenProcessPool:
        raise InputError(
            "a worker was killed, for lack of memory perhaps; --resume with fewer --workers goes on"
        ) from None
