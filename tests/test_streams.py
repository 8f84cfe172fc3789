"""Standard streams that are closed, full or without a reader: the exit code is the run's own, and no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from forked import fork, wait
from tiny_run import tiny, write


def closed(number: int) -> None:
    os.close(number)
    setattr(sys, ("stdin", "stdout", "stderr")[number], None)


def full(number: int) -> None:
    os.dup2(os.open("/dev/full", os.O_WRONLY), number)


def unread(number: int) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    os.dup2(writing, number)


def command(words: list[str], streams: tuple[int, ...], how: Callable[[int], None]) -> Callable[[], int]:
    def work() -> int:
        import rich

        from sslkit.cli.main import console

        for number in streams:
            how(number)
        sys.argv = ["sslkit", *words]
        rich.reconfigure()
        try:
            console()
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    return work


BROKEN = pytest.mark.parametrize("how", [closed, full, unread])


@pytest.mark.parametrize(
    ("how", "streams"), [(closed, (1,)), (closed, (0, 1, 2)), (full, (1,)), (full, (2,)), (unread, (1, 2))]
)
def test_a_run_ends_as_it_would(tmp_path: Path, how: Callable[[int], None], streams: tuple[int, ...]) -> None:
    train = {"epochs": 1, "batch_size": 512, "workers": 0}
    file = write(tmp_path, tiny(watch={"progress": {"display": "lines"}, "tensorboard": None}, train=train))
    words = ["fit", "--recipe", str(file), "--out", str(tmp_path / "run")]
    code = wait(fork(command(words, streams, how), tmp_path / "out.txt", tmp_path / "errors.txt"))
    said = (tmp_path / "out.txt").read_text() + (tmp_path / "errors.txt").read_text()
    assert code == 0, said
    assert "Traceback" not in said
    assert "switched off" not in said
    assert (tmp_path / "run/summary.json").is_file()
    assert "Traceback" not in (tmp_path / "run/log.txt").read_text()


@BROKEN
@pytest.mark.parametrize("stream", [1, 2])
def test_a_mistake_keeps_its_exit_code(tmp_path: Path, how: Callable[[int], None], stream: int) -> None:
    words = ["fit", "--recipe", "quickstat"]
    code = wait(fork(command(words, (stream,), how), tmp_path / "out.txt", tmp_path / "errors.txt"))
    assert code == 2
    assert "Traceback" not in (tmp_path / "errors.txt").read_text()


@pytest.mark.parametrize("words", ["recipes list", "--version"])
@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        (">&-", 0, ""),
        (">&- 2>&-", 0, ""),
        ("2>&-", 0, ""),
        ("> /dev/full", 1, "No space left on device\n"),
        ("> /dev/full 2> /dev/full", 1, ""),
    ],
)
def test_commands_that_print_know_whether_they_could(words: str, end: str, code: int, said: str) -> None:
    line = f'"{sys.executable}" -m sslkit {words} {end}'
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    assert done.stderr.endswith(said)
    assert done.stderr.count("\n") == (1 if said else 0)
    assert not said or done.stderr.startswith("error: standard output")


def test_what_a_run_writes_does_not_go_where_a_closed_stream_was(tmp_path: Path) -> None:
    # the first file that a process opens would get the number of standard output, and what libraries print
    line = f'''"{sys.executable}" -c "
from sslkit.streams import open_closed
import os
open_closed()
file = open('kept.txt', 'w')
os.write(1, b'noise')
os.write(2, b'noise')
print('noise', flush=True)
file.write('kept')
" >&- 2>&- <&-'''
    assert subprocess.run(["bash", "-c", line], cwd=tmp_path, timeout=60).returncode == 0
    assert (tmp_path / "kept.txt").read_text() == "kept"
