"""Another user of the machine, for tests that run as root."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import pytest

NOBODY = 65534


def as_another_user(read: Callable[[], list[str]]) -> list[str]:
    """Call a function as `nobody`, in a fork: nobody may start no interpreter of ours."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        try:
            found = read()
        except BaseException as error:  # noqa: BLE001 - told by the test, whatever it is
            found = [f"{type(error).__name__}: {error}"]
        with os.fdopen(write_end, "w") as answer:
            json.dump(found, answer)
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as answer:
        found = json.load(answer)
    os.waitpid(pid, 0)
    return [str(each) for each in found]


def can_switch_users() -> bool:
    """Whether `as_another_user` works."""
    return os.geteuid() == 0 and as_another_user(lambda: [str(os.geteuid())]) == [str(NOBODY)]


needs_another_user = pytest.mark.skipif(
    not can_switch_users(), reason="only root may act as another user"
)
