"""What vision transformers are called: by sslkit's recipes, by timm, and from the shapes of their weights."""

from __future__ import annotations

import math
from collections.abc import Mapping

#: Width, depth and heads (DeiT; the reference DINO's vit_tiny, vit_small, vit_base).
ARCHITECTURES = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12), "large": (1024, 24, 16)}

#: timm's names take patches of these sides, at 224 pixels.
_TIMM_PATCHES = {"tiny": (16,), "small": (8, 16, 32), "base": (8, 16, 32), "large": (14, 16, 32)}


def timm_call(shape: tuple[int, int, int], patch: int, size: int, channels: int, mlp_ratio: float) -> str:
    """The call of timm that makes such a network, without classifier.

    Args:
        shape: width, depth, heads.
        patch: side of a patch in pixels.
        size: side in pixels that position embeddings are made for.
        channels: of the images.
        mlp_ratio: of the blocks.
    """
    arch = next((key for key, known in ARCHITECTURES.items() if known == shape and patch in _TIMM_PATCHES[key]), None)
    options = {"num_classes": "0"}
    if arch is None or mlp_ratio != 4.0:
        arch, by = "tiny", dict(zip(("embed_dim", "depth", "num_heads"), map(str, shape), strict=True))
        options |= by | {"mlp_ratio": f"{mlp_ratio:g}"}
    if patch not in _TIMM_PATCHES[arch]:
        options["patch_size"] = str(patch)
    options["img_size"] = str(size)
    if channels != 3:
        options["in_chans"] = str(channels)
    named = patch if patch in _TIMM_PATCHES[arch] else 16
    listed = ", ".join(f"{key}={value}" for key, value in options.items())
    return f"timm.create_model('vit_{arch}_patch{named}_224', {listed})"


def recognised(shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """The flags of the backbone ``vit`` that weights of these names and shapes fit; None if they are of no such ViT."""
    patches, positions = shapes.get("patch_embed.proj.weight", ()), shapes.get("pos_embed", ())
    blocks = {int(key.split(".")[1]) for key in shapes if key.startswith("blocks.") and key.split(".")[1].isdigit()}
    if len(patches) != 4 or len(positions) != 3 or "cls_token" not in shapes or not blocks:
        return None
    width, channels, patch = patches[0], patches[1], patches[2]
    side = math.isqrt(positions[1] - 1)
    if side * side != positions[1] - 1 or "blocks.0.ls1.gamma" in shapes:
        return None
    depth = max(blocks) + 1
    arch = next((key for key, (dim, count, _) in ARCHITECTURES.items() if (dim, count) == (width, depth)), None)
    flags = f"--backbone vit {_named(arch, width, depth)} --backbone.patch_size {patch}"
    hidden = shapes.get("blocks.0.mlp.fc1.weight", (4 * width,))[0]
    flags += f" --backbone.mlp_ratio {hidden / width:g}" if hidden != 4 * width else ""
    flags += f" --preprocess.size {side * patch}" if side * patch != 224 else ""
    flags += f" --preprocess.channels {channels}" if channels != 3 else ""
    return flags if arch and hidden == 4 * width else f"{flags}  # heads cannot be read off weights: 64 wide is a guess"


def _named(arch: str | None, width: int, depth: int) -> str:
    heads = max(width // 64, 1)
    if arch:
        return f"--backbone.arch {arch}"
    return f"--backbone.dim {width} --backbone.depth {depth} --backbone.heads {heads if width % heads == 0 else 1}"
