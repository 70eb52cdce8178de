"""Sets of genres that results are also given for, so that they compare with those of papers.

Knows names alone.
"""

from __future__ import annotations

_LMTD_9 = (
    "Action",
    "Adventure",
    "Comedy",
    "Crime",
    "Drama",
    "Horror",
    "Romance",
    "Sci-Fi",
    "Thriller",
)

GENRE_SETS: dict[str, tuple[str, ...]] = {
    # Montalvo-Lezama et al. 2022 (arXiv 2210.07983).
    "Trailers12k-10": tuple(sorted((*_LMTD_9, "Fantasy"))),
    # Wehrmann and Barros 2017, on the Labeled Movie Trailer Dataset.
    "LMTD-9": _LMTD_9,
    # Cascante-Bonilla et al. 2019 (arXiv 1908.03180).
    "Moviescope-13": (
        "Action",
        "Animation",
        "Biography",
        "Comedy",
        "Crime",
        "Drama",
        "Family",
        "Fantasy",
        "Horror",
        "Mystery",
        "Romance",
        "Sci-Fi",
        "Thriller",
    ),
}
"""Name of the set -> its genres, in alphabetical order."""
