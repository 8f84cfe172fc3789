"""Fixtures that every test may ask for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

# before torch is imported, and inherited by every process that a test starts
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch
from PIL import Image

from plain_environment import PLAIN

torch.set_num_threads(1)

#: Runs ``sslkit`` with these arguments in a process of its own.
RunSslkit = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def tiny_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small images: ``train/`` and ``val/``, two classes, JPEG and PNG, colour and grayscale."""
    root = tmp_path_factory.mktemp("tiny_images")
    for split, count in (("train", 6), ("val", 3)):
        for label, name in enumerate(("bright", "dark")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                _draw(index, label).save(folder / f"{index}.{('jpg', 'png')[index % 2]}")
    return root


def _draw(index: int, label: int) -> Image.Image:
    noise = np.random.default_rng([index, label]).integers(0, 100, (24 + 4 * index, 32, 3))
    image = Image.fromarray((noise + (0 if label else 150)).astype(np.uint8))
    return image.convert("L") if index == 1 else image


@pytest.fixture
def subprocess_env() -> dict[str, str]:
    """The environment for processes that tests start."""
    return {**os.environ, **PLAIN}


@pytest.fixture
def run_sslkit(subprocess_env: dict[str, str], tmp_path: Path) -> RunSslkit:
    """Runs the ``sslkit`` command in ``tmp_path``; its exit code, stdout and stderr are for the test to judge."""

    def run(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sslkit", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=subprocess_env, capture_output=True, text=True, timeout=timeout, check=False
        )

    return run
