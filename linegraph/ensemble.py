"""Several models that predict as one: a barrier, an interval, and how far the training was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch_geometric.data import Batch

from .barrier import Barrier
from .devices import usable_device
from .domain import Domain
from .embedding import said_by_all
from .errors import InputError
from .graph import CrystalGraph
from .intervals import Calibration
from .models import Model
from .paths import views
from .potential import Potential, checked_barriers

#: Bond pairs in one forward pass: no gradients are kept, so this is a matter of speed, not memory.
BUDGET = 200_000

#: Bands in one: graphs of paths have no bond pairs.
MOST = 64


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
        potential: what barriers of a potential are worth beside the models; None if it was not
            learned. Only together with ``calibration``.

    Raises:
        ValueError: only one of ``domain`` and ``calibration``, or ``potential`` without them.
    """

    name: str
    config: dict[str, Any]
    graph_settings: dict[str, Any]
    members: tuple[Model, ...]
    domain: Domain | None = None
    calibration: Calibration | None = None
    potential: Potential | None = None

    def __post_init__(self) -> None:
        if (self.domain is None) != (self.calibration is None):
            raise ValueError("domain and calibration are given together or not at all")
        if self.calibration is None and self.potential is not None:
            raise ValueError("a potential is worth nothing without a calibration")

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
        potential: Sequence[float | None] | None = None,
    ) -> list[Barrier]:
        """Barriers of hops, in their order.

        Args:
            bands: what :func:`linegraph.views` takes.
            level: how often the intervals shall hold the barrier.
            threshold: of :attr:`Barrier.below`, eV.
            device: where to compute, as torch calls it; ``auto`` for a GPU if there is one. The
                members stay there.
            potential: barriers of a potential's nudged elastic bands in eV, one for each hop, None
                where there is none. What the members say is moved towards them
                (:attr:`potential`), and how far such values are off is known from held-out ones.

        Raises:
            InputError: an unusable band, or one whose prediction is not finite (``record`` is its
                position); a level that is not between 0 and 1, or higher than so few held-out
                records support; no such device; barriers of a potential that are none, as many as
                there are no bands, or that nothing was learned of.
        """
        beside = self._beside(potential, len(bands))
        where = usable_device(device)
        for member in self.members:
            member.to(where)
        found: list[Barrier] = []
        for graphs in self._batches(bands):
            batch = {
                name: Batch.from_data_list([graph[name] for graph in graphs]).to(where)
                for name in self.views
            }
            # What a caller trains in lower precision is no reason to predict in it.
            with torch.autocast(torch.device(where).type, enabled=False):
                values, embeddings = said_by_all(self.members, batch)
            finite = np.isfinite(values).all(axis=0)
            if not finite.all():
                bad = int(np.flatnonzero(~finite)[0])
                raise InputError("the prediction is NaN or infinite", record=len(found) + bad)
            given = beside[len(found) : len(found) + len(graphs)]
            found += self._barriers(values, embeddings, level, threshold, given)
        return found

    def require_potential(self) -> None:
        """Refuse barriers of a potential, unless it was learned what they are worth.

        Raises:
            InputError: it was not.
        """
        if self.potential is None:
            raise InputError(
                "these weights have not learned what barriers of a potential are worth "
                "(train --folds --neb does)",
                field="potential",
            )

    def _beside(self, potential: Sequence[float | None] | None, count: int) -> NDArray[np.float64]:
        """Barriers of a potential ``[count]`` in eV, NaN where there is none."""
        if potential is None:
            return np.full(count, np.nan)
        self.require_potential()
        return checked_barriers(potential, count)

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
            if batch and (size + triplets > BUDGET or len(batch) == MOST):
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
        given: NDArray[np.float64],
    ) -> list[Barrier]:
        """Of what the members, ``[k, B]`` in eV and ``[k, B, H]``, and a potential say."""
        if self.potential is not None:
            values = self.potential.correction(values, given)
        means = values.mean(axis=0).tolist()
        if self.domain is None or self.calibration is None:
            return [Barrier(mean, threshold=threshold) for mean in means]
        distances, nearest = self.domain.place(embeddings)
        found = []
        for i, mean in enumerate(means):
            calibration, moved = self.calibration, None
            if self.potential is not None and np.isfinite(given[i]):
                calibration, moved = self.potential.calibration, float(given[i])
            distribution = calibration.distribution(values[:, i], distances[:, i])
            ends = distribution.interval(level)
            below = distribution.below(threshold)
            distance = float(distances[:, i].mean())
            found.append(Barrier(mean, *ends, level, below, threshold, distance, nearest[i], moved))
        return found
