"""A plain DINO in float64, written from the paper and its reference's formulas alone: no sslkit, no timm, no modules.

:func:`golden_training` trains a tiny network and gives what a golden file holds, so that configurations which the
shared files do not have can be replayed too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Weights = dict[str, Tensor]

#: The configuration of the shared golden file; others differ from it by what they name.
CONFIG: dict[str, Any] = {
    "img": 32, "loc": 16, "patch": 4, "dim": 48, "depth": 2, "heads": 3, "out": 64, "hid": 32, "bot": 16, "n_local": 4,
    "bn": False, "norm_last": True, "clip": 3.0, "freeze": 1, "lr": 5e-4, "min_lr": 1e-6, "wd": 0.04, "wd_end": 0.4,
    "m": 0.996, "t_warm": 0.04, "t": 0.07, "t_epochs": 2, "epochs": 4, "iters": 3, "warmup": 1, "batch": 4,
}  # fmt: skip


def initial_weights(c: Mapping[str, Any], seed: int) -> dict[str, np.ndarray]:
    """Weights as the reference names them, float32; larger than its own, so that every part matters."""
    draw = np.random.default_rng(seed)
    dim, patches = c["dim"], (c["img"] // c["patch"]) ** 2
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, dim), "pos_embed": (1, 1 + patches, dim),
        "patch_embed.proj.weight": (dim, 3, c["patch"], c["patch"]), "patch_embed.proj.bias": (dim,),
    }  # fmt: skip
    for i in range(c["depth"]):
        for name, (out, inner) in {
            "attn.qkv": (3 * dim, dim), "attn.proj": (dim, dim), "mlp.fc1": (4 * dim, dim), "mlp.fc2": (dim, 4 * dim),
        }.items():  # fmt: skip
            shapes |= {f"blocks.{i}.{name}.weight": (out, inner), f"blocks.{i}.{name}.bias": (out,)}
        for norm in ("norm1", "norm2"):
            shapes |= {f"blocks.{i}.{norm}.weight": (dim,), f"blocks.{i}.{norm}.bias": (dim,)}
    shapes |= {"norm.weight": (dim,), "norm.bias": (dim,)}
    shapes = {f"backbone.{name}": shape for name, shape in shapes.items()}
    widths, step = [dim, c["hid"], c["hid"], c["bot"]], 3 if c["bn"] else 2
    for layer, (inner, out) in enumerate(pairwise(widths)):
        shapes |= {f"head.mlp.{layer * step}.weight": (out, inner), f"head.mlp.{layer * step}.bias": (out,)}
        if c["bn"] and layer < 2:
            shapes |= {f"head.mlp.{layer * step + 1}.{key}": (out,) for key in ("weight", "bias")}
    shapes |= {"head.last_layer.weight_g": (c["out"], 1), "head.last_layer.weight_v": (c["out"], c["bot"])}
    weights = {name: draw.normal(0, 0.1, shape) for name, shape in shapes.items()}
    for name, value in weights.items():
        if ("norm" in name and name.endswith("weight")) or (
            value.ndim == 1 and name.startswith("head.") and "weight" in name
        ):
            value += 1
    weights["head.last_layer.weight_g"][:] = 1
    return {name: value.astype(np.float32) for name, value in weights.items()}


def backbone(w: Weights, images: Tensor, c: Mapping[str, Any]) -> tuple[Tensor, list[Tensor], Tensor]:
    """The [CLS] features ``[B, D]``, the normed tokens after every block, and the last block's attention."""
    dim, heads = c["dim"], c["heads"]
    tokens = F.conv2d(images, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], stride=c["patch"])
    rows, columns = tokens.shape[2:]
    tokens = torch.cat([w["cls_token"].expand(len(images), -1, -1), tokens.flatten(2).transpose(1, 2)], dim=1)
    x = tokens + _positions(w["pos_embed"], rows, columns)
    outputs = []
    for i in range(c["depth"]):

        def layer(name: str, y: Tensor, i: int = i) -> Tensor:
            return y @ w[f"blocks.{i}.{name}.weight"].T + w[f"blocks.{i}.{name}.bias"]

        packed = layer("attn.qkv", _layer_norm(w, f"blocks.{i}.norm1", x)).unflatten(-1, (3, heads, dim // heads))
        q, k, v = packed.permute(2, 0, 3, 1, 4)
        attention = (q @ k.transpose(-2, -1) / math.sqrt(dim // heads)).softmax(dim=-1)
        x = x + layer("attn.proj", (attention @ v).transpose(1, 2).flatten(2))
        hidden = layer("mlp.fc1", _layer_norm(w, f"blocks.{i}.norm2", x))
        x = x + layer("mlp.fc2", hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2)
        outputs.append(_layer_norm(w, "norm", x))
    return outputs[-1][:, 0], outputs, attention


def _layer_norm(w: Weights, name: str, x: Tensor) -> Tensor:
    centred = x - x.mean(dim=-1, keepdim=True)
    return (
        centred / (centred.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]
    )


def _positions(embeddings: Tensor, rows: int, columns: int) -> Tensor:
    side = math.isqrt(embeddings.shape[1] - 1)
    if rows == columns == side:
        return embeddings
    grid = embeddings[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, scale_factor=((rows + 0.1) / side, (columns + 0.1) / side), mode="bicubic")
    return torch.cat([embeddings[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


def head(w: Weights, x: Tensor, c: Mapping[str, Any], running: Weights) -> Tensor:
    """``[N, D] -> [N, K]``; BatchNorm with the statistics of these rows, of which it keeps a running mean."""
    step = 3 if c["bn"] else 2
    for layer in range(3):
        x = x @ w[f"mlp.{layer * step}.weight"].T + w[f"mlp.{layer * step}.bias"]
        if layer == 2:
            break
        if c["bn"]:
            _keep_running(running, f"head.mlp.{layer * step + 1}", x.detach())
            x = (x - x.mean(dim=0)) / (x.var(dim=0, correction=0) + 1e-5).sqrt()
            x = x * w[f"mlp.{layer * step + 1}.weight"] + w[f"mlp.{layer * step + 1}.bias"]
        x = x * (1 + torch.erf(x / math.sqrt(2))) / 2
    x = x / x.norm(dim=1, keepdim=True)
    v = w["last_layer.weight_v"]
    return x @ (v / v.norm(dim=1, keepdim=True) * w["last_layer.weight_g"]).T


def _keep_running(running: Weights, name: str, x: Tensor) -> None:
    for key, start, now in (
        ("running_mean", torch.zeros(x.shape[1], dtype=x.dtype), x.mean(dim=0)),
        ("running_var", torch.ones(x.shape[1], dtype=x.dtype), x.var(dim=0)),
    ):
        running[f"{name}.{key}"] = 0.9 * running.get(f"{name}.{key}", start) + 0.1 * now
    tracked = f"{name}.num_batches_tracked"
    running[tracked] = running.get(tracked, torch.tensor(0)) + 1


def outputs_of(w: Weights, views: list[Tensor], c: Mapping[str, Any], running: Weights) -> Tensor:
    """Head outputs of all views, view-major: the backbone runs once a size, the head once."""
    part = {key: _under(w, f"{key}.") for key in ("backbone", "head")}
    sizes = sorted({view.shape[-1] for view in views}, reverse=True)
    features = [
        backbone(part["backbone"], torch.cat([view for view in views if view.shape[-1] == size]), c)[0]
        for size in sizes
    ]
    return head(part["head"], torch.cat(features), c, running)


def _under(w: Weights, prefix: str) -> Weights:
    return {name.removeprefix(prefix): value for name, value in w.items() if name.startswith(prefix)}


def dino_loss(student: Tensor, teacher: Tensor, center: Tensor, temperature: float, batch: int) -> Tensor:
    """The mean cross-entropy over the pairs of a teacher's view and another view of the student's."""
    targets = ((teacher - center) / temperature).softmax(dim=1).split(batch)
    guesses = (student / 0.1).log_softmax(dim=1).split(batch)
    pairs = [(i, j) for i in range(len(targets)) for j in range(len(guesses)) if i != j]
    return sum(((-targets[i] * guesses[j]).sum(dim=1).mean() for i, j in pairs), torch.zeros(())) / len(pairs)


def cosine(start: float, end: float, steps: int, warmup: int = 0) -> np.ndarray:
    """A linear rise from 0, its peak included, then half a cosine that never quite reaches its end."""
    turns = np.arange(steps - warmup)
    fall = end + (start - end) / 2 * (1 + np.cos(np.pi * turns / (steps - warmup)))
    return np.concatenate([np.linspace(0, start, warmup), fall])


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019), as torch and the reference use it."""

    def __init__(self) -> None:
        self.state: dict[str, tuple[int, Tensor, Tensor]] = {}

    def step(self, w: Weights, gradients: Mapping[str, Tensor], lr: float, decay: float) -> None:
        """Update the weights that have a gradient, in place; biases and one-dimensional tensors do not decay."""
        for name, g in gradients.items():
            turn, m, v = self.state.get(name, (0, torch.zeros_like(g), torch.zeros_like(g)))
            turn, m, v = turn + 1, 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            self.state[name] = (turn, m, v)
            if not (name.endswith(".bias") or w[name].ndim == 1):
                w[name] -= lr * decay * w[name]
            w[name] -= lr * (m / (1 - 0.9**turn)) / ((v / (1 - 0.999**turn)).sqrt() + 1e-8)


def golden_training(
    changes: Mapping[str, Any], seed: int = 0, start: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """Train, and give everything that a golden file holds.

    Args:
        changes: what differs from :data:`CONFIG`.
        seed: of weights and views.
        start: a golden file whose weights, views and probes are taken instead.
    """
    c, draw, steps = CONFIG | dict(changes), np.random.default_rng(seed + 1), 0
    steps = c["epochs"] * c["iters"]
    given = dict(start or {})
    out: dict[str, np.ndarray] = {f"config/{key}": np.array(value) for key, value in c.items()}
    init = {key[5:]: value for key, value in given.items() if key.startswith("init/")} or initial_weights(c, seed)
    out |= {f"init/{name}": value for name, value in init.items()}
    out["lr"] = cosine(c["lr"], c["min_lr"], steps, c["warmup"] * c["iters"])
    out["wd"], out["momentum"] = cosine(c["wd"], c["wd_end"], steps), cosine(c["m"], 1.0, steps)
    rising = np.linspace(c["t_warm"], c["t"], c["t_epochs"])[: c["epochs"]]
    out["teacher_temp"] = np.concatenate([rising, np.full(c["epochs"] - len(rising), c["t"])])
    student = {name: torch.from_numpy(value).double() for name, value in init.items()}
    teacher = {name: value.clone() for name, value in student.items()}
    center, optimizer = torch.zeros(1, c["out"], dtype=torch.float64), AdamW()
    trained = [name for name in student if not (c["norm_last"] and name.endswith("weight_g"))]
    losses, centers, norms = [], [], []
    running: dict[str, Weights] = {"student": {}, "teacher": {}}
    for t in range(steps):
        views = _views(c, draw, given, t, out)
        w = {name: value.clone().requires_grad_(name in trained) for name, value in student.items()}
        ours = outputs_of(w, views, c, running["student"])
        theirs = outputs_of(teacher, views[:2], c, running["teacher"])
        loss = dino_loss(ours, theirs, center, float(out["teacher_temp"][t // c["iters"]]), c["batch"])
        gradients = dict(zip(trained, torch.autograd.grad(loss, [w[name] for name in trained]), strict=True))
        if t == 0:
            out |= {"student_out0": _plain(ours), "teacher_out0": _plain(theirs)}
            out |= {f"grad0/{name}": _plain(g) for name, g in gradients.items()}
        losses.append(float(loss.detach()))
        norms.append([float(g.norm()) for g in gradients.values()])
        if c["clip"]:
            gradients = {name: g * min(1.0, c["clip"] / (float(g.norm()) + 1e-6)) for name, g in gradients.items()}
        if t // c["iters"] < c["freeze"]:
            gradients = {name: g for name, g in gradients.items() if "last_layer" not in name}
        optimizer.step(student, gradients, float(out["lr"][t]), float(out["wd"][t]))
        m = float(out["momentum"][t])
        teacher = {name: m * teacher[name] + (1 - m) * student[name] for name in teacher}
        center = 0.9 * center + 0.1 * theirs.mean(dim=0, keepdim=True)
        centers.append(_plain(center[0]))
    out |= {"losses": np.array(losses), "centers": np.stack(centers), "clip_norms": np.array(norms)}
    for net, weights in (("student", student), ("teacher", teacher)):
        out |= {f"final_{net}/{name}": _plain(value) for name, value in (weights | running[net]).items()}
    return out | _probe(_under(student, "backbone."), c, draw, given)


def _views(
    c: Mapping[str, Any], draw: np.random.Generator, given: Mapping[str, np.ndarray], t: int, out: dict[str, np.ndarray]
) -> list[Tensor]:
    for i in range(2 + c["n_local"]):
        key, side = f"step{t}/view{i}", c["img"] if i < 2 else c["loc"]
        out[key] = given[key] if given else draw.normal(0, 1, (c["batch"], 3, side, side)).astype(np.float16)
    return [torch.from_numpy(out[f"step{t}/view{i}"]).double() for i in range(2 + c["n_local"])]


def _probe(
    w: Weights, c: Mapping[str, Any], draw: np.random.Generator, given: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    sides = {"probe/image": (c["img"],) * 2, "probe/rect_image": (c["img"] + 2 * c["patch"], c["img"] - c["patch"])}
    out = {
        key: given[key] if given else draw.normal(0, 1, (2, 3, *shape)).astype(np.float32)
        for key, shape in sides.items()
    }
    feature, layers, attention = backbone(w, torch.from_numpy(out["probe/image"]).double(), c)
    out["probe/cls_feature"], out["probe/last_attention"] = _plain(feature), _plain(attention)
    out["probe/last2_layers"] = _plain(torch.stack(layers[-2:]))
    rect = backbone(w, torch.from_numpy(out["probe/rect_image"]).double(), c)[0]
    return out | {"probe/rect_cls_feature": _plain(rect)}


def _plain(value: Tensor) -> np.ndarray:
    return value.detach().float().numpy()
