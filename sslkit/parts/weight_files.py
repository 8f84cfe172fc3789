"""Reads files of named weights; nothing in them is run."""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from sslkit.errors import UserError
from sslkit.parts.paths import home_path


def read_weights(path: str | Path) -> Mapping[str, Any]:
    """What a file holds, nested as it was stored: ``.safetensors``, or a file of ``torch.save``.

    Of pickled things only tensors, plain containers and ``argparse.Namespace`` (which the reference's training files
    hold) are read: nothing in the file can run.

    Raises:
        UserError: if there is no such file, it is damaged, or it holds more than that.
    """
    file = home_path(path)
    if not file.is_file():
        raise UserError(f"{file}: there is no such file of weights")
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        with torch.serialization.safe_globals([argparse.Namespace]):
            found = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(f"{file}: {_unpickling(error)}") from error
    except (OSError, RuntimeError, ValueError, EOFError, LookupError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{file}: cannot be read as weights, it is damaged or of another kind: {reason}") from error
    if not isinstance(found, Mapping):
        raise UserError(f"{file}: holds a {type(found).__name__} instead of named weights (a state dict)")
    return found


def _unpickling(error: pickle.UnpicklingError) -> str:
    first = str(error).splitlines()[0] if str(error) else "not readable"
    if "GLOBAL" in str(error):
        name = str(error).split("GLOBAL ")[1].split()[0]
        return f"holds {name}, which could run code: only tensors and plain values are read; save a state dict"
    return f"cannot be read as weights, it is damaged or of another kind: {first[:200]}"
