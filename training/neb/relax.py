"""One record: its ends relaxed, its band relaxed, its barrier."""

from __future__ import annotations

import io
import time
import warnings
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from linegraph.errors import InputError
from training.bands import IMAGES, Band
from training.tracebacks import print_traceback

from .band import FloatArray, Path, path_of

#: How ASE finds the direction of the band: Henkelman and Jónsson, J. Chem. Phys. 113, 9978 (2000).
METHOD = "improvedtangent"

#: A climbing image starts to climb once the largest force of the band is below this, eV/Å.
_CLIMB_BELOW = 0.5

#: Ends whose ions are nearer to each other than this (Å) have relaxed into one site.
_ONE_SITE = 0.5

#: The remark on such ends. Nothing is left of the hop, and the barrier is not its own.
NO_HOP = "both ends relaxed into one site"


@dataclass(frozen=True)
class Settings:
    """How a band is relaxed. The defaults are Table S4's of arXiv:2508.06436.

    Attributes:
        relax: relax both ends first, in their cell.
        climb: let the highest image climb to the saddle.
        images: their number with both ends; 5 are those of the band as given.
        fmax: largest force of a relaxed structure or band, eV/Å.
        steps: most steps of the optimiser, for each end and for the band.
    """

    relax: bool = True
    climb: bool = False
    images: int = IMAGES
    fmax: float = 0.05
    steps: int = 1000

    def checked(self) -> Settings:
        """Itself.

        Raises:
            InputError: a setting out of its range.
        """
        if self.images < 3:
            raise InputError(f"is {self.images}, expected 3 or more", field="images")
        if not 0 < self.fmax < np.inf:
            raise InputError(f"is {self.fmax}, expected more than 0", field="fmax")
        if self.steps < 0:
            raise InputError(f"is {self.steps}, expected 0 or more", field="steps")
        return self


@dataclass
class Result:
    """What came of a record. Energies in eV, forces in eV/Å, times in s.

    Attributes:
        name: of the record.
        error: what went wrong; None if a band came out, converged or not. Then the rest may hold
            nothing but counts and times.
        energies: of the images, from initial to final.
        converged: whether everything that was to be relaxed is.
        ends_converged: of the initial and of the final structure; None where not relaxed.
        band_converged: of the band.
        force: largest force on an atom of the band between its ends, springs included.
        end_force: largest force on an atom of either end.
        evaluations: structures whose energy and forces were calculated.
        steps: of the optimisers, all together.
        cpu_s: processor time, of all threads.
        wall_s: time by the clock.
        note: what a reader of the barrier should know; empty if nothing.
    """

    name: str
    error: str | None = None
    energies: list[float] = field(default_factory=list)
    converged: bool = False
    ends_converged: list[bool] | None = None
    band_converged: bool = False
    force: float | None = None
    end_force: float | None = None
    evaluations: int = 0
    steps: int = 0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    note: str = ""

    @property
    def forward(self) -> float:
        """The barrier: highest image minus initial, eV."""
        return max(self.energies) - self.energies[0]

    @property
    def backward(self) -> float:
        """Highest image minus final, eV."""
        return max(self.energies) - self.energies[-1]

    @property
    def from_lowest(self) -> float:
        """Highest image minus lowest, eV: more than both where an image lies below its ends."""
        return max(self.energies) - min(self.energies)


def relax_band(band: Band, calculator: Any, settings: Settings, *, debug: bool = False) -> Result:
    """Relax the band of one record.

    The ends are relaxed by ASE's ``QuasiNewton`` at fixed cell, the images between by ``BFGS`` on
    an :class:`ase.mep.NEB` (:data:`METHOD`, springs of 0.1 eV/Å²), each to the same force.

    Args:
        band: the record.
        calculator: an ASE calculator with energy and forces. All images share it.
        settings: how.
        debug: print the traceback of what goes wrong.

    Returns:
        What came of it. Whatever goes wrong in the calculator or the optimiser is its ``error``.

    Raises:
        InputError: ASE is not installed.
    """
    try:
        from .image import Tally
    except ImportError as error:
        raise InputError("NEB needs ASE: pip install 'linegraph[neb]'", field="ase") from error
    result, tally = Result(band.name), Tally()
    cpu, wall = time.process_time(), time.perf_counter()
    try:
        # Optimisers and potentials print as they like; what matters is in the result.
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _relax(path_of(band, settings.images), calculator, tally, settings, result)
    except Exception as error:
        line = " ".join(str(error).split())
        result.error = f"{type(error).__name__}: {line}" if line else type(error).__name__
        if debug:
            print_traceback(band.name, error)
    result.evaluations = tally.evaluations
    result.cpu_s = round(time.process_time() - cpu, 2)
    result.wall_s = round(time.perf_counter() - wall, 2)
    return result


def _relax(path: Path, shared: Any, tally: Any, settings: Settings, result: Result) -> None:
    from ase import Atoms

    from .image import ImageCalculator

    def image(places: FloatArray) -> Any:
        calculator = ImageCalculator(shared, tally)
        return Atoms(path.numbers, places, cell=path.cell, pbc=True, calculator=calculator)

    notes = [path.note] if path.note else []
    ends = [image(path.places[0]), image(path.places[-1])]
    if settings.relax:
        result.ends_converged = [_relax_end(end, settings, result, notes) for end in ends]
    places = path.between(*(end.get_positions() for end in ends))
    images = [ends[0], *map(image, places[1:-1]), ends[1]]
    band = _module("ase.mep").NEB(images, method=METHOD)
    optimiser = _module("ase.optimize").BFGS(band, logfile=None)
    left = settings.steps
    if settings.climb:
        optimiser.run(fmax=max(_CLIMB_BELOW, settings.fmax), steps=left)
        left -= optimiser.get_number_of_steps()
        band.climb = True
    result.band_converged = bool(optimiser.run(fmax=settings.fmax, steps=left))
    result.steps += optimiser.get_number_of_steps()
    result.energies = [float(one.get_potential_energy()) for one in images]
    result.force = _largest(band.get_forces())
    result.end_force = max(_largest(end.get_forces()) for end in ends)
    result.converged = result.band_converged and all(result.ends_converged or [])
    result.note = "; ".join(notes + _remarks(images, settings, result))


def _relax_end(atoms: Any, settings: Settings, result: Result, notes: list[str]) -> bool:
    optimize = _module("ase.optimize")
    optimiser = optimize.QuasiNewton(atoms, logfile=None)
    try:
        converged = bool(optimiser.run(fmax=settings.fmax, steps=settings.steps))
        result.steps += optimiser.get_number_of_steps()
        return converged
    except RuntimeError as error:
        if "LineSearch failed" not in str(error):
            raise
    # Energies too rough to search along, as at single precision, are no reason to give up: BFGS
    # looks at forces alone.
    done = optimiser.get_number_of_steps()
    notes.append(f"line search of an end failed after {done} steps, finished by BFGS")
    optimiser = optimize.BFGS(atoms, logfile=None)
    converged = bool(optimiser.run(fmax=settings.fmax, steps=settings.steps - done))
    result.steps += done + optimiser.get_number_of_steps()
    return converged


def _remarks(images: list[Any], settings: Settings, result: Result) -> list[str]:
    remarks = []
    open_ = [
        part
        for part, converged in zip(
            ("initial structure", "final structure", "band"),
            (*(result.ends_converged or (True, True)), result.band_converged),
            strict=True,
        )
        if not converged
    ]
    if open_:
        remarks.append(f"not converged within {settings.steps} steps: {', '.join(open_)}")
    if int(np.argmax(result.energies)) in (0, len(images) - 1):
        remarks.append("an end is the highest image")
    first, last = images[0], images[-1]
    joined = first.copy()
    joined.append(last[0])
    if settings.relax and joined.get_distance(0, -1, mic=True) < _ONE_SITE:
        remarks.append(NO_HOP)
    return remarks


def _module(name: str) -> Any:
    """A module of ASE, whose classes are typed in part only."""
    return import_module(name)


def _largest(forces: FloatArray) -> float:
    return float(np.linalg.norm(forces, axis=1).max())
