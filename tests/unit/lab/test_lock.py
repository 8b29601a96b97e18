from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

from nimctl.lab.lock import is_held, locked

HOLD = """
import sys, time
from pathlib import Path
from nimctl.lab.lock import locked
with locked(Path(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(60)
"""


def test_only_one_holds_it_and_the_file_goes_with_it(tmp_path):
    path = tmp_path / "cache" / "lab.lock"
    order, waiting = [], []

    def second():
        with locked(path, waiting.append):
            order.append("second")

    with locked(path, waiting.append):
        thread = threading.Thread(target=second)
        thread.start()
        while not waiting:
            time.sleep(0.01)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert waiting == [f"process {os.getpid()}"]
    assert not path.exists()


def test_a_holder_that_is_killed_loses_it(tmp_path):
    path = tmp_path / "lab.lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        assert is_held(path)
        holder.send_signal(signal.SIGKILL)
    assert path.exists()
    assert not is_held(path)
    with locked(path, lambda who: None):
        assert is_held(path)
    assert not path.exists()
