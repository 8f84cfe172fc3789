"""The vision transformer of DINO and DeiT."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sslkit.errors import UserError
from sslkit.parts import Backbone, Effect, Tokens
from sslkit_vision.conv_stem import conv_stem
from sslkit_vision.vit_names import ARCHITECTURES, recognised, timm_call
from sslkit_vision.vit_positions import fitted, resampled


class ViT(Backbone):
    """The pre-norm vision transformer of DeiT and DINO, over timm's modules and parameter names.

    LayerNorm eps 1e-6, biased qkv, exact GELU, learned [CLS] token and position embeddings, no class head. Weights
    of linear layers, [CLS] token and position embeddings: normal of ``init_std`` cut at +-2; biases 0; convolutions
    keep torch's default (the reference's ``vision_transformer.py``). Position embeddings are resampled to other
    sizes as the reference does it, not as timm does, and any image goes whose sides the patch divides.

    Args:
        channels: of the images.
        image_size: side in pixels that the position embeddings are made for.
        arch: width, depth and heads: ``tiny`` 192/12/3, ``small`` 384/12/6, ``base`` 768/12/12, ``large`` 1024/24/16.
        patch_size: side of a patch in pixels.
        dim: another width; null: that of ``arch``.
        depth: another number of blocks; null: that of ``arch``.
        heads: another number of attention heads; null: that of ``arch``.
        mlp_ratio: width of a block's hidden layer as a multiple of the width.
        drop_path_rate: chance that a block's branch is dropped for an image, in training: rises linearly from 0 in
            the first block to this in the last (Huang et al. 2016).
        init_std: standard deviation of the initial weights; small transformers wake up sooner with 0.1.
        stem: ``patch``: one convolution a patch; ``conv``: 3x3 convolutions of stride 2 with BatchNorm (Xiao et al.
            2021), which learn faster on few images; needs a patch side that is a power of 2.
        recompute: in training, keep what enters each block alone and compute the block once more in the backward pass:
            a third more work and a fraction of the memory; the same numbers.
        resample_positions: when weights are loaded from a file: resample its position embeddings to ``image_size``, as
            the reference does; false: a file for another size is refused.
    """

    capabilities: ClassVar[frozenset[str]] = frozenset({"patches", "attention", "intermediate"})
    resample_option = "resample_positions"

    def __init__(
        self,
        channels: int,
        image_size: int,
        arch: Literal["tiny", "small", "base", "large"] = "small",
        patch_size: int = 16,
        dim: int | None = None,
        depth: int | None = None,
        heads: int | None = None,
        mlp_ratio: float = 4.0,
        drop_path_rate: float = 0.1,
        init_std: float = 0.02,
        stem: Literal["patch", "conv"] = "patch",
        recompute: Annotated[bool, Effect.ROUNDING] = False,
        resample_positions: bool = False,
    ) -> None:
        super().__init__()
        width, blocks, head_count = (
            own if own is not None else known
            for own, known in zip((dim, depth, heads), ARCHITECTURES[arch], strict=True)
        )
        _check(width, blocks, head_count, mlp_ratio, drop_path_rate, init_std)
        _check_patch(patch_size, image_size)
        from timm.models.vision_transformer import VisionTransformer  # here: slower to import than torch itself

        self.embed_dim, self.stride, self.recompute = width, patch_size, recompute
        call = timm_call((width, blocks, head_count), patch_size, image_size, channels, mlp_ratio)
        self._source = call if stem == "patch" else None
        self._resample = resample_positions
        self.net = VisionTransformer(
            img_size=image_size,
            patch_size=patch_size,
            in_chans=channels,
            num_classes=0,
            embed_dim=width,
            depth=blocks,
            num_heads=head_count,
            mlp_ratio=mlp_ratio,
            drop_path_rate=drop_path_rate,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            weight_init="skip",
        )
        if stem == "conv":
            self.net.patch_embed.proj = conv_stem(channels, width, patch_size)
        self._initialise(init_std)

    def forward(self, images: Tensor, patches: bool = False) -> Tokens:
        """The normed [CLS] token ``[B, D]`` and, if asked for, the normed patch tokens ``[B, N, D]``."""
        tokens = self._through(self._embed(images), self.net.blocks[:-1])
        last = self.net.blocks[-1]
        if not patches:
            return Tokens(cls=self.net.norm(_cls_only(last, tokens))[:, 0])
        tokens = self.net.norm(last(tokens))
        return Tokens(cls=tokens[:, 0], patches=tokens[:, 1:])

    def attention(self, images: Tensor) -> Tensor:
        """The last block's softmaxed attention ``[B, heads, 1+N, 1+N]``."""
        block = self.net.blocks[-1]
        normed = block.norm1(self._through(self._embed(images), self.net.blocks[:-1]))
        queries, keys, _ = _heads(block.attn.qkv(normed), 3, block.attn.num_heads)
        return (queries @ keys.transpose(-2, -1) * block.attn.scale).softmax(dim=-1)

    def intermediate(self, images: Tensor, n: int) -> list[Tokens]:
        """Normed tokens of the last ``n`` blocks, first to last.

        Raises:
            UserError: if there are fewer blocks.
        """
        depth = len(self.net.blocks)
        if not 1 <= n <= depth:
            raise UserError(f"the last {n} blocks are asked for: this backbone has {depth}")
        tokens = self._through(self._embed(images), self.net.blocks[: depth - n])
        outputs = []
        for block in self.net.blocks[depth - n :]:
            tokens = block(tokens)
            normed = self.net.norm(tokens)
            outputs.append(Tokens(cls=normed[:, 0], patches=normed[:, 1:]))
        return outputs

    def plain(self) -> nn.Module:
        """timm's VisionTransformer, whose names those of the official DINO files are too."""
        return self.net

    def translated(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Published names are timm's already; position embeddings are resampled if that is asked for."""
        return fitted(state, self.net.pos_embed) if self._resample else state

    def classifier(self) -> tuple[str, ...]:
        """timm's and DeiT's name of it."""
        return ("head",)

    def source(self) -> str | None:
        """timm's call for it; none with a convolutional stem."""
        return self._source

    def obstacle(self) -> str:
        """The convolutional stem, which timm does not have."""
        return "" if self._source else "stem is 'conv', which timm does not have; stem: patch is timm's"

    @classmethod
    def recognised(cls, shapes: Mapping[str, tuple[int, ...]]) -> str | None:
        """Width, depth, patch, size and channels are read off the weights; heads are taken to be 64 wide."""
        return recognised(shapes)

    def _through(self, tokens: Tensor, blocks: Iterable[nn.Module]) -> Tensor:
        again = self.recompute and self.training and torch.is_grad_enabled()
        for block in blocks:
            tokens = checkpoint(block, tokens, use_reentrant=False) if again else block(tokens)
        return tokens

    def _embed(self, images: Tensor) -> Tensor:
        """[CLS] and patch tokens with their position embeddings, ``[B, 1+N, D]``."""
        height, width = images.shape[-2:]
        if height % self.stride or width % self.stride or not height * width:
            raise UserError(
                f"images of {height} x {width} pixels: the patch of {self.stride} pixels must divide both sides"
            )
        tokens = _patch_tokens(self.net.patch_embed.proj, images)
        cls = self.net.cls_token.expand(images.shape[0], -1, -1)  # len() would fix it in an exported graph
        return torch.cat([cls, tokens], dim=1) + self._positions(height, width)

    def _positions(self, height: int, width: int) -> Tensor:
        """Position embeddings ``[1, 1+N, D]`` for this size."""
        return resampled(self.net.pos_embed, height // self.stride, width // self.stride)

    def _initialise(self, std: float) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=std)
                nn.init.zeros_(module.bias)
        nn.init.trunc_normal_(self.net.pos_embed, std=std)
        nn.init.trunc_normal_(self.net.cls_token, std=std)


def _patch_tokens(stem: nn.Module, images: Tensor) -> Tensor:
    """``stem(images)`` as tokens ``[B, N, D]``; under autocast, of the usual stem, by one product of matrices."""
    # in float32 the convolution's own rounding is kept: it is the reference's
    if not isinstance(stem, nn.Conv2d) or not torch.is_autocast_enabled(images.device.type):
        tokens: Tensor = stem(images).flatten(2).transpose(1, 2)
        return tokens
    side = stem.stride[0]
    # its windows do not overlap; on an H100 cuDNN's convolution of them took seven times as long in bf16
    patches = images.unflatten(3, (-1, side)).unflatten(2, (-1, side)).permute(0, 2, 4, 1, 3, 5)
    return F.linear(patches.flatten(3).flatten(1, 2), stem.weight.flatten(1), stem.bias)


def _cls_only(block: nn.Module, tokens: Tensor) -> Tensor:
    """What ``block(tokens)[:, :1]`` is, ``[B, 1, D]``: no query, projection or MLP of a patch is computed."""
    attention, normed, dim = block.attn, block.norm1(tokens), tokens.shape[-1]
    weight, bias = attention.qkv.weight, attention.qkv.bias
    (queries,) = _heads(F.linear(normed[:, :1], weight[:dim], bias[:dim]), 1, attention.num_heads)
    keys, values = _heads(F.linear(normed, weight[dim:], bias[dim:]), 2, attention.num_heads)
    mixed = F.scaled_dot_product_attention(queries, keys, values).transpose(1, 2).flatten(2)
    cls = tokens[:, :1] + block.drop_path1(attention.proj(mixed))
    return cls + block.drop_path2(block.mlp(block.norm2(cls)))


def _heads(packed: Tensor, count: int, heads: int) -> tuple[Tensor, ...]:
    """``[B, N, count * D]`` as ``count`` tensors ``[B, heads, N, D / heads]``."""
    return packed.unflatten(-1, (count, heads, -1)).permute(2, 0, 3, 1, 4).unbind()


def _check_patch(patch: int, size: int) -> None:
    if patch < 1 or size % patch:
        raise UserError(f"patch_size is {patch}: it must divide the image size of {size} pixels (preprocess.size)")


def _check(dim: int, depth: int, heads: int, mlp_ratio: float, drop_path_rate: float, init_std: float) -> None:
    for key, value in (("dim", dim), ("depth", depth), ("heads", heads)):
        if value < 1:
            raise UserError(f"{key} is {value}: it must be 1 or more")
    if dim % heads:
        raise UserError(f"heads is {heads}: it must divide the width dim, {dim}")
    if not (math.isfinite(mlp_ratio) and mlp_ratio * dim >= 1):
        raise UserError(f"mlp_ratio is {mlp_ratio}: it must be above 0, such as 4.0")
    if not 0 <= drop_path_rate < 1:
        raise UserError(f"drop_path_rate is {drop_path_rate}: it must be at least 0 and below 1")
    if not (math.isfinite(init_std) and init_std > 0):
        raise UserError(f"init_std is {init_std}: it must be above 0, such as 0.02")
