"""How far a hop is from what a model was trained on, in the model's own terms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .errors import InputError

FloatArray = NDArray[np.float64]

#: Part of the held-out records that is within distance 1.
WITHIN = 0.95

#: How many training records are named.
NAMED = 3


@dataclass(frozen=True, eq=False)
class Domain:
    """The training records as the members of an ensemble see them.

    Distances are Euclidean between the vectors that go into a member's head, each component
    divided by its standard deviation over the member's training records (the square of that is
    the diagonal form of the Mahalanobis distance). One unit is the distance that 95 % of the
    records are within, each seen by the member that had held it out.

    Attributes:
        names: ``n``, of the records.
        member: ``[n]`` which member had held the record out, from 0.
        embeddings: ``[k, n, H]`` float32, what goes into the head of each member.

    Raises:
        InputError: shapes that do not belong together, values that are not finite, or a member
            without training records.
    """

    names: tuple[str, ...]
    member: NDArray[np.int64]
    embeddings: NDArray[np.float32]

    def __post_init__(self) -> None:
        n = len(self.names)
        if self.embeddings.ndim != 3 or self.embeddings.shape[1] != n or self.member.shape != (n,):
            raise InputError(
                f"{n} records, but embeddings of shape {self.embeddings.shape} and members of "
                f"shape {self.member.shape}"
            )
        if not np.isfinite(self.embeddings).all():
            raise InputError("an embedding is NaN or infinite")
        if not np.isin(self.member, np.arange(len(self.embeddings))).all():
            raise InputError("a record was held out by a member that is not there")
        if not self.known.any(axis=1).all():
            raise InputError("a member has no training records")

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """``[k, n]`` whether the record is among the training records of the member."""
        members = np.arange(len(self.embeddings))[:, None]
        known: NDArray[np.bool_] = members != self.member[None]
        return known

    @cached_property
    def held_out(self) -> FloatArray:
        """``[n]`` distance of each record to the training records of its member."""
        distances: FloatArray = self._held_out / self._unit
        return distances

    def place(self, embeddings: NDArray[np.float32]) -> tuple[FloatArray, list[tuple[str, ...]]]:
        """How far hops are from the training records, and which of these are nearest.

        Args:
            embeddings: ``[k, B, H]`` of the hops, what goes into the head of each member.

        Returns:
            ``[k, B]`` distance to the nearest training record of each member, and the names of
            the nearest records of each hop, the nearest first, by the mean distance over the
            members that were trained on them.
        """
        apart = self._apart(embeddings)
        counts = self.known.sum(axis=0)
        total = np.where(self.known[:, None], apart, 0.0).sum(axis=0)
        # What no member was trained on is nobody's nearest.
        mean = np.where(counts > 0, total / np.maximum(counts, 1), np.inf)
        first = np.argsort(mean, axis=1, kind="stable")[:, : min(NAMED, np.count_nonzero(counts))]
        names = [tuple(self.names[i] for i in row) for row in first]
        return self._nearest(apart) / self._unit, names

    @cached_property
    def _scaling(self) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation ``[k, 1, H]`` of each component."""
        pairs = zip(self.embeddings, self.known, strict=True)
        parts = [member[known].astype(np.float64) for member, known in pairs]
        mean = np.stack([part.mean(axis=0, keepdims=True) for part in parts])
        spread = np.stack([part.std(axis=0, keepdims=True) for part in parts])
        return mean, np.where(spread > 0, spread, 1.0)

    def _scaled(self, embeddings: NDArray[np.float32]) -> FloatArray:
        mean, spread = self._scaling
        scaled: FloatArray = (embeddings - mean) / spread
        return scaled

    @cached_property
    def _columns(self) -> FloatArray:
        return self._scaled(self.embeddings)

    def _apart(self, embeddings: NDArray[np.float32]) -> FloatArray:
        """Distances ``[k, B, n]`` to every record, in components' standard deviations."""
        asked, there = self._scaled(embeddings), self._columns
        squares = (asked**2).sum(axis=2)[:, :, None] + (there**2).sum(axis=2)[:, None]
        squares = squares - 2 * asked @ there.transpose(0, 2, 1)
        apart: FloatArray = np.sqrt(np.maximum(squares, 0.0))
        return apart

    def _nearest(self, apart: FloatArray) -> FloatArray:
        nearest: FloatArray = np.where(self.known[:, None], apart, np.inf).min(axis=2)
        return nearest

    @cached_property
    def _held_out(self) -> FloatArray:
        found = np.zeros(len(self.names))
        for k in range(len(self.embeddings)):
            own = self.member == k
            if own.any():
                found[own] = self._nearest(self._apart(self.embeddings[:, own]))[k]
        return found

    @cached_property
    def _unit(self) -> float:
        # Where all records are alike, any difference is large.
        return float(np.quantile(self._held_out, WITHIN)) or 1e-6
