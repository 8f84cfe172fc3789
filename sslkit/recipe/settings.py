"""The sections of a recipe that belong to the engine itself, with their defaults. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sslkit.parts.paths import PathOption


@dataclass(frozen=True, kw_only=True)
class Train:
    """How long, how large and how precise.

    Args:
        epochs: passes over the data.
        batch_size: images an optimizer step, over all ranks and micro-batches.
        micro_batches: parts that each rank's share of a batch is computed in (gradient accumulation).
        precision: autocast of both nets: ``fp32`` (none), ``bf16``, or ``fp16`` with loss scaling; ``auto``: bf16 where
            the device computes in it (GPUs since Ampere, CPUs with AVX512-BF16 or AMX), fp16 on older GPUs, fp32 else;
            the run's own recipe says which one it was, and the run keeps it on every machine. Losses, centers, the
            teacher and the optimizer stay in float32.
        compile: let torch.compile make what runs the nets in training: fused on a GPU, after a minute or more of
            compiling; drop path then draws other numbers. Evaluators run the nets as they are.
        cuda_graphs: with ``compile``: record the nets' work once and play it, which takes the processor's share of a
            step away; not with ``micro_batches``.
        view_batching: ``all``: the backbone runs once on all views of a size and the heads once on all views, whose
            BatchNorm sees all of them (DINO, SwAV, SimCLR); ``view``: both nets run view by view (BYOL, SimSiam,
            MoCo, Barlow Twins, VICReg).
        lr_per_images: the optimizer's learning rate is meant for this many images a step and its peak is
            scaled linearly with ``batch_size`` (Goyal et al. 2017, and the reference DINO); null: as written.
        workers: loader processes a rank; null: one less than the cores, at most 8; 0: in the main process.
        cache: folder for the decoded training images, which is made once and read by every later run that names it:
            for images that take longer to decode than to read. null: none.
        cache_side: images whose short side is larger are shrunk to so many pixels in the cache; a cache of unshrunk
            images changes no pixel of a view.
        short_side: training images whose short side is larger are shrunk to so many pixels as they are read, JPEGs in
            decoding already: for photographs much larger than the views; with a cache the smaller of both sides counts.
            null: none is.
        worker_timeout: seconds after which a hanging loader process is an error; 0: never.
        rank_timeout: seconds that a process of a distributed run waits for another one before it gives up.
        device: ``auto``: CUDA where there is one, else the CPU.
        threads: CPU threads of torch; null: torch's own choice.
        log_every: steps between two read-backs of the metrics (one host sync each); every step is logged.
        max_steps: stop after this many steps, schedules unchanged (to try a long recipe); null: the whole run.
        on_nonfinite: when a loss or a gradient is not finite: ``raise``; ``skip``: the step is not made, and the next
            one is; ``rollback``: the same, from the newest checkpoint's weights, optimizer and buffers. A snapshot is
            kept for ``sslkit replay``.
        max_nonfinite: more such steps in a run are an error, whatever ``on_nonfinite`` says.
        on_bad_image: when an image cannot be read: ``skip``: another one, chosen by key, stands in for it, and
            ``bad_images.csv`` lists it; ``raise``.
        max_bad_fraction: share of the training images that may be unreadable, but one image always.
    """

    epochs: int = 100
    batch_size: int = 256
    micro_batches: int = 1
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "fp32"
    compile: bool = False
    cuda_graphs: bool = False
    view_batching: Literal["all", "view"] = "all"
    lr_per_images: int | None = 256
    workers: int | None = None
    cache: PathOption | None = None
    cache_side: int = 512
    short_side: int | None = None
    worker_timeout: float = 300.0
    rank_timeout: float = 1800.0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = None
    log_every: int = 10
    max_steps: int | None = None
    on_nonfinite: Literal["raise", "skip", "rollback"] = "raise"
    max_nonfinite: int = 10
    on_bad_image: Literal["skip", "raise"] = "skip"
    max_bad_fraction: float = 0.01


@dataclass(frozen=True, kw_only=True)
class Checkpointing:
    """When checkpoints are written and which are kept. One is always written at the end.

    Args:
        every_epochs: after every so many epochs; null: not by epochs.
        every_steps: after every so many steps; null: not by steps.
        every_minutes: when this many minutes have passed since the last one; null: not by time.
        keep: newest checkpoints to keep; never fewer than two.
        background: write while the training goes on (not before an evaluation or the end); null: where a GPU trains.
        best_metric: an evaluation's number, such as ``teacher/knn/k20_top1``: its best checkpoint is kept too.
        best_mode: whether more or less of it is better.
    """

    every_epochs: int | None = 1
    every_steps: int | None = None
    every_minutes: float | None = None
    keep: int = 2
    background: bool | None = None
    best_metric: str | None = None
    best_mode: Literal["max", "min"] = "max"


@dataclass(frozen=True, kw_only=True)
class ParamRule:
    """Multiples of the optimizer's rates for the parameters that match; the first rule that matches counts.

    Args:
        match: pattern of the parameter's name, as in ``backbone.*``, ``*.bias``, ``predictor.*``.
        max_ndim: only tensors of at most this many dimensions; null: any.
        lr: factor of the learning rate.
        weight_decay: factor of the weight decay.
        decay_lr: whether the learning rate follows its schedule; false: it stays at its peak (SimSiam's predictor).
        trust: whether a layer-wise adaptive optimizer (LARS) adapts these tensors.
    """

    match: str = "*"
    max_ndim: int | None = None
    lr: float = 1.0
    weight_decay: float = 1.0
    decay_lr: bool = True
    trust: bool = True


#: The reference DINO's groups (utils.get_params_groups): biases and one-dimensional tensors are never decayed.
DEFAULT_PARAM_GROUPS: dict[str, ParamRule] = {
    "biases": ParamRule(match="*.bias", weight_decay=0.0, trust=False),
    "one_dimensional": ParamRule(max_ndim=1, weight_decay=0.0, trust=False),
}


@dataclass(frozen=True, kw_only=True)
class EvaluateWhen:
    """When and on which nets an evaluator runs; these keys stand beside the evaluator's own options.

    Args:
        every: epochs between two evaluations; 0: only at the end.
        at_start: also before training, on random weights.
        which: the nets to judge, ``teacher`` and/or ``student`` (without a teacher, the student).
    """

    every: int = 0
    at_start: bool = False
    which: tuple[Literal["teacher", "student"], ...] = ("teacher",)
