"""`python -m trailergenre`: the same as the command `trailergenre`."""

from trailergenre.cli import main

main()
