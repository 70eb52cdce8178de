from __future__ import annotations

import numpy as np
import pytest

from sequences import labelled
from trailergenre.models.temporal import batches
from trailergenre.models.temporal.batches import measure_scale, ordered_batches, shuffled_batches
from trailergenre.models.temporal.source import LabelledFrames

WIDTH = 3


def links(n: int, *, longest: int = 90) -> list[LabelledFrames]:
    """Link i has i in every value, and the truth of its parity."""
    rng = np.random.default_rng(7)
    lengths = rng.integers(1, longest + 1, n)
    return [labelled(np.full((m, WIDTH), i), [i % 2, 1]) for i, m in enumerate(lengths)]


def names(batch: batches.Batch) -> list[int]:
    return [int(value) for value in batch.features[:, 0, 0]]


def test_every_link_is_in_one_batch_with_its_frames_and_truth() -> None:
    given = links(100)
    for made in (
        list(shuffled_batches(iter(given), batch_size=8, seed=1)),
        list(ordered_batches(iter(given), batch_size=8)),
    ):
        assert sorted(name for batch in made for name in names(batch)) == list(range(100))
        for batch in made:
            assert len(batch.features) <= 8
            for row, name in enumerate(names(batch)):
                length = len(given[name][0].features)
                assert (batch.features[row, :length] == name).all()
                assert not batch.features[row, length:].any()
                assert batch.mask[row, :length].all()
                assert not batch.mask[row, length:].any()
                assert batch.truth[row].tolist() == [name % 2, 1]


def test_the_seed_decides_the_batches() -> None:
    first, second, other = (
        [names(batch) for batch in shuffled_batches(iter(links(60)), batch_size=8, seed=seed)]
        for seed in (1, 1, 2)
    )
    assert first == second != other
    assert {frozenset(batch) for batch in first} != {frozenset(batch) for batch in other}


def test_lengths_take_few_values_and_little_is_padded() -> None:
    made = list(shuffled_batches(iter(links(400)), batch_size=8, seed=1))
    assert {batch.mask.shape[1] % 16 for batch in made} == {0}
    assert sum(b.mask.sum() for b in made) / sum(b.mask.size for b in made) > 0.7


def test_long_links_make_smaller_batches() -> None:
    long = [labelled(np.ones((1200, WIDTH)), [1]) for _ in range(6)]
    endless = [labelled(np.ones((50_000, WIDTH)), [1])]
    sizes = [len(b.mask) for b in shuffled_batches(iter(long + endless), batch_size=32, seed=1)]
    assert sorted(sizes) == [1, 2, 2, 2]


def test_no_more_than_a_buffer_is_read_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BUFFER_BYTES", 10 * 5 * WIDTH * 4)
    read = 0

    def stream() -> object:
        nonlocal read
        for number in range(100):
            read += 1
            yield labelled(np.full((5, WIDTH), number), [1])

    given = 0
    for batch in shuffled_batches(stream(), batch_size=4, seed=1):  # type: ignore[arg-type]
        given += len(batch.features)
        assert read <= given + 10
    assert given == 100


def test_the_scale_is_that_of_all_frames() -> None:
    rng = np.random.default_rng(7)
    # A large mean beside a small spread: a sum of squares would lose it.
    parts = [rng.normal([0, 1e4, -3], [1, 0.1, 20], (n, 3)).astype(np.float32) for n in (1, 50, 7)]
    scale = measure_scale(labelled(part, [0, 1]) for part in parts)
    whole = np.concatenate(parts).astype(np.float64)
    np.testing.assert_allclose(scale.mean, whole.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(scale.std, whole.std(axis=0), rtol=1e-9)
    assert scale.n_genres == 2


def test_a_constant_feature_is_not_blown_up() -> None:
    scale = measure_scale(labelled(np.full((n, 2), [0.1, 0]), [1]) for n in (3, 5, 7))
    assert scale.std.tolist() == [1, 1]


def test_huge_features_are_measured() -> None:
    huge = np.array([[-1e30, 1], [1e30, 3]])
    assert measure_scale([labelled(huge, [1])]).std.tolist() == pytest.approx([1e30, 1])


def test_no_link_has_no_scale() -> None:
    with pytest.raises(ValueError, match="no link"):
        measure_scale([])
