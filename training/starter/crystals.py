"""The compounds of the starter set as files, as a database would have them."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from linegraph.errors import InputError

from ..files import write_text
from . import COMPOUNDS


def write_crystals(folder: str | PathLike[str]) -> list[Path]:
    """Write a CIF for every compound: its conventional cell, every atom of it.

    Args:
        folder: made where it is missing; files of the same names are replaced.

    Returns:
        The files, in the order of ``compounds.yaml``, named by formula (``TiO2_rutile.cif`` where
        that is not enough).

    Raises:
        InputError: the folder or a file cannot be written, or pymatgen is not installed.
    """
    try:
        from pymatgen.core import Structure

        from .build import conventional_cell
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "pymatgen":
            raise
        raise InputError("the starter set needs pymatgen: pip install pymatgen") from None
    from .records import load_compounds

    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be created ({error.strerror})", file=folder) from error
    written = []
    for compound in load_compounds(COMPOUNDS):
        crystal = conventional_cell(compound)
        structure = Structure(crystal.lattice, crystal.elements, crystal.frac)
        file = folder / f"{compound.name.replace(' ', '_')}.cif"
        write_text(file, f"# {compound.name}: {compound.source}\n{structure.to(fmt='cif')}")
        written.append(file)
    return written
