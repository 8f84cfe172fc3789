"""What benchmarks/gpu.py measures."""

from __future__ import annotations

import argparse
import gc
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jpeg_folder
import numpy as np
import torch
from step import DROP_PATH, LENGTH, recipe, timed, views
from torch.utils.flop_counter import FlopCounterMode

from reference_dino import ReferenceDino, normalised
from sslkit.data.batch import Batch
from sslkit.data.whole import Source, stack_sources
from sslkit.engine.build import build_run
from sslkit.errors import RunError
from sslkit.parts.randomness import generator
from sslkit.recipe.load import load_recipe
from sslkit.recipe.overrides import overrides_from
from sslkit.report.bench import Steps, bench, ceiling
from sslkit_vision.multicrop import MultiCrop

Side = Callable[[], Any]


def ours_of(args: argparse.Namespace, device: torch.device, how: str) -> Side:
    """sslkit's training step on one batch; a call gives the loss."""
    run = build_run(load_recipe(recipe(args)), LENGTH, None, device)
    if how:
        run.compile_nets(graphs=how == "graphs")
    counted, batch = Steps(run, LENGTH), Batch(views(args), torch.arange(args.batch), None)
    return lambda: counted.step(batch).tensors["loss"]


def steps(args: argparse.Namespace, device: torch.device, notes: list[str]) -> dict[str, Any]:
    """All sides' milliseconds a step in turn, memory, launches, syncs, and the share of the ceiling."""
    peak = ceiling(device, torch.bfloat16)
    hows = {"sslkit bf16": "", "sslkit bf16 compiled": "compiled", "sslkit bf16 graphs": "graphs"}
    if args.batch != args.batches[0]:
        # compiling takes a minute each
        del hows["sslkit bf16 compiled"]
    ours, losses = {}, {}
    for name, how in hows.items():
        try:
            side = ours_of(args, device, how)
            losses[name] = [float(side()) for _ in range(10)]
            ours[name] = side
        except (RuntimeError, RunError) as error:
            notes.append(f"{name} fails: {error}")
            print(notes[-1], flush=True)
    with FlopCounterMode(display=False) as counter:
        ours["sslkit bf16"]()
    sides: dict[str, Side] = dict(ours)
    if args.reference:
        theirs = ReferenceDino(
            args.reference, f"vit_{args.arch}", args.patch, args.locals, args.out_dim, DROP_PATH, True, device
        )
        given = normalised(views(args))
        sides["reference fp16"] = partial(theirs.steps, given, args.steps)
    found: dict[str, Any] = {
        "ceiling": peak,
        "flops": counter.get_total_flops(),
        "losses": losses,
    }
    per_call = {name: args.steps if name.startswith("reference") else 1 for name in sides}
    for name, side in sides.items():
        for _ in range(3 if per_call[name] == 1 else 1):
            side()
        torch.cuda.reset_peak_memory_stats()
        side()
        found.setdefault("memory", {})[name] = torch.cuda.max_memory_allocated() / 2**30
        found.setdefault("launches", {})[name] = launches(side, notes, name) / per_call[name]
        found.setdefault("syncs", {})[name] = syncs(side) / per_call[name]
    rounds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(args.rounds):
        for name in sorted(sides, reverse=number % 2 == 1):
            rounds[name].append(timed(sides[name], args.steps // per_call[name], device) / per_call[name])
    return {**found, "milliseconds": rounds}


def launches(side: Side, notes: list[str], name: str) -> int:
    """Kernels of a call; the longest of them go to the notes."""
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        side()
        torch.cuda.synchronize()
    notes.append(f"{name}\n{profile.key_averages().table(sort_by='self_cuda_time_total', row_limit=25)}\n")
    return sum("LaunchKernel" in event.name for event in profile.events() or [])


def syncs(side: Side) -> int:
    """How often a call waits for the device, by torch's sync debug mode."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            side()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing" in str(warning.message) for warning in caught)


def device_views(batch: int, device: torch.device) -> dict[str, Any]:
    """Milliseconds of a batch's views on the device, and how far they are from Pillow's, of 255."""
    exact, ours = MultiCrop(3, pixels="exact"), MultiCrop(3, pixels="device")
    assert ours.on_device is not None
    sources, pictures = [], []
    for index in range(batch):
        picture = jpeg_folder.image(np.random.default_rng(index), index % 8)
        draws = [exact.draw(v, *picture.size, generator("view", index, row)) for row, v in enumerate(exact.views)]
        sources.append(Source(ours.on_device.prepare(picture), picture.size, tuple(draws)))
        pictures.append(picture)
    whole = stack_sources(sources).on(lambda tensor: tensor.to(device))
    made = ours.on_device.render(whole)
    apart = []
    for index in range(min(8, batch)):
        rows = dict.fromkeys(made, 0)
        for view, draws in zip(exact.views, sources[index].draws, strict=True):
            mine = made[view.size][rows[view.size], index].cpu().float()
            rows[view.size] += 1
            apart.append((mine - exact.render(pictures[index], view, draws).float()).abs().mean().item())
    render = partial(ours.on_device.render, whole)
    return {"milliseconds": [timed(render, 5, device) for _ in range(5)], "apart": apart, "syncs": syncs(render)}


def fed(root: Path, batch: int, workers: int, device: torch.device) -> dict[str, Any]:
    """Whole runs from JPEG files, by the pixels of multi-crop."""
    found = {}
    for pixels in ("exact", "fast", "device"):
        given = {
            "data": {"name": "image_folder", "root": str(root)},
            "augment.pixels": pixels,
            "train.precision": "bf16",
            "train.batch_size": batch,
            "train.workers": workers,
            "train.compile": True,
            "train.cuda_graphs": True,
        }
        measured = bench(load_recipe("dino_vits16", overrides_from(given)), 40)
        found[pixels] = {
            "images/s": measured.images_per_second,
            "step alone": measured.step_images_per_second,
            "loader alone": measured.loader_images_per_second,
            "share of waiting": measured.wait_share,
            "share of the ceiling": measured.share_of_ceiling,
            "split": measured.split,
        }
        free()
    return found


def free() -> None:
    torch._dynamo.reset()
    gc.collect()
    torch.cuda.empty_cache()
