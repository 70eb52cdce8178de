"""What an export leaves in memory."""

from __future__ import annotations

import gc
import weakref
from collections import deque

from trailergenre.features.backbone.export import collect_often


class Cycle:
    def __init__(self) -> None:
        self.itself = self


def test_cycles_that_lived_for_a_while_do_not_pile_up() -> None:
    before = gc.get_threshold(), gc.get_freeze_count()
    there = [[n] for n in range(400_000)]  # of so many objects, Python leaves a quarter's garbage
    alive, recent, most = weakref.WeakSet[Cycle](), deque[Cycle](maxlen=2_000), 0
    with collect_often():
        for _ in range(30_000):
            recent.append(Cycle())
            alive.add(recent[-1])
            most = max(most, len(alive))
    assert len(there) == 400_000
    assert most < 12_000
    assert (gc.get_threshold(), gc.get_freeze_count()) == before
