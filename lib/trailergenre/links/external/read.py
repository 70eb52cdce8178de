"""Data that others published -> rows and one feature vector each, as if we had made them.

`commit` alone knows a run's tables; the others know the forms of files.
"""

from __future__ import annotations

from pathlib import Path

from trailergenre.links.external.commit import commit_external
from trailergenre.links.external.data import ExternalFeatures
from trailergenre.links.external.mmtf import read_mmtf
from trailergenre.links.external.mulan import read_mulan
from trailergenre.links.external.split import read_split

__all__ = ["ExternalFeatures", "commit_external", "read_external", "read_split"]


def read_external(path: Path) -> ExternalFeatures:
    """Read published features.

    Args:
        path: a CSV with itemId, title, genres and embedding; or a directory with one dataset of
            Mulan's: NAME.xml, and NAME-train.arff with NAME-test.arff, or NAME.arff.

    Raises:
        ConfigError: names the file and what is wrong with it.
    """
    path = path.absolute()
    return read_mulan(path) if path.is_dir() else read_mmtf(path)
