"""Several models that predict as one: a barrier, an interval, and how far the training was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Batch

from .barrier import Barrier
from .devices import usable_device
from .domain import Domain
from .embedding import have_one_trunk, head_of, head_width, said_by_all, share_trunk
from .errors import InputError
from .graph import CrystalGraph
from .intervals import Calibration
from .models import Model
from .paths import views
from .weights import (
    ENSEMBLE,
    check_finite,
    check_intact,
    fitting,
    load_weights,
    model_of,
    read_tensors,
    tensor_file,
    write_tensors,
)

__all__ = ["Barrier", "Ensemble", "load_ensemble", "save_ensemble"]

FORMAT = f"{ENSEMBLE}1"

#: What the names of tensors begin with that all members have in common.
COMMON = "common."

#: The weights that come with the package.
DEFAULT = Path(__file__).parent / "data" / "barrier.safetensors"

#: Bond pairs in one forward pass: no gradients are kept, so this is a matter of speed, not memory.
BUDGET = 200_000


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Models of one kind whose mean is the barrier.

    A new hop is predicted by all members, a held-out record of the calibration by one: the mean
    errs no more than its members do on the average, so intervals are slightly too wide rather than
    too narrow. Of the training records themselves they are far too wide.

    Attributes:
        name: of the model.
        config: its sizes.
        graph_settings: arguments of :func:`linegraph.views` the members were trained with.
        members: the models, in evaluation mode.
        domain: the training records as the members see them; None for members alone.
        calibration: how wrong held-out records were; given together with ``domain``.

    Raises:
        ValueError: only one of ``domain`` and ``calibration``.
    """

    name: str
    config: dict[str, Any]
    graph_settings: dict[str, Any]
    members: tuple[Model, ...]
    domain: Domain | None = None
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        if (self.domain is None) != (self.calibration is None):
            raise ValueError("domain and calibration are given together or not at all")

    @property
    def views(self) -> tuple[str, ...]:
        """Names of the graphs the members look at."""
        return self.members[0].views

    @property
    def records(self) -> int:
        """How many records it was trained on; 0 where the file does not tell."""
        return 0 if self.domain is None else len(self.domain.names)

    @property
    def calibrated(self) -> bool:
        """Whether there are intervals, probabilities and distances."""
        return self.calibration is not None

    def predict(
        self,
        bands: Sequence[Any],
        *,
        level: float = 0.9,
        threshold: float = 0.65,
        device: str = "cpu",
    ) -> list[Barrier]:
        """Barriers of hops, in their order.

        Args:
            bands: what :func:`linegraph.views` takes.
            level: how often the intervals shall hold the barrier.
            threshold: of :attr:`Barrier.below`, eV.
            device: where to compute, as torch calls it; ``auto`` for a GPU if there is one. The
                members stay there.

        Raises:
            InputError: an unusable band, or one whose prediction is not finite (``record`` is its
                position); a level that is not between 0 and 1, or higher than so few held-out
                records support; no such device.
        """
        where = usable_device(device)
        for member in self.members:
            member.to(where)
        found: list[Barrier] = []
        for graphs in self._batches(bands):
            batch = {
                name: Batch.from_data_list([graph[name] for graph in graphs]).to(where)
                for name in self.views
            }
            values, embeddings = said_by_all(self.members, batch)
            finite = np.isfinite(values).all(axis=0)
            if not finite.all():
                bad = int(np.flatnonzero(~finite)[0])
                raise InputError("the prediction is NaN or infinite", record=len(found) + bad)
            found += self._barriers(values, embeddings, level, threshold)
        return found

    def _batches(self, bands: Sequence[Any]) -> Iterator[list[dict[str, CrystalGraph]]]:
        """Graphs of bands, as many together as the budget allows."""
        batch: list[dict[str, CrystalGraph]] = []
        size = 0
        for position, band in enumerate(bands):
            try:
                graphs = views(band, self.views, **self.graph_settings)
            except InputError as error:
                raise error.at(record=position) from None
            triplets = sum(graph.num_triplets for graph in graphs.values())
            if batch and size + triplets > BUDGET:
                yield batch
                batch, size = [], 0
            batch.append(graphs)
            size += triplets
        if batch:
            yield batch

    def _barriers(
        self,
        values: NDArray[np.float64],
        embeddings: NDArray[np.float32],
        level: float,
        threshold: float,
    ) -> list[Barrier]:
        """Of what the members say: ``[k, B]`` in eV and ``[k, B, H]``."""
        means = values.mean(axis=0).tolist()
        if self.domain is None or self.calibration is None:
            return [Barrier(mean, threshold=threshold) for mean in means]
        distances, nearest = self.domain.place(embeddings)
        found = []
        for i, mean in enumerate(means):
            distribution = self.calibration.distribution(values[:, i], distances[:, i])
            low, high = distribution.interval(level)
            below = distribution.below(threshold)
            distance = float(distances[:, i].mean())
            found.append(Barrier(mean, low, high, level, below, threshold, distance, nearest[i]))
        return found


def save_ensemble(path: str | PathLike[str], ensemble: Ensemble) -> None:
    """Write an ensemble to one safetensors file.

    Args:
        path: the file.
        ensemble: what to write; weights are stored as float32.
    """
    state: dict[str, Tensor] = {}
    one_trunk = len(ensemble.members) > 1 and have_one_trunk(ensemble.members)
    for k, member in enumerate(ensemble.members):
        for key, tensor in member.state_dict().items():
            whole = tensor.float() if tensor.is_floating_point() else tensor
            common = one_trunk and key.startswith("trunk.")
            state[f"{COMMON}{key}" if common else f"members.{k}.{key}"] = whole
    about: dict[str, Any] = {
        "format": FORMAT,
        "name": ensemble.name,
        "config": ensemble.config,
        "graph_settings": ensemble.graph_settings,
        "members": len(ensemble.members),
    }
    if ensemble.domain is not None and ensemble.calibration is not None:
        about["records"] = list(ensemble.domain.names)
        about["offset"] = ensemble.calibration.offset
        about["slope"] = ensemble.calibration.slope
        about["reach"] = ensemble.calibration.reach
        state["member"] = torch.from_numpy(ensemble.domain.member)
        state["embeddings"] = torch.from_numpy(ensemble.domain.embeddings)
        state["scores"] = torch.from_numpy(ensemble.calibration.scores).float()
    write_tensors(path, state, about)


def load_ensemble(path: str | PathLike[str] | None = None) -> Ensemble:
    """Read an ensemble, or a single model as an ensemble of one.

    Args:
        path: a file of :func:`save_ensemble` or :func:`linegraph.weights.save_weights`, or the
            folder of a run; None for the weights that come with the package.

    Returns:
        The ensemble, on the CPU; that of a single model is not calibrated.

    Raises:
        InputError: no such file, not a file of ours, damaged, of another version, or of a model
            that predicts no barriers.
    """
    if path is None:
        if not DEFAULT.is_file():
            raise InputError(
                "no weights come with this version: train a model and give --weights RUN"
            )
        path = DEFAULT
    file = tensor_file(path)
    about, state = read_tensors(file)
    if about.get("format") == FORMAT:
        check_finite(state, file)
        with fitting(file):
            ensemble = _ensemble(about, state)
        check_intact(about, state, file)
        return ensemble
    one = load_weights(file)
    if one.outputs or not hasattr(one.model, "head"):
        raise InputError(
            f"holds {one.name}, which predicts properties of crystals and no barriers: train "
            "--init makes a barrier model of it",
            file=file,
        )
    return Ensemble(one.name, one.config, one.graph_settings, (one.model,))


def _ensemble(about: dict[str, Any], state: dict[str, Tensor]) -> Ensemble:
    """Of what is in a file; anything that does not fit raises."""
    name, config, settings = about["name"], about["config"], about["graph_settings"]
    rest = dict(state)
    common = {key: rest.pop(key) for key in state if key.startswith(COMMON)}
    shared = {key.removeprefix(COMMON): tensor for key, tensor in common.items()}
    members: list[Model] = []
    if about["members"] < 1:
        raise ValueError("no members")
    for k in range(about["members"]):
        prefix = f"members.{k}."
        own = {key: rest.pop(key) for key in state if key.startswith(prefix)}
        weights = {key.removeprefix(prefix): tensor for key, tensor in own.items()}
        members.append(model_of(name, config, settings, {**shared, **weights}))
    head_of(members[0])
    if shared:
        share_trunk(members)
    domain, calibration = None, None
    if "records" in about:
        domain, calibration = _reference(about, rest, members)
    if rest:
        raise ValueError(f"unknown tensor {min(rest)}")
    return Ensemble(name, config, settings, tuple(members), domain, calibration)


def _reference(
    about: dict[str, Any], rest: dict[str, Tensor], members: Sequence[Model]
) -> tuple[Domain, Calibration]:
    """The training records in a file; takes what it uses out of ``rest``."""
    names = about["records"]
    offset, slope, reach = (float(about[key]) for key in ("offset", "slope", "reach"))
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TypeError("records is no list of names")
    if len(set(names)) < len(names):
        raise ValueError("two records have one name")
    if not (0 < offset < np.inf and 0 <= slope < np.inf and 0 <= reach < np.inf):
        raise ValueError(f"offset {offset}, slope {slope} or reach {reach} is out of range")
    member, embeddings, scores = (rest.pop(key) for key in ("member", "embeddings", "scores"))
    width = head_width(members[0])
    if embeddings.shape != (len(members), len(names), width) or scores.shape != (len(names),):
        raise ValueError(
            f"{len(members)} members, {len(names)} records and a head of {width} channels, but "
            f"embeddings {list(embeddings.shape)} and scores {list(scores.shape)}"
        )
    if member.dtype != torch.int64 or (scores < 0).any():
        raise ValueError("members are not numbered, or scores are negative")
    domain = Domain(tuple(names), member.numpy(), embeddings.float().numpy())
    return domain, Calibration(offset, slope, reach, scores.double().numpy(), domain.member)
