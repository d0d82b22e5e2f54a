"""Requests to stop: Ctrl+C, and SIGTERM, which queueing systems send before they kill."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

#: Exit code of a program that was stopped from outside, as shells have it: 128 + SIGINT.
INTERRUPTED = 130

_asked: int | None = None


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl+C does, by a ``KeyboardInterrupt``.

    Only the first one: queueing systems may repeat it while the block tidies up. Signals that the
    program ignores or handles in its own way are left to it, and so are all of them where the block
    does not run in the main thread.
    """
    global _asked
    ours = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
    in_main = threading.current_thread() is threading.main_thread()
    before = {
        number: handler
        for number, handler in ours.items()
        if in_main and signal.getsignal(number) == handler
    }
    if before:
        _asked = None
    for number in before:
        signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def remember(number: int) -> None:
    """Note that a signal asked to stop, for those who handle it themselves."""
    global _asked
    _asked = number


def stopped(error: BaseException) -> bool:
    """Whether an error is only how a program ends that was asked to stop.

    Workers that got the signal, too, are missed by those who wait for them, in many words.
    """
    from linegraph.errors import InputError

    if isinstance(error, KeyboardInterrupt):
        return True
    return _asked is not None and not isinstance(error, InputError)


def exit_code() -> int:
    """Of a program that was asked to stop, as shells have it: 143 for SIGTERM, else 130."""
    return INTERRUPTED if _asked is None else 128 + _asked


def _stop(number: int, frame: Any) -> None:
    repeated = number == signal.SIGTERM and _asked is not None
    remember(number)
    if not repeated:
        raise KeyboardInterrupt
