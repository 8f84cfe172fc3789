"""One DINO step in plain PyTorch: the yardstick of benchmarks/step.py, sharing no line with sslkit or its plugins.

The same maths and the same order as the reference (facebookresearch/dino: main_dino.py, train_one_epoch and DINOLoss;
utils.py, clip_gradients and MultiCropWrapper), written the obvious way: a log-softmax for every pair of views, a loop
over tensors to clip, torch's default AdamW, a loop over tensors for the EMA. Transformer blocks are timm's.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import AbstractContextManager

import torch
import torch.nn.functional as F
from timm.layers import DropPath
from timm.models import create_model
from torch import Tensor, nn


class Backbone(nn.Module):
    """timm's ViT, [CLS] after the final norm; position embeddings resampled as the reference does."""

    def __init__(self, arch: str, patch: int, size: int, drop_path: float) -> None:
        super().__init__()
        self.vit = create_model(
            f"vit_{arch}_patch{patch}_224",
            img_size=size,
            patch_size=patch,
            num_classes=0,
            drop_path_rate=drop_path,
            dynamic_img_size=True,
        )

    def positions(self, height: int, width: int) -> Tensor:
        """Position embeddings ``[1, 1 + h * w, D]`` for a grid of patches."""
        embedding = self.vit.pos_embed
        side = int((embedding.shape[1] - 1) ** 0.5)
        if (height, width) == (side, side):
            return embedding
        grid = embedding[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
        scale = ((height + 0.1) / side, (width + 0.1) / side)
        grid = F.interpolate(grid, scale_factor=scale, mode="bicubic")
        return torch.cat([embedding[:, :1], grid.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)

    def forward(self, images: Tensor) -> Tensor:
        """Features ``[B, D]`` of images ``[B, C, H, W]``."""
        patches = self.vit.patch_embed(images)  # [B, h, w, D]
        count, height, width, _ = patches.shape
        tokens = torch.cat([self.vit.cls_token.expand(count, -1, -1), patches.flatten(1, 2)], dim=1)
        tokens = tokens + self.positions(height, width)
        for block in self.vit.blocks:
            tokens = block(tokens)
        return self.vit.norm(tokens)[:, 0]


class Head(nn.Module):
    """The 3-layer head with a weight-normed last layer whose norms are fixed at 1 (vision_transformer.DINOHead)."""

    def __init__(self, in_dim: int, out_dim: int, hidden: int = 2048, bottleneck: int = 256) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(in_dim, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, bottleneck)
        )
        self.weight_v = nn.Parameter(torch.empty(out_dim, bottleneck))
        nn.init.kaiming_uniform_(self.weight_v, a=5**0.5)
        for layer in self.mlp:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Projections ``[B, K]`` of features ``[B, D]``."""
        return F.linear(F.normalize(self.mlp(features), dim=-1), F.normalize(self.weight_v, dim=-1))


class Net(nn.Module):
    """Backbone and head; the backbone runs once a resolution, the head once on all views."""

    def __init__(self, backbone: Backbone, head: Head) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, groups: list[Tensor]) -> Tensor:
        """Projections ``[V * B, K]``, view-major, of groups ``[V, B, C, H, W]`` of equal size."""
        return self.head(torch.cat([self.backbone(group.flatten(0, 1)) for group in groups]))


class PlainDino:
    """Student, teacher, center and optimizer, and the step that moves them."""

    def __init__(
        self,
        student: Net,
        teacher: Net,
        *,
        lr: float,
        weight_decay: float,
        momentum: float,
        clip: float,
        autocast: AbstractContextManager[None],
    ) -> None:
        self.student, self.teacher = student, teacher
        self.teacher.requires_grad_(False).eval()
        named = [(name, p) for name, p in student.named_parameters() if p.requires_grad]
        plain = [p for name, p in named if name.endswith(".bias") or p.ndim == 1]
        decayed = [p for name, p in named if not (name.endswith(".bias") or p.ndim == 1)]
        groups = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=lr, weight_decay=weight_decay)
        device = student.head.weight_v.device
        self.center = torch.zeros(1, student.head.weight_v.shape[0], device=device)
        self.momentum, self.clip, self.autocast = momentum, clip, autocast
        self.mean = torch.tensor([0.485, 0.456, 0.406], device=device).view(3, 1, 1)
        self.std = torch.tensor([0.229, 0.224, 0.225], device=device).view(3, 1, 1)

    def loss(self, student: Tensor, teacher: Tensor, views: int, teacher_temp: float = 0.04) -> Tensor:
        """Mean cross-entropy of all pairs of a teacher's view and another view of the student's."""
        targets = ((teacher.float() - self.center) / teacher_temp).softmax(dim=-1).chunk(2)
        outputs = (student.float() / 0.1).chunk(views)
        pairs = [
            torch.sum(-target * F.log_softmax(output, dim=-1), dim=-1).mean()
            for i, target in enumerate(targets)
            for v, output in enumerate(outputs)
            if i != v
        ]
        return torch.stack(pairs).sum() / len(pairs)

    def step(self, pixels: Mapping[int, Tensor]) -> float:
        """One step on uint8 views ``[V, B, C, size, size]``, the two global ones first; gives the loss."""
        groups = [(group.to(self.mean.device).float() / 255 - self.mean) / self.std for group in pixels.values()]
        views = sum(group.shape[0] for group in groups)
        with self.autocast:
            with torch.no_grad():
                teacher = self.teacher(groups[:1])
            student = self.student(groups)
        loss = self.loss(student, teacher, views)
        if not torch.isfinite(loss):
            raise ArithmeticError("the loss is not finite")
        self.optimizer.zero_grad()
        loss.backward()
        for parameter in self.student.parameters():
            if parameter.grad is not None:
                factor = self.clip / (parameter.grad.norm() + 1e-6)
                if factor < 1:
                    parameter.grad.mul_(factor)
        self.optimizer.step()
        with torch.no_grad():
            for mine, its in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
                mine.mul_(self.momentum).add_(its, alpha=1 - self.momentum)
            self.center = 0.9 * self.center + 0.1 * teacher.float().mean(dim=0, keepdim=True)
        return loss.item()


def plain_dino(
    student: Net,
    *,
    lr: float,
    weight_decay: float,
    momentum: float,
    clip: float,
    autocast: AbstractContextManager[None],
) -> PlainDino:
    """A student and its teacher with equal weights, the teacher without drop path."""
    teacher = copy.deepcopy(student)
    for module in teacher.modules():
        if isinstance(module, DropPath):
            module.drop_prob = 0.0
    return PlainDino(
        student, teacher, lr=lr, weight_decay=weight_decay, momentum=momentum, clip=clip, autocast=autocast
    )
