"""A recipe of seconds for every method, over the tiny run's data and nets."""

from __future__ import annotations

from typing import Any

from tiny_run import TINY, TINY_VIT

_MLP = {"name": "mlp", "hidden_dim": 16, "out_dim": 8}
_TEACHER = {"name": "ema", "momentum": 0.9}
_SGD = {"name": "sgd", "lr": 0.05, "weight_decay": 1e-4}

#: What each method needs besides data, backbone and length.
METHODS: dict[str, dict[str, Any]] = {
    "simclr": {"head": _MLP, "loss": {"name": "ntxent"}},
    "mocov2": {
        "augment": {"apart": True},
        "head": _MLP | {"use_bn": False},
        "teacher": _TEACHER,
        "loss": {"name": "info_nce_queue", "queue_length": 10},
    },
    "mocov3": {
        "head": _MLP | {"layers": 3, "last_bn": True, "last_affine": False},
        "predictor": _MLP | {"last_bn": True, "last_affine": False},
        "teacher": _TEACHER,
        "loss": {"name": "info_nce"},
        "train": {"view_batching": "view"},
    },
    "byol": {
        "head": _MLP, "predictor": _MLP, "teacher": _TEACHER, "loss": {"name": "byol"},
        "train": {"view_batching": "view"},
    },
    "simsiam": {
        "head": _MLP | {"last_bn": True, "last_affine": False},
        "predictor": _MLP,
        "loss": {"name": "simsiam"},
        "param_groups": {"predictor": {"match": "predictor.*", "decay_lr": False}, "biases": None},
        "train": {"view_batching": "view"},
    },
    "swav": {
        "augment": {"local_crops": 1, "local_size": 8},
        "head": _MLP | {"unit_length": True},
        "predictor": {"name": "prototypes", "out_dim": 6, "freeze_steps": 2},
        "loss": {"name": "swav", "queue_length": 9, "queue_from_epoch": 0},
    },
    "barlow": {"head": _MLP, "loss": {"name": "barlow_twins"}, "train": {"view_batching": "view"}},
    "vicreg": {"head": _MLP, "loss": {"name": "vicreg", "weight": 0.02}, "train": {"view_batching": "view"}},
    "supervised": {"head": {"name": "classifier"}, "loss": {"name": "cross_entropy"}},
}  # fmt: skip


def tiny_method(name: str, *, batch_norm: bool = False, **train: Any) -> dict[str, Any]:
    """The recipe of a method.

    Args:
        name: of the method.
        batch_norm: a convolutional net with BatchNorm instead of a transformer.
        train: settings of the section ``train``.
    """
    base, own = TINY if batch_norm else TINY_VIT, METHODS[name]
    recipe = {key: value for key, value in base.items() if key not in ("teacher", "head", "loss", "evaluate")}
    if not batch_norm:
        # in front of a BatchNorm AdamW would make steps of the noise that gradients of zero have
        recipe["optimizer"] = _SGD
    parts = {key: value for key, value in own.items() if key not in ("augment", "train")}
    augment = {"name": "multicrop", "local_crops": 0, "global_size": 16} | own.get("augment", {})
    return recipe | parts | {"augment": augment, "train": recipe["train"] | own.get("train", {}) | train}
