"""Checks that the tables of a run add up."""

from trailergenre.runs.verify.checks import Check, Verification
from trailergenre.runs.verify.verify import verify_run

__all__ = ["Check", "Verification", "verify_run"]
