"""The command `trailergenre`, and `python -m trailergenre`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; Ctrl-C while it is being loaded, which takes a moment, is no bug."""
    try:
        from trailergenre.cli.commands import app

        app()
    except KeyboardInterrupt:
        from trailergenre.base.errors import ExitCode

        sys.stderr.write("\nstopped.\n")
        sys.exit(ExitCode.INTERRUPTED)
    except SystemExit as end:
        # typer and rich end such a program with 1, by which verify says that it found something.
        if isinstance(end.__context__, BrokenPipeError):
            from trailergenre.base.errors import ExitCode

            sys.exit(ExitCode.PIPE_CLOSED)
        raise


if __name__ == "__main__":
    main()
