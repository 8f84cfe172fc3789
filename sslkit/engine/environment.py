"""What a run ran on: versions, device, source."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import sslkit
from sslkit.parts.collectives import world_size

_PACKAGES = ("torch", "torchvision", "timm", "numpy", "pillow", "pluggy", "jsonargparse", "safetensors")


def environment(device: torch.device) -> dict[str, Any]:
    """Plain data for ``environment.json``."""
    versions = {"sslkit": sslkit.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "unknown"
    cuda = device.type == "cuda"
    return {
        "versions": versions,
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if cuda else _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "world_size": world_size(),
        "command": sys.argv,
        "git": _commit(Path(sslkit.__file__).parent),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit(folder: Path) -> str | None:
    """The commit of the checkout that sslkit runs from; None for an installed wheel."""
    if not (folder.parent / "pyproject.toml").is_file():
        return None
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
