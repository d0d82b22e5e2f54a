"""Requests to stop."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from linegraph.errors import InputError
from training.stopping import INTERRUPTED, exit_code, remember, stoppable, stopped


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Those of a plain program, and none of ours left behind."""
    plain: dict[int, Any] = {
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGINT: signal.default_int_handler,
    }
    before = {number: signal.signal(number, handler) for number, handler in plain.items()}
    yield
    after = {number: signal.signal(number, before[number]) for number in plain}
    assert after == plain


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_both_signals_end_a_block_alike(number: signal.Signals, code: int) -> None:
    with stoppable():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        assert exit_code() == code
        # Of a worker that got the signal, too.
        assert stopped(KeyboardInterrupt()) and stopped(RuntimeError("a worker is gone"))
        # What was wrong before is still wrong.
        assert not stopped(InputError("no barrier"))
    with stoppable():
        assert exit_code() == INTERRUPTED
        assert stopped(KeyboardInterrupt()) and not stopped(RuntimeError("a worker is gone"))


def test_sigterm_does_not_disturb_who_tidies_up() -> None:
    tidied = []
    with stoppable():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        tidied.append("tables")
        # A person who presses Ctrl+C again means it.
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert tidied == ["tables"]


def test_an_inner_block_changes_nothing() -> None:
    with stoppable():
        with pytest.raises(KeyboardInterrupt), stoppable():
            os.kill(os.getpid(), signal.SIGTERM)
        assert exit_code() == 143
        with stoppable():
            assert exit_code() == 143


def test_signals_that_a_program_handles_are_its_own() -> None:
    seen: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with stoppable():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    assert seen == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_other_threads_leave_signals_alone() -> None:
    found = []

    def look() -> None:
        with stoppable():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [signal.SIG_DFL]


def test_a_signal_handled_elsewhere_is_remembered() -> None:
    with stoppable():
        remember(signal.SIGTERM)
        assert exit_code() == 143
