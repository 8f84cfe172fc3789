"""Threads and memory of a run, for its length alone."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import torch

from sslkit.engine.processor import processor

#: In a process of its own: what a heap has at hand depends on all that it has been asked for before.
PAGE_FAULTS = """
import resource, torch
from sslkit.engine.processor import processor

def page_faults(mebibytes):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.empty(mebibytes * 2**18).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

usual = page_faults(64)
with processor(torch.device("cpu"), 1):
    page_faults(64)
    kept = page_faults(64)
# larger ones, which do not fit what is left of the heap
print(usual, kept, page_faults(128))
"""


def page_faults(env: dict[str, str]) -> tuple[int, int, int]:
    """Usual ones, those during a run, and those afterwards."""
    words = [sys.executable, "-c", PAGE_FAULTS]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120, check=True)
    usual, during, afterwards = map(int, done.stdout.split())
    return usual, during, afterwards


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
def test_memory_is_kept_for_the_length_of_a_run(subprocess_env: dict[str, str]) -> None:
    usual, during, afterwards = page_faults(subprocess_env)
    assert during < usual / 10
    assert afterwards > usual / 2


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
@pytest.mark.parametrize(
    "told", [{"MALLOC_MMAP_THRESHOLD_": "131072"}, {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=131072"}]
)
def test_who_has_told_malloc_otherwise_is_left_alone(subprocess_env: dict[str, str], told: dict[str, str]) -> None:
    usual, during, _ = page_faults(subprocess_env | told)
    assert during > usual / 2


def test_threads_are_as_before_even_after_a_failure() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ValueError, match=f"in {before + 1} threads"), processor(torch.device("cpu"), before + 1):
        raise ValueError(f"in {torch.get_num_threads()} threads")
    assert torch.get_num_threads() == before
    with processor(torch.device("cuda"), None):
        assert torch.get_num_threads() == before
