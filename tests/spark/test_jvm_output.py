from __future__ import annotations

import subprocess
import sys

CODE = """
import subprocess, sys
from trailergenre.spark.jvm_output import filtered_stderr
lines = ["WARNING: Using incubator modules: jdk.incubator.vector", "a fault"]
lines.append('Setting Spark log level to "ERROR".')
text = "".join(line + chr(10) for line in lines)
child = f"import sys; sys.stderr.write({text!r}); sys.stdin.read(); sys.stderr.write('late')"
with filtered_stderr():
    process = subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.PIPE)
sys.stderr.write("ours\\n")
process.communicate()
import time; time.sleep(.2)
"""


def test_a_jvm_is_heard_as_long_as_it_lives_but_for_what_it_says_at_every_start() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert sorted(done.stderr.split("\n")) == ["a fault", "late", "ours"]
