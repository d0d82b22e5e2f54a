"""Crystal graphs that kernels and models are measured on, from structures or from a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import Batch

from linegraph import Cell, CrystalGraph, InputError, LineGraph, crystal_graph, expand

from .compare import Options

#: Ending of a file of graphs: see :mod:`benchmarks.cache_graphs`.
CACHED = ".pt"

#: Cubic cells of garnet along each axis: 10,240 atoms.
GARNET = (4, 4, 4)

#: What a graph is made of; its line graph follows from it.
FIELDS = ("z", "pos", "cell", "edge_index", "edge_vec", "multiplicity", "edge_end")

#: Kinds of graphs in a file.
BANDS, CRYSTALS, LARGE = "bands", "crystals", "garnet"


def bands(options: Options, count: int) -> list[CrystalGraph]:
    """Graphs with line graphs of the first test bands.

    Fewer if there are fewer. They are those of the file or folder of ``options.data``, or the
    published ones, or else the starter set.
    """
    return _graphs(options, BANDS, count, lambda: _band_cells(options, count))


def crystals(options: Options, count: int) -> list[CrystalGraph]:
    """Graphs with line graphs of the first published pre-training records; bands without those."""
    return _graphs(options, CRYSTALS, count, lambda: _crystal_cells(options, count))


def garnet(options: Options) -> CrystalGraph:
    """The graph with line graph of one garnet cell of 10,240 atoms."""
    (graph,) = _graphs(options, LARGE, 1, _garnet_cell)
    return graph


def repeated(graphs: Sequence[CrystalGraph], count: int) -> list[CrystalGraph]:
    """So many graphs, from the beginning again where there are too few."""
    return list(islice(cycle(graphs), count))


def with_triplets(graphs: Sequence[CrystalGraph], triplets: int) -> Any:
    """A batch of so many triplets, or some more.

    It is the smallest graph that has them, or as many as it takes, from the beginning again where
    there are too few.
    """
    if enough := [graph for graph in graphs if graph.num_triplets >= triplets]:
        return batch_of([min(enough, key=lambda graph: graph.num_triplets)])
    chosen: list[CrystalGraph] = []
    found = 0
    for graph in cycle(graphs):
        chosen.append(graph)
        found += graph.num_triplets
        if found >= triplets:
            break
    return batch_of(chosen)


def batch_of(graphs: Sequence[CrystalGraph]) -> Any:
    """A batch, each graph with its line graph."""
    return Batch.from_data_list(list(graphs))


def literal_batch(graphs: Sequence[CrystalGraph]) -> Any:
    """A batch of the same graphs with every bond as often as the reference stores it."""
    return Batch.from_data_list([expand(graph) for graph in graphs])


def read_graphs(path: Path, kind: str, count: int) -> list[CrystalGraph]:
    """The first graphs of a kind in a file that :mod:`benchmarks.cache_graphs` wrote.

    Needs torch and torch-geometric alone.

    Raises:
        InputError: no such file, another kind of file, or one without graphs of that kind.
    """
    try:
        found = torch.load(path, weights_only=True)
    except FileNotFoundError:
        raise InputError("there is no such file", file=path) from None
    except Exception as error:  # a damaged file fails in many ways
        raise InputError(f"is no file of graphs ({type(error).__name__})", file=path) from error
    rows = found.get(kind) if isinstance(found, dict) else None
    if not rows:
        raise InputError("has no such graphs", file=path, field=kind)
    return [LineGraph()(CrystalGraph(**row)) for row in rows[:count]]


def _graphs(
    options: Options, kind: str, count: int, cells: Callable[[], list[Cell]]
) -> list[CrystalGraph]:
    if options.data is not None and options.data.suffix == CACHED:
        return read_graphs(options.data, kind, count)
    return [LineGraph()(crystal_graph(cell)) for cell in cells()]


# Reading structures needs packages that reading graphs does not.


def _band_cells(options: Options, count: int) -> list[Cell]:
    from .shapes import PUBLISHED_TEST, some_bands

    found = some_bands(options.data, PUBLISHED_TEST)
    return [cell for band in found.bands for cell in band.structures][:count]


def _crystal_cells(options: Options, count: int) -> list[Cell]:
    from training.properties import read_properties

    from .shapes import PUBLISHED

    published = PUBLISHED.parents[1] / "pretrain"
    if options.data is not None or not published.is_dir():
        return _band_cells(options, count)
    return [crystal.cell for crystal in read_properties(published).crystals[:count]]


def _garnet_cell() -> list[Cell]:
    from .shapes import supercell

    return [supercell("garnet", GARNET)]
