"""CHGNet in float64, as an ASE calculator. Imported only where CHGNet is there."""

from __future__ import annotations

from typing import Any

import torch
from ase import Atoms
from ase.calculators import calculator
from chgnet.model import dynamics
from pymatgen.io.ase import AseAtomsAdaptor

#: Typed in part only.
_Calculator: Any = calculator.Calculator
_CHGNetCalculator: Any = dynamics.CHGNetCalculator


class CHGNet64(_CHGNetCalculator):
    """CHGNet's calculator with coordinates and network in float64, and no stress.

    The package rounds every structure to float32 on the way in; the weights are the same. An
    element's reference energies stay in float32: they are the same along a band and cancel.

    Args:
        model: a loaded CHGNet, which becomes float64.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
    """

    implemented_properties = ("energy", "free_energy", "forces")

    def __init__(self, model: Any, device: str = "cpu") -> None:
        super().__init__(model, use_device=device, on_isolated_atoms="error")
        self.model.double()
        if self.model.composition_model is not None:
            self.model.composition_model.float()

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] | None = None,
        task: Any = "ef",
    ) -> None:
        """Energy in eV and forces in eV/Å."""
        changes = system_changes or calculator.all_changes
        _Calculator.calculate(self, atoms, properties or ["energy"], changes)
        structure = AseAtomsAdaptor.get_structure(self.atoms)
        graph = self.model.graph_converter(structure)
        options: Any = {"dtype": torch.float64, "requires_grad": True}
        graph.atom_frac_coord = torch.tensor(structure.frac_coords, **options)
        graph.lattice = torch.tensor(structure.lattice.matrix.copy(), **options)
        graph.neighbor_image = graph.neighbor_image.double()
        found: Any = self.model.predict_graph(graph.to(self.device), task=task)
        energy = float(found["e"]) * (len(structure) if self.model.is_intensive else 1)
        self.results = {"energy": energy, "free_energy": energy, "forces": found["f"]}


class CHGNet32(_CHGNetCalculator):
    """CHGNet as it comes, in float32 but without the stress, which costs a third of the time.

    Args:
        model: a loaded CHGNet.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
    """

    def __init__(self, model: Any, device: str = "cpu") -> None:
        super().__init__(model, use_device=device, on_isolated_atoms="error")

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] | None = None,
        task: Any = "ef",
    ) -> None:
        """Energy in eV and forces in eV/Å."""
        super().calculate(atoms, properties, system_changes, task=task)
