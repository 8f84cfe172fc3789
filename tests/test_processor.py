"""Threads and memory of a run, for its length alone."""

from __future__ import annotations

import platform
import resource

import pytest
import torch

from sslkit.engine.processor import processor

CPU = torch.device("cpu")


def page_faults() -> int:
    """What five tensors of 64 MiB cost, one after the other."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.empty(16 * 2**20).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
def test_memory_is_kept_for_the_length_of_a_run() -> None:
    usual = page_faults()
    with processor(CPU, None):
        page_faults()
        assert page_faults() < usual / 10
    assert page_faults() > usual / 2


def test_threads_are_as_before_even_after_a_failure() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ValueError, match=f"in {before + 1} threads"), processor(CPU, before + 1):
        raise ValueError(f"in {torch.get_num_threads()} threads")
    assert torch.get_num_threads() == before
    with processor(torch.device("cuda"), None):
        assert torch.get_num_threads() == before
