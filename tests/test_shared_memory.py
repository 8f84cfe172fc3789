"""Loader processes whose shared memory is too small, not there, or gone under them."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from forked import fork, sslkit_main, wait
from sslkit.data.loading import loaded, loader_of
from sslkit.data.shared import LoaderFailed, NoSharedMemory, explained, shared
from tiny_run import TINY, tiny, write

#: Of Linux (unshare(2)): mounts of its own.
_CLONE_NEWNS = 0x00020000


def in_small_memory(work: Callable[[], int | None], log: Path, size: str, filled: int = 0) -> int:
    """The exit code of a forked process that has a /dev/shm of its own, of this size and filled so far.

    Skips the test where this process may not mount.
    """

    def mounted() -> int | None:
        if ctypes.CDLL(None).unshare(_CLONE_NEWNS):
            return 77
        commands = (
            ["mount", "--make-rprivate", "/"],
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", "/dev/shm"],
        )
        if any(subprocess.run(command, stderr=subprocess.DEVNULL).returncode for command in commands):
            return 77
        Path("/dev/shm/full").write_bytes(bytes(filled))
        return work()

    code = wait(fork(mounted, log), 100)
    if code == 77:
        pytest.skip("only a process that may mount can make /dev/shm small")
    return code


linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /dev/shm")


def errors(log: Path) -> list[str]:
    return [line for line in log.read_text().splitlines() if line.startswith("error")]


@linux
@pytest.mark.parametrize(("size", "filled"), [("64k", 0), ("64k", 65536)], ids=["small", "full"])
def test_a_run_whose_batches_do_not_fit_says_so_and_how_to_go_on(tmp_path: Path, size: str, filled: int) -> None:
    # nothing else would end it in time
    train = {**TINY["train"], "workers": 2, "worker_timeout": 3600}  # type: ignore[dict-item]
    file = write(tmp_path, tiny(train=train, evaluate={}))
    run = sslkit_main("fit", "--recipe", str(file), "--out", str(tmp_path / "run"))
    assert in_small_memory(run, tmp_path / "log.txt", size, filled) == 1
    (told,) = errors(tmp_path / "log.txt")
    assert all(words in told for words in ("shared memory (/dev/shm)", "train.workers to 0", "--shm-size"))
    assert "Traceback" not in (tmp_path / "log.txt").read_text()


@linux
@pytest.mark.parametrize("command", ["eval", "embed", "fit"])
def test_evaluators_loaders_say_it_too(tmp_path: Path, command: str, trained: Path) -> None:
    words = {
        "eval": ("eval", str(trained), "--out", str(tmp_path / "out")),
        "embed": ("embed", str(trained), "--out", str(tmp_path / "features.npz")),
        # its training has no loader processes, its first evaluation has
        "fit": ("fit", "--recipe", str(trained.parent / "tiny.yaml"), "--out", str(tmp_path / "run")),
    }[command]
    work = sslkit_main(*words, "--train.workers", "1", "--train.worker_timeout", "3600")
    assert in_small_memory(work, tmp_path / "log.txt", "16k") == 1
    (told,) = errors(tmp_path / "log.txt")
    assert "shared memory (/dev/shm)" in told
    assert "train.workers to 0" in told
    assert "Traceback" not in (tmp_path / "log.txt").read_text()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    file = write(folder, tiny())
    run = sslkit_main("fit", "--recipe", str(file), "--out", str(folder / "run"), "--train.max_steps", "5")
    assert wait(fork(run, folder / "log.txt")) == 0, (folder / "log.txt").read_text()
    return folder / "run"


@linux
def test_a_loader_process_that_writes_beyond_the_end_of_shared_memory(tmp_path: Path) -> None:
    def work() -> None:
        with pytest.raises(LoaderFailed, match=r"shared memory .* train.workers to 0"):
            list(loaded(loader_of(range(4), [[0, 1], [2, 3]], _beyond, workers=1)))  # type: ignore[arg-type]

    assert in_small_memory(work, tmp_path / "log.txt", "64k") == 0, (tmp_path / "log.txt").read_text()


def _beyond(items: list[int]) -> Tensor:
    """What older torch does: takes the space, and is ended by SIGBUS when it writes."""
    import mmap

    with open("/dev/shm/sparse", "wb+") as file:
        file.truncate(1 << 20)
        with mmap.mmap(file.fileno(), 1 << 20) as memory:
            memory[:] = bytes(1 << 20)
    return torch.tensor(items)


def _no_room(_items: list[int]) -> Tensor:
    raise NoSharedMemory("shared memory is too small")


def _killed(_items: list[int]) -> Tensor:
    os.kill(os.getpid(), 9)
    raise AssertionError


def test_what_a_loader_process_says_comes_without_its_traceback() -> None:
    with pytest.raises(NoSharedMemory, match="^shared memory is too small$"):
        list(loaded(loader_of(range(2), [[0], [1]], _no_room, workers=1)))  # type: ignore[arg-type]


def test_a_loader_process_that_is_killed_is_no_matter_of_shared_memory() -> None:
    with pytest.raises(LoaderFailed, match="a loader process died: .*it was killed.*fewer train.workers"):
        list(loaded(loader_of(range(2), [[0], [1]], _killed, workers=1)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("DataLoader worker (pid 7) is killed by signal: Bus error. ", "shared memory"),
        ("unable to open shared memory object </torch_1> in read-write mode", "shared memory"),
        ("unable to mmap 8 bytes from file </torch_1>: Cannot allocate memory (12) shm", "shared memory"),
        ("received 0 items of ancdata", "ulimit -n"),
        ("[Errno 24] Too many open files", "ulimit -n"),
        ("DataLoader timed out after 20 seconds", "train.worker_timeout"),
    ],
)
def test_errors_of_torch_s_loader_are_explained(text: str, said: str) -> None:
    found = explained(RuntimeError(text))
    assert found is not None
    assert said in str(found)


def test_other_errors_are_not() -> None:
    assert explained(RuntimeError("shape mismatch")) is None
    assert explained(RuntimeError('File "/dev/shm/venv/lib/part.py", line 3\nRuntimeError: shape mismatch')) is None


def test_outside_of_loader_processes_nothing_is_shared() -> None:
    assert not shared(torch.zeros(3)).is_shared()
