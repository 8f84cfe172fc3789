"""Classifiers in files: safetensors, with what is needed to apply them as text in the header."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from sslkit.errors import UserError
from sslkit.parts.classifier import Classifier
from sslkit.parts.preprocess import Preprocess

#: The name of the file, in the folder of the evaluator that trained it.
FILE = "classifier.safetensors"
_KIND = "sslkit classifier 1"
_TENSORS = ("weight", "bias", "mean", "std")


@dataclass(frozen=True)
class SavedClassifier:
    """A classifier with what it was trained on.

    Attributes:
        classifier: itself.
        preprocess: how whole images became the backbone's input.
        fingerprint: of the weights of the frozen backbone; empty if the classifier brings its own.
    """

    classifier: Classifier
    preprocess: Preprocess
    fingerprint: str


def fingerprint(net: nn.Module) -> str:
    """A hash of all weights and buffers of a net, by name, type, shape and bits."""
    found = hashlib.sha256()
    for name, value in sorted(net.state_dict().items()):
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return found.hexdigest()


def write_classifier(saved: SavedClassifier, file: Path) -> None:
    """Write a file that :func:`read_classifier` reads.

    Raises:
        OSError: if it cannot be written.
    """
    it = saved.classifier
    tensors = {name: value for name in _TENSORS if (value := getattr(it, name)) is not None}
    tensors |= {f"backbone/{name}": value for name, value in (it.backbone or {}).items()}
    header = {
        "classes": it.classes, "blocks": it.blocks, "average_patches": it.average_patches,
        "preprocess": asdict(saved.preprocess), "fingerprint": saved.fingerprint,
    }  # fmt: skip
    text = {"kind": _KIND, **{key: json.dumps(value) for key, value in header.items()}}
    save_file({name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}, file, metadata=text)


def read_classifier(file: Path) -> SavedClassifier:
    """The classifier of a file; nothing in it is run.

    Raises:
        UserError: if it is damaged or of another kind.
    """
    try:
        with safe_open(file, framework="pt") as stored:
            text = stored.metadata() or {}
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        if text.pop("kind", None) != _KIND:
            raise ValueError("it is of another kind")
        return _read({key: json.loads(value) for key, value in text.items()}, tensors)
    except (OSError, ValueError, TypeError, LookupError, SafetensorError) as error:
        raise UserError(f"{file}: cannot be read as a classifier that an evaluator saved: {error}") from error


def _read(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> SavedClassifier:
    own = {name.removeprefix("backbone/"): value for name, value in tensors.items() if name.startswith("backbone/")}
    if unknown := tensors.keys() - {f"backbone/{name}" for name in own} - set(_TENSORS):
        raise ValueError(f"it holds {', '.join(sorted(unknown)[:3])}")
    classifier = Classifier(
        **{name: tensors[name] for name in _TENSORS if name in tensors},
        classes=tuple(header["classes"]),
        blocks=int(header["blocks"]),
        average_patches=bool(header["average_patches"]),
        backbone=own or None,
    )
    images: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in header["preprocess"].items()
    }
    return SavedClassifier(classifier, Preprocess(**images), header["fingerprint"])
