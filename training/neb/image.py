"""The calculator of one image, and what is counted with it. Imported only where ASE is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators import calculator

#: ASE's classes are typed in part only.
_Calculator: Any = calculator.Calculator

#: An atom that is so far (Å) from where it started belongs to a structure that flies apart.
STRAYED = 5.0


class CalculationFailed(RuntimeError):
    """Energies or forces are no numbers, or the structure flies apart."""


class Tally:
    """How many structures were evaluated.

    Attributes:
        evaluations: energy and forces of one structure count as one.
    """

    def __init__(self) -> None:
        self.evaluations = 0


class ImageCalculator(_Calculator):
    """A calculator of one image's own, in front of the one that all images share.

    ASE compares structures to know whether a result still holds. An optimiser asks the same image
    several times in turn, a band asks its ends at every step: with a calculator for each image,
    every structure is evaluated once, and the potential is still loaded only once.

    Args:
        shared: the ASE calculator that does the work.
        tally: where evaluations are counted.

    Raises:
        CalculationFailed: on a structure that flies apart, or results that are NaN or infinite.
    """

    implemented_properties = ("energy", "free_energy", "forces")

    def __init__(self, shared: Any, tally: Tally) -> None:
        super().__init__()
        self.shared = shared
        self.tally = tally
        self._start: np.ndarray[Any, np.dtype[np.float64]] | None = None

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(calculator.all_changes),
    ) -> None:
        """Energy in eV and forces in eV/Å, in float64."""
        super().calculate(atoms, properties, system_changes)
        self._check_place()
        self.tally.evaluations += 1
        forces = np.array(self.shared.get_property("forces", self.atoms), dtype=np.float64)
        energy = float(self.shared.get_property("energy", self.atoms))
        try:
            free_energy = float(self.shared.get_property("free_energy", self.atoms))
        except calculator.PropertyNotImplementedError:
            # Few potentials know one apart; optimisers ask for it all the same.
            free_energy = energy
        if not (np.isfinite(forces).all() and np.isfinite([energy, free_energy]).all()):
            raise CalculationFailed("energy or forces are NaN or infinite")
        self.results = {"energy": energy, "free_energy": free_energy, "forces": forces}

    def _check_place(self) -> None:
        places = self.atoms.get_positions()
        if not np.isfinite(places).all():
            raise CalculationFailed("positions are NaN or infinite")
        if self._start is None:
            self._start = places
        moved = np.linalg.norm(places - self._start, axis=1)
        atom = int(moved.argmax())
        if moved[atom] > STRAYED:
            raise CalculationFailed(
                f"the structure flies apart: atom {atom} ({self.atoms.symbols[atom]}) is "
                f"{moved[atom]:.1f} Å from where it started"
            )
