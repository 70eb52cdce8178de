from __future__ import annotations

import os
import subprocess
import sys

import pytest

from trailergenre.base.native_logs import hold_native_logs


def test_native_logs_are_held_back_and_pythons_messages_are_not() -> None:
    code = (
        "import os, sys\n"
        "from trailergenre.base.native_logs import hold_native_logs\n"
        "with hold_native_logs():\n"
        "    os.write(2, b'native\\n')\n"
        "    print('python', file=sys.stderr)\n"
        "os.write(2, b'later\\n')\n"
        "print('at the end', file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "python\nlater\nat the end\n"


def test_native_logs_are_printed_if_the_block_fails(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImportError), hold_native_logs():
        os.write(2, b"no such library\n")
        raise ImportError
    assert capfd.readouterr().err == "no such library\n"
