"""Keep what TensorFlow and Keras print off the terminal."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator

from trailergenre.base.terminal import EscapedStream


@contextlib.contextmanager
def hold_native_logs() -> Iterator[None]:
    """Hold back what native code, not Python, writes to stderr; print it if the block fails.

    TensorFlow has no setting for what it logs at start-up.
    """
    # Read on import; the user's own choice is kept.
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    python_stderr = sys.stderr
    python_stderr.flush()
    with tempfile.TemporaryFile() as held, os.fdopen(os.dup(2), "w", buffering=1) as stderr:
        os.dup2(held.fileno(), 2)
        if getattr(python_stderr, "stream", python_stderr) is sys.__stderr__:
            sys.stderr = EscapedStream(stderr)
        try:
            yield
        except BaseException:
            held.seek(0)
            EscapedStream(stderr).write(held.read().decode(errors="replace"))
            raise
        finally:
            sys.stderr = python_stderr
            stderr.flush()
            os.dup2(stderr.fileno(), 2)


@contextlib.contextmanager
def quiet_keras() -> Iterator[None]:
    """Suppress what Keras prints, and the warnings of TensorFlow and of the converter to ONNX.

    The converter logs a traceback where it cannot simplify a network, as MobileNetV3, and goes on:
    whoever exports a network compares the file with it.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", FutureWarning)
        for logger in map(logging.getLogger, ("tensorflow", "tf2onnx")):
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.ERROR)
        yield
