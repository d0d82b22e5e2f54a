"""What the command ``predict`` does: files in, barriers out, one file after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from linegraph.barrier import Barrier
from linegraph.devices import usable_device
from linegraph.errors import InputError
from linegraph.predicted import Prediction, barrier_as_dict
from linegraph.prediction import (
    LEVEL,
    THRESHOLD,
    Weights,
    named,
    predict,
    predict_bands,
    usable_weights,
)
from linegraph.structure import Cell
from linegraph.supercell import MIN_WIDTH

from .bands import Band
from .data import hop_length, ion_of
from .neb.hops import barriers_of_hops
from .neb.table import NebTable, given_table
from .structures import Kind, read_given


@dataclass(frozen=True)
class CrystalFile:
    """A crystal and its barriers."""

    path: Path
    prediction: Prediction

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"file": str(self.path), **self.prediction.as_dict()}


@dataclass(frozen=True)
class BandFile:
    """Ready bands and their barriers.

    Attributes:
        path: a structure file of one band, or a data set.
        bands: in the order of the file.
        barriers: of each.
    """

    path: Path
    bands: list[Band]
    barriers: list[Barrier]

    @property
    def single(self) -> bool:
        """Whether it is a structure file, taken for a band because it looks like one or was said
        to be one."""
        named = [band.name for band in self.bands] == [str(self.path)]
        return named and self.path.is_file()

    def as_dicts(self) -> list[dict[str, Any]]:
        """A dictionary for each band, ready for JSON."""
        return [
            {
                "file": str(self.path),
                "band": band.name,
                "system": band.system,
                "ion": ion_of(band),
                "length_A": hop_length(band),
                **barrier_as_dict(barrier),
            }
            for band, barrier in zip(self.bands, self.barriers, strict=True)
        ]


def predict_files(
    files: Sequence[str | PathLike[str]],
    weights: Weights | None = None,
    *,
    kind: Kind | None = None,
    ion: str | None = None,
    max_length: float | None = None,
    empty_sites: ArrayLike | None = None,
    find_empty_sites: bool = False,
    min_width: float = MIN_WIDTH,
    idpp: bool = False,
    level: float = LEVEL,
    threshold: float = THRESHOLD,
    device: str = "auto",
    neb: str | PathLike[str] | NebTable | None = None,
    neb_column: str | None = None,
) -> Iterator[CrystalFile | BandFile | InputError]:
    """Predict the barriers of what files hold.

    Args:
        files: structure files of crystals or of one band each, or data sets of bands.
        weights: see :func:`linegraph.predict`, as for the rest.
        kind: what structure files hold; by default what they look like.
        ion: of crystals, as for the next five.
        max_length: Å.
        empty_sites: fractional coordinates.
        find_empty_sites: whether more are looked for.
        min_width: Å.
        idpp: whether paths are bent.
        level: of the intervals.
        threshold: eV.
        device: auto, cpu, cuda or cuda:N.
        neb: barriers of a potential (:func:`training.neb.table.read_neb`) that ours are moved
            towards; those of hops that are not in it are as without. Bands have the names of their
            data set; those of a structure file that of the file, with its ending or without; hops
            of a crystal those that the command ``hops`` gives their bands
            (:func:`training.neb.hops.barriers_of_hops`).
        neb_column: of that table.

    Yields:
        For each file in turn what was predicted, or what is wrong with it, naming the file.

    Raises:
        InputError: unusable weights, device or table.
    """
    ensemble, device = usable_weights(weights), usable_device(device)
    table = neb if isinstance(neb, NebTable) else given_table(neb, neb_column)
    if table is not None:
        ensemble.require_potential()
    for path in map(Path, files):
        try:
            given = read_given(path, kind, ion)
            if isinstance(given, Cell):
                prediction = predict(
                    given,
                    ion,
                    weights=ensemble,
                    max_length=max_length,
                    empty_sites=empty_sites,
                    find_empty_sites=find_empty_sites,
                    min_width=min_width,
                    idpp=idpp,
                    level=level,
                    threshold=threshold,
                    device=device,
                    potential=None if table is None else partial(barriers_of_hops, table),
                )
                yield CrystalFile(path, prediction)
            else:
                how = {"level": level, "threshold": threshold, "device": device}
                potential = None if table is None else _beside(path, given, table)
                yield BandFile(path, given, _barriers(given, ensemble, potential=potential, **how))
        except InputError as error:
            yield error.at(file=path)


def barriers_in(found: CrystalFile | BandFile | InputError) -> list[Barrier]:
    """All barriers that were predicted of what is in a file."""
    if isinstance(found, CrystalFile):
        return [row.barrier for row in found.prediction.hops]
    return found.barriers if isinstance(found, BandFile) else []


def _beside(path: Path, bands: list[Band], table: NebTable) -> list[float | None]:
    """The barriers of a potential: of the bands of a data set, or of one in a structure file."""
    if [band.name for band in bands] != [str(path)]:
        return table.of([band.name for band in bands])
    found = table.of([str(path), path.name, path.stem])
    return [next((barrier for barrier in found if barrier is not None), None)]


def _barriers(bands: list[Band], weights: Weights, **how: Any) -> list[Barrier]:
    try:
        return predict_bands([band.cell for band in bands], weights=weights, **how)
    except InputError as error:
        raise named(error, [band.name for band in bands]) from None
