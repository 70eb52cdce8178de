"""A fitted temporal head as an ONNX network: frames of links in, probabilities out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trailergenre.base.errors import BundleError
from trailergenre.base.onnx_session import Session, open_session, run_session, session_ends
from trailergenre.base.records import FeatureArray, ProbabilityArray
from trailergenre.models.estimators.checks import check_file, check_input

_MAX_BYTES = 256 << 20
"""A head of 0.6 million parameters takes 2.4 MB."""
_MAX_FRAMES_PER_CALL = 8192
"""Frames scored together: 64 MB of features 2,048 wide."""
_TOLERANCE = 1e-4
"""How far rounding may move a probability beyond 0 or 1."""


@dataclass(frozen=True)
class TemporalHead:
    """A head that is ready to score, and can be pickled to workers."""

    onnx: bytes  # validated by `from_bytes`
    n_features: int  # per frame
    n_genres: int

    @cached_property
    def _session(self) -> Session:
        # One thread: tasks on one machine share its cores.
        return open_session(self.onnx, threads=1)

    def __reduce__(self) -> tuple[type[TemporalHead], tuple[bytes, int, int]]:
        """Pickle without the session."""
        return (TemporalHead, (self.onnx, self.n_features, self.n_genres))

    def predict_proba(self, sequences: Sequence[FeatureArray]) -> ProbabilityArray:
        """Predict the genre probabilities of each sequence of frames, shape (n_links, n_genres).

        Only links of equal length are scored together, so that nothing is padded and a link's
        probabilities do not depend on the others by more than rounding.

        Raises:
            ValueError: a sequence is not finite float32 of shape (n >= 1, n_features).
            BundleError: the network's output is not probabilities.
        """
        for frames in sequences:
            check_input(frames, self.n_features)
            if not len(frames):
                raise ValueError("A link has no frame. Received: a sequence of length 0.")
        probabilities = np.empty((len(sequences), self.n_genres))
        for rows in _rows_by_length([len(frames) for frames in sequences]):
            probabilities[rows] = self._run(np.stack([sequences[row] for row in rows]))
        return probabilities

    def _run(self, features: FeatureArray) -> ProbabilityArray:
        """Score links of equal length; the output may differ from what the network declares."""
        mask = np.ones(features.shape[:2], np.float32)
        try:
            output = run_session(self._session, {"features": features, "mask": mask})
        except ValueError as error:
            raise _broken(f"cannot be run: {error}") from error
        expected = (len(features), self.n_genres)
        if output.shape != expected:
            raise _broken(f"returned the shape {output.shape} instead of {expected}")
        # Written so that NaN is refused too.
        if not ((output >= -_TOLERANCE) & (output <= 1 + _TOLERANCE)).all():
            raise _broken(f"returned values between {output.min()} and {output.max()}")
        return output.clip(0, 1).astype(np.float64)


def _broken(problem: str) -> BundleError:
    return BundleError(f"The temporal head {problem}. Train the bundle again.")


def _rows_by_length(lengths: Sequence[int]) -> list[list[int]]:
    """Group rows of equal length, with at most `_MAX_FRAMES_PER_CALL` frames per group."""
    groups: list[list[int]] = []
    ordered = sorted(range(len(lengths)), key=lengths.__getitem__)
    for length, same in itertools.groupby(ordered, key=lengths.__getitem__):
        rows, size = list(same), max(1, _MAX_FRAMES_PER_CALL // length)
        groups += [rows[start : start + size] for start in range(0, len(rows), size)]
    return groups


def to_bytes(model: TemporalHead) -> bytes:
    """Return the ONNX file."""
    return model.onnx


def from_bytes(content: bytes) -> TemporalHead:
    """Read a head from an ONNX file; the caller verifies the checksum.

    Raises:
        BundleError: the file is too large, is not ONNX, needs other files or unknown operators, or
            its inputs and outputs are not a head's.
    """
    with check_file("temporal head"):
        if len(content) > _MAX_BYTES:
            raise ValueError(f"it has {len(content)} bytes; {_MAX_BYTES} are allowed")
        # ONNX Runtime refuses operators that it does not ship, and weights in other files.
        return TemporalHead(content, *_widths(open_session(content, threads=1)))


def _widths(session: Session) -> tuple[int, int]:
    """Features per frame and genres, of a network with a head's inputs and output."""
    inputs, outputs = session_ends(session)
    shapes = {name: shape for name, kind, shape in inputs if kind == "tensor(float)"}
    kinds = [kind for _, kind, _ in outputs]
    if len(inputs) != 2 or set(shapes) != {"features", "mask"} or kinds != ["tensor(float)"]:
        raise ValueError(f"it turns {inputs} into {outputs}")
    features, mask, genres = shapes["features"], shapes["mask"], outputs[0][2]
    lengths = [*features[:-1], *mask, *genres[:-1]]
    widths = [*features[-1:], *genres[-1:]]
    has_ranks = (len(features), len(mask), len(genres)) == (3, 2, 2)
    if not has_ranks or any(isinstance(length, int) for length in lengths):
        raise ValueError(f"it does not take any number of links and frames: {inputs}")
    if not all(isinstance(width, int) and width >= 1 for width in widths):
        raise ValueError(f"it does not say how many features and genres it has: {inputs}")
    return int(features[-1]), int(genres[-1])  # type: ignore[arg-type]
