"""Ends a job in order on Ctrl-C and SIGTERM, although Spark works in a JVM.

A terminal sends Ctrl-C to all processes of a job. spark-submit's JVM would end at once and lose the
output that passes through it, so it ignores Ctrl-C, as the JVMs that pyspark starts itself do.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from types import FrameType

from py4j.clientserver import JavaClient
from py4j.protocol import Py4JError, Py4JJavaError
from pyspark import SparkContext

_CANCEL_EVERY_S = 0.2


def ignore_sigint_in_jvm() -> None:
    """Let Ctrl-C end this process only; spark-submit's JVM ends with it."""
    SparkContext._ensure_initialized()
    misc = SparkContext._jvm.sun.misc  # type: ignore[union-attr]
    # A JVM started with -Xrs refuses, and ends at once.
    with contextlib.suppress(Py4JJavaError):
        misc.Signal.handle(misc.Signal("INT"), misc.SignalHandler.SIG_IGN)


def call_aside(function: Callable[[], object]) -> None:
    """Call a function in another thread, and wait.

    In the main thread, pyspark would replace this process's handler of Ctrl-C when it starts.
    """
    ended: Future[object] = Future()

    def call() -> None:
        try:
            ended.set_result(function())
        except BaseException as error:  # noqa: BLE001 - raised in the waiting thread
            ended.set_exception(error)

    threading.Thread(target=call, daemon=True).start()
    ended.result()


def silence_py4j() -> None:
    """Hide the traceback that py4j 0.10.9.9 logs when Ctrl-C interrupts a call."""
    logging.getLogger().addFilter(_is_relevant)


def _is_relevant(record: logging.LogRecord) -> bool:
    return record.msg != "KeyboardInterrupt while sending command."


@contextmanager
def cancel_jobs_on_signal(context: SparkContext) -> Iterator[None]:
    """Cancel Spark's jobs on Ctrl-C and SIGTERM, and do what this process does on them.

    pyspark's own handler calls the JVM on the connection on which this thread waits, so neither
    call gets an answer.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are handled in the main thread only
        return
    found = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    handlers = {number: handler for number, handler in found.items() if callable(handler)}
    is_over = threading.Event()
    cancelling = threading.Thread(target=_cancel_jobs, args=(context, is_over), daemon=True)

    def interrupt(number: int, frame: FrameType | None) -> None:
        _close_connection()
        if cancelling.ident is None:
            cancelling.start()
        handlers[signal.Signals(number)](number, frame)

    for number in handlers:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        is_over.set()
        if cancelling.ident is not None:
            cancelling.join()
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _close_connection() -> None:
    """Close the connection on which this thread waits for the JVM; the next call opens another.

    There is no public way: py4j closes connections on a KeyboardInterrupt only, and others' too.
    """
    client = SparkContext._gateway._gateway_client  # type: ignore[union-attr]
    connection = client.get_thread_connection() if isinstance(client, JavaClient) else None
    if connection is not None:
        connection.close()


def _cancel_jobs(context: SparkContext, is_over: threading.Event) -> None:
    """Cancel all jobs until the end: one that fits a forest starts job after job."""
    with contextlib.suppress(Py4JError):  # the JVM may be gone
        while not is_over.is_set():
            context.cancelAllJobs()
            is_over.wait(_CANCEL_EVERY_S)
