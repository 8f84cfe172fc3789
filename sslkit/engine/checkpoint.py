"""Checkpoints: folders that are published whole, verified before use, and read without running code.

``checkpoints/step-00000120/`` holds ``weights.safetensors`` (student, teacher and losses with their buffers),
``optimizer.pt``, ``state.json`` (where the run stands) and ``manifest.json`` (size and SHA-256 of each file).
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sslkit.engine.files import digest, gone, sync, write_json
from sslkit.errors import RunError

log = logging.getLogger("sslkit")
_NAME = re.compile(r"step-(\d+)")
_REPLACED = ".replaced"
_FILES = ("weights.safetensors", "optimizer.pt", "state.json")


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint, read into memory.

    Attributes:
        weights: tensors by ``module/name``, on the CPU.
        optimizer: the state dicts of optimizer, scaler and teacher rule.
        state: plain data: ``step`` and what else the loop remembers.
    """

    path: Path
    weights: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]
    state: Mapping[str, Any]


class CheckpointStore:
    """The checkpoints of a run folder.

    Args:
        folder: where they lie, in a run folder that is there.
        keep: how many of the newest are kept, at least two.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder = folder
        self.keep = max(keep, 2)

    def save(
        self, weights: Mapping[str, Tensor], optimizer: Mapping[str, Any], state: Mapping[str, Any], best: int | None
    ) -> Path:
        """Publish a checkpoint and retire old ones.

        Args:
            weights: see :func:`weights_of`.
            optimizer: state dicts of optimizer, scaler and teacher rule.
            state: plain data with the key ``step``.
            best: the step of a checkpoint to keep besides the newest ones.

        Raises:
            RunError: if it cannot be written; the older checkpoints are untouched then.
        """
        final = self._path(state["step"])
        beside = self.folder / f".{final.name}.{os.getpid()}"
        try:
            self.folder.mkdir(exist_ok=True)
            shutil.rmtree(beside, ignore_errors=True)
            beside.mkdir()
            _write(beside, weights, optimizer, state)
            retired = self.folder / f".{final.name}{_REPLACED}"
            if final.exists():
                final.rename(retired)
            beside.rename(final)
            sync(self.folder)
            shutil.rmtree(retired, ignore_errors=True)
        except (OSError, RuntimeError, SafetensorError) as error:
            # a full disk is a RuntimeError in torch.save, and an error of its own in safetensors
            shutil.rmtree(beside, ignore_errors=True)
            home = self.folder.parent
            if not home.is_dir():
                raise RunError(f"checkpoint {final} was not saved: {gone(home)}") from error
            usage = shutil.disk_usage(self.folder if self.folder.is_dir() else home)
            needed = sum(tensor.nbytes for tensor in weights.values())
            raise RunError(
                f"checkpoint {final} was not saved (the weights alone need {size_text(needed)}, "
                f"{size_text(usage.free)} are free on that disk): {error}; the older checkpoints are whole"
            ) from error
        self._retire(best)
        return final

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that verifies; nothing is changed, so that readers may look beside a live run."""
        for path in reversed(self._published()):
            if _problem(path) is None:
                try:
                    return _read(path)
                except FileNotFoundError:
                    continue  # a live run has just retired it
        return None

    def load(self, step: int) -> Checkpoint | None:
        """The checkpoint of a step; None if there is none or it does not verify."""
        path = self._path(step)
        return _read(path) if path.is_dir() and _problem(path) is None else None

    def repair(self) -> None:
        """Clean up after a killed process: finish or undo its save, and keep damaged checkpoints aside, by name."""
        for replaced in self.folder.glob(f".step-*{_REPLACED}"):
            whole = replaced.with_name(replaced.name.removeprefix(".").removesuffix(_REPLACED))
            if not whole.exists():
                replaced.rename(whole)
        for path in self.folder.glob(".step-*"):
            shutil.rmtree(path, ignore_errors=True)
        for path in self._published():
            problem = _problem(path)
            if problem is not None:
                aside = path.with_name(f"damaged-{path.name}")
                shutil.rmtree(aside, ignore_errors=True)
                path.rename(aside)
                log.warning("checkpoint %s is damaged (%s): kept aside as %s", path, problem, aside.name)

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}"

    def _published(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if _NAME.fullmatch(path.name))

    def _retire(self, best: int | None) -> None:
        for path in self._published()[: -self.keep]:
            if best is None or path != self._path(best):
                # out of sight first: a kill in the middle leaves no half checkpoint
                hidden = path.with_name(f".{path.name}.retired")
                try:
                    path.rename(hidden)
                    shutil.rmtree(hidden)
                except OSError as error:
                    log.warning("the old checkpoint %s could not be deleted: %s", path, error)


def weights_of(modules: Mapping[str, nn.Module], copy: bool = False) -> dict[str, Tensor]:
    """Weights and buffers by ``module/name``, contiguous and on the CPU, no two of which share memory.

    Args:
        modules: everything that has some, by name.
        copy: whether tensors that are on the CPU already are copied, so that training may go on.
    """
    found: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, module in modules.items():
        for key, tensor in module.state_dict().items():
            # safetensors refuses memory that two names share
            tensor = tensor.detach().to("cpu", copy=copy).contiguous()
            found[f"{name}/{key}"] = tensor.clone() if tensor.data_ptr() in seen else tensor
            seen.add(tensor.data_ptr())
    return found


def copied(content: Any) -> Any:
    """Nested dicts, lists and tuples of plain data, with every tensor in them copied to the CPU."""
    if isinstance(content, Tensor):
        return content.detach().to("cpu", copy=True)
    if isinstance(content, dict):
        return {key: copied(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return type(content)(copied(value) for value in content)
    return content


def restore(modules: Mapping[str, nn.Module], weights: Mapping[str, Tensor]) -> None:
    """Load weights and buffers strictly.

    Raises:
        RunError: naming what is missing, left over or of another shape.
    """
    known: set[str] = set()
    for name, module in modules.items():
        prefix = f"{name}/"
        known.add(prefix)
        state = {key.removeprefix(prefix): tensor for key, tensor in weights.items() if key.startswith(prefix)}
        try:
            module.load_state_dict(state, strict=True)
        except RuntimeError as error:
            raise RunError(f"the checkpoint does not fit the {name}: {error}") from error
    over = sorted(key for key in weights if not any(key.startswith(prefix) for prefix in known))
    if over:
        raise RunError(f"the checkpoint holds weights that this run has no place for: {', '.join(over[:5])}")


def size_text(size: int) -> str:
    """A number of bytes as a person reads it."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _write(folder: Path, weights: Mapping[str, Tensor], optimizer: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    save_file(dict(weights), folder / "weights.safetensors")
    torch.save(dict(optimizer), folder / "optimizer.pt")
    (folder / "state.json").write_text(json.dumps(state, indent=2), encoding="utf-8")
    # safetensors writes files that nobody else may read
    (folder / "weights.safetensors").chmod((folder / "state.json").stat().st_mode)
    manifest = {}
    for name in _FILES:
        sync(folder / name)
        manifest[name] = {"bytes": (folder / name).stat().st_size, "sha256": digest(folder / name)}
    write_json(folder / "manifest.json", manifest)


def _problem(path: Path) -> str | None:
    """Why a published checkpoint cannot be used; None if it can."""
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        for name in _FILES:
            size = (path / name).stat().st_size
            if size != manifest[name]["bytes"]:
                return f"{name} has {size} bytes instead of {manifest[name]['bytes']}"
            if digest(path / name) != manifest[name]["sha256"]:
                return f"{name} differs from its SHA-256"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _read(path: Path) -> Checkpoint:
    return Checkpoint(
        path,
        load_file(path / "weights.safetensors"),
        torch.load(path / "optimizer.pt", map_location="cpu", weights_only=True),
        json.loads((path / "state.json").read_text(encoding="utf-8")),
    )
