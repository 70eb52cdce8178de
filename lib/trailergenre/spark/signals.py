"""Ctrl-C and SIGTERM end a job in order, although its work is done in a JVM.

A terminal sends Ctrl-C to all of a job's processes. spark-submit's JVM would end at once, and with
it every word on its way to the terminal; so that is left to this process, as pyspark has it with a
JVM that it starts itself.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from py4j.clientserver import JavaClient
from py4j.protocol import Py4JError, Py4JJavaError
from pyspark import SparkContext

_CANCEL_EVERY_S = 0.2

Handler = Callable[[int, FrameType | None], object]


def spare_jvm() -> None:
    """Let Ctrl-C end this process alone; the JVM of spark-submit ends with it."""
    SparkContext._ensure_initialized()
    misc = SparkContext._jvm.sun.misc  # type: ignore[union-attr]
    # One that was told to leave signals alone (-Xrs) refuses, and ends as ever.
    with contextlib.suppress(Py4JJavaError):
        misc.Signal.handle(misc.Signal("INT"), misc.SignalHandler.SIG_IGN)


@contextmanager
def py4j_is_quiet() -> Iterator[None]:
    """Keep py4j's traceback of Ctrl-C out of the log: that it was pressed is no news."""
    logging.getLogger().addFilter(_is_news)
    try:
        yield
    finally:
        logging.getLogger().removeFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a line of the log says more than that Ctrl-C was pressed.

    Source: py4j 0.10.9.9, `GatewayClient.send_command`.
    """
    return record.msg != "KeyboardInterrupt while sending command."


@contextmanager
def jobs_end_by_signal(context: SparkContext) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end Spark's jobs, and what waits for them here.

    Takes the place of pyspark's own handler, whose call to the JVM meets the one that this thread
    waits in: neither is answered, and a traceback is printed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only there are signals handled
        return
    handlers: dict[int, Handler] = {signal.SIGINT: signal.default_int_handler}
    at_term = signal.getsignal(signal.SIGTERM)
    if callable(at_term):
        handlers[signal.SIGTERM] = at_term
    is_over = threading.Event()
    cancelling = threading.Thread(target=_cancel_jobs, args=(context, is_over), daemon=True)

    def end(number: int, frame: FrameType | None) -> None:
        _leave_call()
        if cancelling.ident is None:
            cancelling.start()
        handlers[number](number, frame)

    for number in handlers:
        signal.signal(number, end)
    try:
        yield
    finally:
        is_over.set()
        if cancelling.ident is not None:
            cancelling.join()
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _leave_call() -> None:
    """Give up the answer that this thread waits for.

    A thread has one line to the JVM, which reads it again when the answer is ready: whatever is
    called on the way out would wait for the job that is to be ended.
    """
    client = SparkContext._gateway._gateway_client  # type: ignore[union-attr]
    connection = client.get_thread_connection() if isinstance(client, JavaClient) else None
    if connection is not None:
        connection.close()


def _cancel_jobs(context: SparkContext, is_over: threading.Event) -> None:
    """Cancel what runs, and what is begun until all is over: a forest is job after job."""
    # The JVM may be gone already.
    with contextlib.suppress(Py4JError):
        while not is_over.is_set():
            context.cancelAllJobs()
            is_over.wait(_CANCEL_EVERY_S)
