from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from trailergenre.spark.signals import call_aside, cancel_jobs_on_signal, silence_py4j


class Terminated(BaseException):
    """What a job raises at SIGTERM."""


def terminate(*_: object) -> None:
    raise Terminated


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    """SIGTERM as a job has it; pytest gets its own back."""
    assert threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, terminate)
    yield
    signal.signal(signal.SIGTERM, before)


def send_once(number: signal.Signals, begun: Path) -> threading.Thread:
    """Send a signal to this process once a task has begun."""

    def send() -> None:
        while not begun.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]
)
def test_a_signal_ends_the_call_that_this_thread_waits_in(
    number: signal.Signals,
    raised: type[BaseException],
    spark: SparkSession,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun, context = tmp_path / "begun", spark.sparkContext
    silence_py4j()

    def hang(_: int) -> None:
        begun.touch()
        time.sleep(300)

    with pytest.raises(raised), cancel_jobs_on_signal(context):
        send_once(number, begun)
        try:
            context.parallelize([1], 1).foreach(hang)
        finally:
            # Whoever tidies up on the way out waits neither for the job nor for its answer.
            assert context.defaultParallelism == 2
    assert context.parallelize([1, 2], 1).sum() == 3
    assert caplog.records == []


def test_jobs_of_other_threads_end_too_and_those_that_follow_them(
    spark: SparkSession, tmp_path: Path
) -> None:
    begun, context = tmp_path / "begun", spark.sparkContext

    def work(_: int) -> None:
        begun.touch()
        time.sleep(0.1)

    def fit() -> None:
        while True:  # job after job
            context.parallelize([1], 1).foreach(work)

    with pytest.raises(KeyboardInterrupt), cancel_jobs_on_signal(context):
        send_once(signal.SIGINT, begun)
        executor = ThreadPoolExecutor(max_workers=1)
        try:
            executor.submit(fit).result()
        finally:
            executor.shutdown(wait=True)


def test_afterwards_signals_are_the_jobs_own_again(spark: SparkSession) -> None:
    interrupt = signal.getsignal(signal.SIGINT)
    with cancel_jobs_on_signal(spark.sparkContext):
        assert signal.getsignal(signal.SIGTERM) is not terminate
        assert signal.getsignal(signal.SIGINT) is not interrupt
    assert signal.getsignal(signal.SIGTERM) is terminate
    assert signal.getsignal(signal.SIGINT) is interrupt


def test_what_pyspark_does_when_it_starts_leaves_ctrl_c_alone() -> None:
    def start() -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    interrupt = signal.getsignal(signal.SIGINT)
    call_aside(start)
    assert signal.getsignal(signal.SIGINT) is interrupt
    with pytest.raises(ZeroDivisionError):
        call_aside(lambda: 1 / 0)


def test_in_another_thread_nothing_is_changed(spark: SparkSession) -> None:
    def enter() -> object:
        with cancel_jobs_on_signal(spark.sparkContext):
            return signal.getsignal(signal.SIGTERM)

    with ThreadPoolExecutor(max_workers=1) as executor:
        assert executor.submit(enter).result() is terminate
