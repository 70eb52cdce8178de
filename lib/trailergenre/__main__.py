"""The command `trailergenre`, and `python -m trailergenre`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; Ctrl-C during the imports, which take a moment, prints no traceback."""
    try:
        from trailergenre.cli.commands import app

        app()
    except KeyboardInterrupt:
        from trailergenre.base.errors import ExitCode

        sys.stderr.write("\nstopped.\n")
        sys.exit(ExitCode.INTERRUPTED)
    except SystemExit as end:
        # On a closed pipe typer and rich exit with 1, which is verify's code for a problem found.
        if isinstance(end.__context__, BrokenPipeError):
            from trailergenre.base.errors import ExitCode

            sys.exit(ExitCode.PIPE_CLOSED)
        raise


if __name__ == "__main__":
    main()
