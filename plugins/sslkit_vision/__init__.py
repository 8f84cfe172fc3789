"""The built-in parts that methods share: data sets, backbones, the MLP head, optimizers, schedules, clips, watchers.

An entry-point module: it imports no torch, and names parts that are imported when a recipe asks for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sslkit

if TYPE_CHECKING:
    from sslkit.plugins.registry import Registrar


@sslkit.hookimpl
def sslkit_register(registry: Registrar) -> None:
    """Name the parts."""
    registry.dataset("image_folder", "sslkit_vision.image_folder:ImageFolder")
    registry.dataset("imagenet", "sslkit_vision.imagenet:ImageNet")
    registry.dataset("digits", "sslkit_vision.digits:Digits")
    registry.dataset("fashion_mnist", "sslkit_vision.fashion_mnist:FashionMNIST")
    registry.dataset("clipart", "sslkit_vision.clipart:Clipart")
    registry.dataset("cifar10", "sslkit_vision.cifar:Cifar10")
    registry.dataset("cifar100", "sslkit_vision.cifar:Cifar100")
    registry.dataset("synthetic", "sslkit_vision.synthetic:Synthetic")
    registry.augmenter("multicrop", "sslkit_vision.multicrop:MultiCrop")
    registry.backbone("vit", "sslkit_vision.vit:ViT")
    registry.backbone("timm", "sslkit_vision.timm_backbone:TimmBackbone")
    registry.backbone("torchvision", "sslkit_vision.torchvision_backbone:TorchvisionBackbone")
    registry.backbone("small_convnet", "sslkit_vision.small_convnet:SmallConvNet")
    registry.head("mlp", "sslkit_vision.mlp_head:MLPHead")
    registry.optimizer("adamw", "sslkit_vision.optimizers:AdamW")
    registry.optimizer("sgd", "sslkit_vision.optimizers:SGD")
    registry.optimizer("lars", "sslkit_vision.optimizers:LARS")
    registry.schedule("constant", "sslkit_vision.schedules:Constant")
    registry.schedule("cosine", "sslkit_vision.schedules:Cosine")
    registry.schedule("linear", "sslkit_vision.schedules:Linear")
    registry.clip("global_norm", "sslkit_vision.clips:GlobalNorm")
    registry.clip("per_tensor", "sslkit_vision.clips:PerTensor")
    registry.watcher("progress", "sslkit_vision.progress:ProgressDisplay")
    registry.watcher("csv", "sslkit_vision.csv_log:CsvLog")
    registry.watcher("tensorboard", "sslkit_vision.tensorboard_log:TensorboardLog")
    registry.watcher("collapse", "sslkit_vision.collapse:CollapseMonitor")
