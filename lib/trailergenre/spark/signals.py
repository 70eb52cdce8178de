"""Ends a job in order on Ctrl-C and SIGTERM, although Spark works in a JVM.

A terminal sends Ctrl-C to all processes of a job. spark-submit's JVM would end at once and lose the
output that passes through it, so it ignores Ctrl-C, as the JVMs that pyspark starts itself do.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

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


def silence_py4j() -> None:
    """Hide the tracebacks that py4j logs when a signal interrupts one of its calls."""
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    logging.getLogger().addFilter(_is_relevant)


def _is_relevant(record: logging.LogRecord) -> bool:
    # py4j 0.10.9.9, GatewayClient.send_command, logs this to the root logger.
    return record.msg != "KeyboardInterrupt while sending command."


@contextmanager
def cancel_jobs_on_signal(context: SparkContext) -> Iterator[None]:
    """Cancel Spark's jobs on Ctrl-C and SIGTERM.

    Replaces pyspark's own handler. That one calls the JVM from the thread that waits for the JVM,
    so neither call gets an answer.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are handled in the main thread only
        return
    received: list[int] = []
    is_over = threading.Event()
    cancelling = threading.Thread(target=_cancel_jobs, args=(context, is_over), daemon=True)

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not received:
            cancelling.start()
        received.append(number)
        # For SIGTERM, too: it makes py4j drop the connection on which this thread waits.
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM)
    handlers = {number: signal.signal(number, interrupt) for number in numbers}
    handlers[signal.SIGINT] = signal.default_int_handler
    try:
        yield
    except KeyboardInterrupt:
        handler = handlers[signal.SIGTERM]
        if signal.SIGTERM in received and callable(handler):
            handler(signal.SIGTERM, None)
        raise
    finally:
        is_over.set()
        if received:
            cancelling.join()
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _cancel_jobs(context: SparkContext, is_over: threading.Event) -> None:
    """Cancel all jobs until the end: one that fits a forest starts job after job."""
    while not is_over.is_set():
        # The JVM may be gone, and py4j closes other threads' connections on an interrupt.
        with contextlib.suppress(Py4JError):
            context.cancelAllJobs()
        is_over.wait(_CANCEL_EVERY_S)
