"""What an exhausted memory means for a recipe."""

from __future__ import annotations

import torch

from sslkit.engine.run import Run
from sslkit.errors import RunError
from sslkit.parts.collectives import world_size
from sslkit.recipe.settings import Train

#: What torch's allocators say, on CUDA and on the CPU.
_WORDS = ("out of memory", "can't allocate memory", "not enough memory", "DefaultCPUAllocator")


def out_of_memory(error: BaseException, run: Run, train: Train, when: str) -> RunError | None:
    """The sentence for an error that says that memory ran out; None if it says something else.

    Args:
        error: whatever was raised.
        run: whose views and batch are told.
        train: the recipe's section.
        when: such as ``at step 7``.
    """
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    if not known and not any(words in str(error) for words in _WORDS):
        return None
    share = train.batch_size // world_size() // train.micro_batches
    sizes = [view.size for view in run.augmenter.views]
    views = " and ".join(f"{sizes.count(size)} views of {size}" for size in dict.fromkeys(sizes))
    ways = []
    if (smaller := next((parts for parts in (2, 3, 5) if share % parts == 0), None)) is not None:
        parts = train.micro_batches * smaller
        ways.append(f"train.micro_batches {parts} computes it in parts of {share // smaller} images")
    if train.precision == "fp32" and run.device.type == "cuda":
        ways.append("train.precision bf16 takes about half")
    ways.append("fewer or smaller crops, a smaller head.out_dim or train.batch_size")
    told = " ".join(str(error).split())[:160]
    return RunError(
        f"out of memory {when}, with {share} images of {views} pixels a process in {train.precision}: "
        f"{'; '.join(ways)} ({told or type(error).__name__})"
    )
