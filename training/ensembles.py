"""From a cross-validated run to one predictor: its models together, calibrated on held-out records.

Every fold leaves a model, and the records it has not seen. All models together predict what none
has seen; how wrong they are is known from the held-out records, each predicted by its one model.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress

from linegraph.atomic_files import replacing
from linegraph.devices import usable_device
from linegraph.domain import Domain
from linegraph.embedding import said_by_all
from linegraph.ensemble import Ensemble
from linegraph.ensemble_file import save_ensemble
from linegraph.errors import InputError
from linegraph.intervals import calibrate
from linegraph.weights import Weights, load_weights

from .data import labelled, load_bands
from .fit import Machine
from .graphs import GraphSet
from .judging.predictions import Predictions, read_run
from .neb.table import NebTable, read_neb
from .potentials import check_enough, learn_potential
from .predict import passes
from .protocols import Protocol
from .read import BandSet
from .runs import graphs_of, source_of
from .yamlfile import read_yaml

#: How far a model's prediction may be from the one in the run folder, eV: machines round in
#: different ways, but no more than this.
SAME = 0.01


def makes_an_ensemble(protocol: Protocol) -> bool:
    """Whether a run's models were trained and held records out as an ensemble needs it.

    Folds in which every record is held out once, and all others are learned from. Where a class or
    ion is left out, held-out records are stranger to their model than new ones would be.
    """
    return protocol.folds > 1 and protocol.repeats == 1 and protocol.train_fraction == 1


def ensemble_of_run(
    folder: str | PathLike[str],
    data: str | PathLike[str] | BandSet | None = None,
    *,
    out: str | PathLike[str] | None = None,
    neb: str | PathLike[str] | NebTable | None = None,
    neb_column: str | None = None,
    device: str = "cpu",
    progress: bool = False,
) -> Path:
    """Make one predictor of a run with folds, and write it into the run folder.

    Args:
        folder: of the run; nothing in it changes but the file that is written.
        data: the bands it was trained on; by default those that its ``config.yaml`` names.
        out: the file to write; by default ``model.safetensors`` in the folder.
        neb: barriers of a potential (:func:`training.neb.table.read_neb`), to learn what they are
            worth beside the models; by default those that ``config.yaml`` names, if it does.
        neb_column: of that table.
        device: where to compute.
        progress: show a progress bar.

    Returns:
        The file.

    Raises:
        InputError: no run with folds, weights or predictions that are missing or do not belong
            together, or other data than the run's; a table with too few of its records.
    """
    folder = Path(folder)
    recorded = _data_of(folder / "config.yaml")
    machine = Machine.usable(Machine(device, progress=progress))
    run = read_run(folder).of("test")
    bands = _bands(recorded, run, data)
    table = _neb(folder, recorded, neb, neb_column)
    if table is not None:
        check_enough(table, bands.bands)
    labels = sorted(set(run.fold), key=lambda label: (len(label), label))
    weights = [load_weights(folder / f"fold-{label}") for label in labels]
    first = weights[0]
    for label, one in zip(labels, weights, strict=True):
        if one._replace(model=first.model) != first:
            raise InputError(
                f"is another model than fold-{labels[0]}", file=folder / f"fold-{label}"
            )
    graphs = graphs_of(source_of(bands), first.model.views, first.graph_settings, machine)
    order = {name: i for i, name in enumerate(run.names)}
    rows = np.array([order[band.name] for band in bands.bands])
    member = np.array([labels.index(label) for label in run.fold], dtype=np.int64)[rows]
    values, embeddings = _seen_by_all(weights, graphs, machine)
    predicted = values[member, np.arange(len(member))]
    _check_same(folder, predicted, run.prediction[rows], bands)
    domain = Domain(tuple(band.name for band in bands.bands), member, embeddings)
    targets = np.array([band.target for band in bands.bands], dtype=np.float64)
    ensemble = Ensemble(
        first.name,
        first.config,
        first.graph_settings,
        tuple(one.model for one in weights),
        domain,
        calibrate(targets, predicted, domain.held_out, member),
        None if table is None else learn_potential(table, bands.bands, predicted, domain),
    )
    target = folder / "model.safetensors" if out is None else Path(out)
    with replacing(target) as partial:
        save_ensemble(partial, ensemble)
    return target


def _data_of(path: Path) -> dict[str, Any]:
    """What ``config.yaml`` says of the data, of a run that an ensemble can be made of."""
    try:
        config = read_yaml(path)
        # Older runs say how many folds there were, and did nothing else with several models.
        told = config.get("protocol") or {"folds": config.get("folds") or 0}
        protocol = Protocol(**{key: value for key, value in told.items() if key != "name"})
        recorded = {key: str(config["data"][key]) for key in ("path", "fingerprint")}
        skipped = bool(config["data"].get("skipped"))
        neb = config.get("neb")
        if neb is not None:
            neb = {
                "path": str(config["neb_path"]),
                **{k: str(neb[k]) for k in ("column", "sha256")},
            }
    except FileNotFoundError:
        raise InputError("there is no run", file=path) from None
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError("is no record of a run that was trained", file=path) from error
    if not makes_an_ensemble(protocol):
        raise InputError(
            f"{protocol.name}: an ensemble is made of a run with folds by system, all training "
            "records and a single seed",
            file=path,
            field="protocol",
        )
    return {**recorded, "skipped": skipped, "neb": neb}


def _neb(
    folder: Path,
    recorded: Mapping[str, Any],
    neb: str | PathLike[str] | NebTable | None,
    column: str | None,
) -> NebTable | None:
    """The barriers of a potential that were given, or those that the run was trained with."""
    if isinstance(neb, NebTable):
        return neb
    if neb is not None:
        return read_neb(neb, column)
    told = recorded["neb"]
    if told is None:
        return None
    table = read_neb(told["path"], told["column"])
    if table.sha256 != told["sha256"]:
        raise InputError(f"is not the table that {folder} was trained with", file=table.path)
    return table


def _bands(
    recorded: Mapping[str, Any], run: Predictions, data: str | PathLike[str] | BandSet | None
) -> BandSet:
    """The run's records, in the order of the data."""
    if data is None:
        starter = load_bands(None)
        # Where the starter set lies is the installation's affair, not the run's.
        data = starter if starter.fingerprint == recorded["fingerprint"] else recorded["path"]
    if not isinstance(data, BandSet):
        data = load_bands(data, skip_bad=recorded["skipped"])
    if data.fingerprint != recorded["fingerprint"]:
        raise InputError(f"is not the data that {run.path} was trained on", file=data.path)
    asked = set(run.names)
    kept = [band for band in labelled(data).bands if band.name in asked]
    if len(kept) != len(run.names):
        raise InputError(
            f"{len(run.names)} held-out predictions, but {len(kept)} of their records are in "
            f"{data.path}",
            file=run.path / "predictions.csv",
        )
    return BandSet(kept, data.skipped, data.path, data.fingerprint)


def _seen_by_all(
    weights: list[Weights], graphs: GraphSet, machine: Machine
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """``[k, n]`` predictions in eV and ``[k, n, H]`` embeddings of all records by all models."""
    count = len(graphs.graphs)
    where = usable_device(machine.device)
    models = [one.model.to(where) for one in weights]
    values: dict[int, NDArray[np.float64]] = {}
    embeddings: dict[int, NDArray[np.float32]] = {}
    with Progress(transient=True, disable=not machine.progress) as bar:
        task = bar.add_task("Calibrating", total=count)
        for positions, views in passes(graphs, range(count), torch.device(where)):
            said, vectors = said_by_all(models, views)
            for column, position in enumerate(positions):
                values[position], embeddings[position] = said[:, column], vectors[:, column]
            bar.update(task, advance=len(positions))
    return (
        np.stack([values[i] for i in range(count)], axis=1),
        np.stack([embeddings[i] for i in range(count)], axis=1),
    )


def _check_same(
    folder: Path, predicted: NDArray[np.float64], before: NDArray[np.float64], bands: BandSet
) -> None:
    """Refuse weights that are not those that the run's predictions are from."""
    off = np.abs(predicted - before)
    worst = int(off.argmax())
    if not off[worst] <= SAME:
        raise InputError(
            f"held {bands.bands[worst].name!r} at {before[worst]:.3f} eV, but the model that held "
            f"it out says {predicted[worst]:.3f} eV",
            file=folder / "predictions.csv",
        )
