"""What is known of one hop's barrier."""

from __future__ import annotations

from typing import NamedTuple


class Barrier(NamedTuple):
    """What an ensemble says of one hop.

    Attributes:
        value: migration barrier in eV, the mean of the members.
        low: lower end of the interval in eV; None where nothing was calibrated, as all below but
            ``threshold``.
        high: upper end, eV.
        level: how often such intervals hold the barrier.
        below: probability that the barrier is below ``threshold``.
        threshold: eV.
        distance: to the nearest training record, in units of the distance that 95 % of held-out
            records are within; the mean over the members.
        nearest: names of up to 3 training records, the nearest first.
        potential: barrier of a potential's nudged elastic band in eV that all the others were
            moved towards; None where there was none.
    """

    value: float
    low: float | None = None
    high: float | None = None
    level: float | None = None
    below: float | None = None
    threshold: float = 0.65
    distance: float | None = None
    nearest: tuple[str, ...] = ()
    potential: float | None = None

    @property
    def outside(self) -> bool | None:
        """Whether it is farther from the training than 95 % of held-out records are."""
        return None if self.distance is None else self.distance > 1
