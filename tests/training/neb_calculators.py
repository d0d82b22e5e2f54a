"""A potential whose barriers are known in closed form, and ways for it to go wrong."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.calculators import calculator

from linegraph.ends import Ends
from linegraph.structure import Cell
from training.bands import Band

_Calculator: Any = calculator.Calculator

#: Distance of two sites along x, Å, and the wave number that belongs to it.
HOP = 4.0
K = 2 * math.pi / HOP


@dataclass
class Wave:
    """An ion in a wave along x, tilted, that it follows through a bent channel.

    ``-height/2 cos(K x) + tilt x + stiff/2 ((y - bend/2 (1 - cos K x))^2 + z^2)`` in eV. The host
    feels a spring to where it is first seen.
    """

    height: float = 0.6
    tilt: float = 0.0
    bend: float = 1.0
    stiff: float = 4.0

    @property
    def _lean(self) -> float:
        return math.asin(2 * self.tilt / (self.height * K))

    @property
    def forward(self) -> float:
        """The saddle above the site before it, eV."""
        return self.height * math.cos(self._lean) + self.tilt * (math.pi + 2 * self._lean) / K

    @property
    def backward(self) -> float:
        """The saddle above the site after it, eV."""
        return self.height * math.cos(self._lean) - self.tilt * (math.pi - 2 * self._lean) / K

    def energy(self, x: float, y: float, z: float) -> float:
        """Of the ion, eV."""
        off = y - self.bend / 2 * (1 - math.cos(K * x))
        well = -self.height / 2 * math.cos(K * x) + self.tilt * x
        return well + self.stiff / 2 * (off**2 + z**2)

    def force(self, x: float, y: float, z: float) -> list[float]:
        """On the ion, eV/Å."""
        off = y - self.bend / 2 * (1 - math.cos(K * x))
        along = self.height / 2 * K * math.sin(K * x) + self.tilt
        along -= self.stiff * off * self.bend / 2 * K * math.sin(K * x)
        return [-along, -self.stiff * off, -self.stiff * z]


class WaveCalculator(_Calculator):
    """:class:`Wave` for ASE; some host elements make it go wrong.

    Ar raises, Kr gives NaN, Xe flies apart.

    Args:
        log: a file that gets a line for each evaluation, the elements of the structure.
        pause: of each evaluation, s.
        interrupt: press Ctrl+C at this evaluation, counted from 1.
        wave: values of :class:`Wave`.
    """

    implemented_properties = ("energy", "forces")

    def __init__(
        self, log: str = "", pause: float = 0.0, interrupt: int = 0, **wave: float
    ) -> None:
        super().__init__()
        self.wave = Wave(**wave)
        self.log = log
        self.pause = pause
        self.interrupt = interrupt
        self.count = 0
        self.home: np.ndarray[Any, Any] = np.zeros((0, 3))

    def calculate(
        self, atoms: Any = None, properties: Any = None, system_changes: Any = ()
    ) -> None:
        super().calculate(atoms, properties or ["energy"], system_changes)
        self.count += 1
        symbols = self.atoms.get_chemical_symbols()
        if self.log:
            with Path(self.log).open("a") as stream:
                stream.write(" ".join(symbols) + "\n")
        time.sleep(self.pause)
        if self.count == self.interrupt:
            raise KeyboardInterrupt
        if "Ar" in symbols:
            raise ValueError("no parameters\nfor Ar")
        places = self.atoms.get_positions()
        if "numbers" in system_changes or len(self.home) != len(places) - 1:
            self.home = places[1:]
        off = places[1:] - self.home
        forces = np.concatenate([[self.wave.force(*places[0])], -off])
        energy = self.wave.energy(*places[0]) + (off**2).sum() / 2
        if "Kr" in symbols:
            energy = math.nan
        if "Xe" in symbols:
            forces[1] += [50.0, 0.0, 0.0]
            energy -= 50.0 * off[0, 0]
        self.results = {"energy": energy, "forces": forces}


def not_a_calculator(**options: object) -> object:
    """Something else."""
    return options


def wave_band(name: str, host: str = "O", target: float | None = 0.5, **places: float) -> Band:
    """A band for :class:`WaveCalculator`: a Li ion and two host atoms in a box.

    Args:
        name: of the record.
        host: element of the first host atom; the second is Mg.
        target: barrier, eV.
        places: ``first`` and ``last``, x of the ends of the path, Å.
    """
    from linegraph.elements import Z_OF

    first, last = places.get("first", 0.2), places.get("last", HOP - 0.1)
    ion = np.zeros((5, 3))
    ion[:, 0] = np.linspace(first, last, 5)
    places_ = np.concatenate([ion, [[3.0, 5.0, 5.0], [8.0, 5.0, 4.0]]])
    box = np.diag([12.0, 10.0, 9.0])
    cell = Cell(box, places_ @ np.linalg.inv(box), [3] * 5 + [Z_OF[host], 12])
    return Band(name, cell, target, name, "WAVES")


def wave_ends(band: Band) -> Ends[Cell]:
    """The two ends of a band."""
    assert isinstance(band.cell, Cell)
    return Ends(band.cell.without([1, 2, 3, 4]), band.cell.without([0, 1, 2, 3]))
