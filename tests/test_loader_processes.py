"""Processes of the loader leave signals to the main process from their first moment, and end with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sslkit.data.loading import _leave_signals

SIGNALS_WHILE_WORKERS_START = """
import os, signal, threading, time
from sslkit.data.loading import loaded, loader_of

received = []
signal.signal(signal.SIGTERM, lambda *_: received.append(1))
over = threading.Event()

def send():
    while not over.is_set():
        os.killpg(0, signal.SIGTERM)
        time.sleep(0.001)

sender = threading.Thread(target=send)
sender.start()
try:
    for _ in range(6):
        loader = loader_of(range(8), [[0, 1], [2, 3], [4, 5], [6, 7]], list, workers=2)
        assert list(loaded(loader)) == [[0, 1], [2, 3], [4, 5], [6, 7]]
finally:
    over.set()
    sender.join()
assert len(received) > 20, received
print("all came")
"""


def test_a_signal_to_the_group_while_workers_start_ends_none_of_them(subprocess_env: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SIGNALS_WHILE_WORKERS_START], env=subprocess_env, start_new_session=True,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout == "all came\n", (done.returncode, done.stderr[-2000:])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent is gone")
def test_a_worker_whose_main_process_was_killed_while_it_started_ends() -> None:
    codes = []
    for main in (os.getpid(), os.getpid() + 1):  # the second is not the one that started it
        child = os.fork()
        if not child:
            _leave_signals(main, 0)
            os._exit(0)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    assert codes == [0, 1]


FORK_SERVER = """
import multiprocessing
from sslkit.data.loading import loaded, loader_of

if __name__ == "__main__":
    multiprocessing.set_start_method("forkserver")  # what Python 3.14 begins with on Linux
    print(list(loaded(loader_of(range(4), [[0, 1], [2, 3]], list, workers=2, timeout=60))))
"""


def test_workers_of_a_fork_server_work(tmp_path: Path, subprocess_env: dict[str, str]) -> None:
    script = tmp_path / "served.py"
    script.write_text(FORK_SERVER)
    words = [sys.executable, str(script)]
    done = subprocess.run(words, env=subprocess_env, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "[[0, 1], [2, 3]]\n", done.stderr[-2000:]
