"""The contract of a backbone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from sslkit.errors import RunError


@dataclass(frozen=True)
class Tokens:
    """What a backbone makes of a batch of images.

    Attributes:
        cls: ``[B, D]``, the pooled feature: the normed [CLS] token, or the average of a convnet.
        patches: ``[B, N, D]``, the normed patch tokens in row-major order; None unless asked for.
    """

    cls: Tensor
    patches: Tensor | None = None


class Backbone(nn.Module, ABC):
    """Images in, features out.

    Context at build, by parameter name: ``channels`` (of the images) and ``image_size`` (the side in
    pixels that position embeddings are made for). All other parameters of ``__init__`` are the
    options that a recipe may set.

    Attributes:
        embed_dim: D, the width of the pooled feature.
        stride: pixels that H and W must be multiples of (a ViT's patch side; 1 if any size goes).
        capabilities: which of the optional methods work: ``"patches"``, ``"attention"``,
            ``"intermediate"``. Declared, never probed.
        resample_option: the name of an option that, set to true, lets :meth:`translated` resample position embeddings
            of another size; empty: there is none.
    """

    embed_dim: int
    stride: int = 1
    capabilities: ClassVar[frozenset[str]] = frozenset()
    resample_option: ClassVar[str] = ""

    @abstractmethod
    def forward(self, images: Tensor, patches: bool = False) -> Tokens:
        """Features of images ``[B, C, H, W]`` of any H, W that ``stride`` divides.

        Args:
            images: ``[B, C, H, W]``, normalised.
            patches: whether the patch tokens are wanted too (needs the capability ``patches``).
        """

    def attention(self, images: Tensor) -> Tensor:
        """The last block's softmaxed attention ``[B, heads, P+N, P+N]`` (P prefix tokens, N patches)."""
        raise NotImplementedError(f"{type(self).__name__} does not declare the capability 'attention'")

    def intermediate(self, images: Tensor, n: int) -> list[Tokens]:
        """Normed tokens of the last ``n`` blocks, first to last, with patch tokens."""
        raise NotImplementedError(f"{type(self).__name__} does not declare the capability 'intermediate'")

    def plain(self) -> nn.Module:
        """The module whose parameters are called as in published files (timm's, torchvision's).

        ``sslkit export`` writes it, and files of weights are loaded into it. By default the part itself.
        """
        return self

    def translated(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Published weights under the names that :meth:`plain` has for them; by default as they are."""
        return state

    def classifier(self) -> tuple[str, ...]:
        """Modules that published files hold and :meth:`plain` does not, as ``fc``: dropped when weights are loaded."""
        return ()

    def source(self) -> str | None:
        """Python that makes :meth:`plain` without sslkit, as ``timm.create_model(...)``; None: unknown.

        An expression; further statements that change ``net``, the expression's value, may follow after ``;``.
        """
        return None

    def obstacle(self) -> str:
        """Which option keeps :meth:`source` unknown, and the value that would make it known; empty: no option does."""
        return ""

    @classmethod
    def recognised(cls, shapes: Mapping[str, tuple[int, ...]]) -> str | None:
        """The flags that make a backbone which weights of these published names and shapes fit; None if none does.

        They are shell words, which are tried before anybody sees them. What cannot be read off weights is a remark
        after ``#``, as in ``--backbone vit --backbone.heads 2  # heads: a guess``.
        """
        return None


def whole_patches(images: Tensor, stride: int) -> Tensor:
    """Images without what the stride leaves over at the right and at the bottom, as a patch convolution would.

    Args:
        images: ``[..., H, W]``.
        stride: side of a patch in pixels.

    Raises:
        RunError: if they are smaller than a patch.
    """
    height, width = (side // stride * stride for side in images.shape[-2:])
    if not height * width:
        shape = " x ".join(map(str, images.shape[-2:]))
        raise RunError(f"an image of {shape} pixels is smaller than the backbone's patch of {stride}")
    return images[..., :height, :width]
