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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
def test_memory_is_kept_for_the_length_of_a_run(subprocess_env: dict[str, str]) -> None:
    words = [sys.executable, "-c", PAGE_FAULTS]
    done = subprocess.run(words, env=subprocess_env, capture_output=True, text=True, timeout=120, check=True)
    usual, kept, afterwards = map(int, done.stdout.split())
    assert kept < usual / 10, done.stdout
    assert afterwards > usual / 2, done.stdout


def test_threads_are_as_before_even_after_a_failure() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ValueError, match=f"in {before + 1} threads"), processor(torch.device("cpu"), before + 1):
        raise ValueError(f"in {torch.get_num_threads()} threads")
    assert torch.get_num_threads() == before
    with processor(torch.device("cuda"), None):
        assert torch.get_num_threads() == before
