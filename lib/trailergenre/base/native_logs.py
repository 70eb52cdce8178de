"""Keep what native libraries log at start-up off the terminal; TensorFlow has no setting for it."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from trailergenre.base.terminal import EscapedStream


@contextlib.contextmanager
def hold_native_logs() -> Iterator[None]:
    """Hold back what native code, not Python, writes to stderr; print it if the block fails."""
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
