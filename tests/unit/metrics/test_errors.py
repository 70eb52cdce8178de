from __future__ import annotations

import numpy as np

from trailergenre.metrics.errors import N_CONFUSED, N_WORST, count_confusions, find_worst

GENRES = ("Action", "Comedy", "Drama")


def test_the_worst_movies_are_those_with_wrong_genres_and_the_largest_errors() -> None:
    truth = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0]], np.int8)
    probabilities = np.array([[0.6, 0.45, 0.45], [0.9, 0.1, 0.0], [0.8, 0.4, 0.1]])
    predicted = probabilities >= 0.5
    found = find_worst(truth, probabilities, predicted, GENRES)
    # The first movie has every genre right, though a higher error than the last.
    assert [movie.row for movie in found] == [1, 2]
    assert found[0].brier == np.mean([0.81, 0.81, 0])
    genres = [(g.genre, g.probability, g.is_true, g.is_predicted) for g in found[0].genres]
    assert genres == [("Action", 0.9, False, True), ("Comedy", 0.1, True, False)]


def test_the_list_of_worst_movies_is_bounded() -> None:
    truth = np.ones((50, 3), np.int8)
    probabilities = np.zeros((50, 3))
    assert len(find_worst(truth, probabilities, probabilities > 0, GENRES)) == N_WORST


def test_confusions_are_pairs_of_a_missed_and_a_wrong_genre() -> None:
    truth = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 1]], np.int8)
    predicted = np.array([[0, 1, 1], [0, 0, 1], [0, 0, 0], [0, 0, 1]], bool)
    found = count_confusions(truth, predicted, GENRES)
    assert found.genres == list(GENRES)
    assert found.missed == [3, 1, 0]
    assert found.counts == [[0, 1, 2], [0, 0, 1], [0, 0, 0]]


def test_of_many_genres_those_that_are_confused_most_are_kept() -> None:
    n = N_CONFUSED + 10
    genres = [f"genre {k}" for k in range(n)]
    truth, predicted = np.zeros((30, n), np.int8), np.zeros((30, n), bool)
    truth[:, n - 1], predicted[:, n - 2] = 1, True
    found = count_confusions(truth, predicted, genres)
    assert len(found.genres) == len(found.counts) == len(found.counts[0]) == N_CONFUSED
    assert found.genres[-2:] == genres[-2:]
    assert found.counts[-1][-2] == 30
