"""A file of graphs, to measure where structures cannot be read.

    python -m benchmarks.cache_graphs FILE

Give it to the benchmarks of kernels and models as ``--data FILE`` on a machine that has torch and
torch-geometric but neither pymatgen nor the data.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from linegraph import CrystalGraph

from .compare import Options
from .graphs import BANDS, CACHED, CRYSTALS, FIELDS, LARGE, bands, crystals, garnet

#: Graphs of each kind.
COUNTS = {BANDS: 64, CRYSTALS: 256}


def write_graphs(
    path: Path, bands: Sequence[CrystalGraph], crystals: Sequence[CrystalGraph], large: CrystalGraph
) -> None:
    """Write graphs for :func:`benchmarks.graphs.read_graphs`, without their line graphs."""
    kinds = {BANDS: bands, CRYSTALS: crystals, LARGE: [large]}
    torch.save(
        {kind: [{f: g[f] for f in FIELDS} for g in graphs] for kind, graphs in kinds.items()}, path
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Build the graphs of all kinds and write them."""
    parser = argparse.ArgumentParser(prog="benchmarks.cache_graphs", description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE", help=f"written; ends in {CACHED}")
    parser.add_argument("--data", type=Path, help="bands (default: as of the benchmarks)")
    options = parser.parse_args(arguments)
    if options.file.suffix != CACHED:
        parser.error(f"{options.file}: the name must end in {CACHED}")
    chosen = Options(data=options.data)
    write_graphs(
        options.file,
        bands(chosen, COUNTS[BANDS]),
        crystals(chosen, COUNTS[CRYSTALS]),
        garnet(chosen),
    )
    print(f"written to {options.file}")


if __name__ == "__main__":
    main()
