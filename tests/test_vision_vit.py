"""The vision transformer against the reference's own numbers."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from sslkit.errors import UserError
from sslkit_vision.vit import ViT

GOLDEN = Path(__file__).parent / "data" / "dino_a.npz"


@pytest.fixture(scope="module")
def golden():
    return np.load(GOLDEN)


@pytest.fixture(scope="module")
def trained(golden):
    """The reference's final student, in eval mode."""
    sizes = {key: golden[f"config/{key}"].item() for key in ("dim", "depth", "heads")}
    vit = ViT(3, golden["config/img"].item(), patch_size=golden["config/patch"].item(), **sizes)
    prefix = "final_student/backbone."
    weights = {
        name.removeprefix(prefix): torch.tensor(golden[name]) for name in golden.files if name.startswith(prefix)
    }
    vit.net.load_state_dict(weights)
    return vit.eval()


@pytest.fixture
def small():
    torch.manual_seed(0)
    return ViT(3, 16, patch_size=4, dim=24, depth=3, heads=2, init_std=0.2)


def assert_golden(found, wanted):
    np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def test_features_equal_the_reference(trained, golden):
    image = torch.tensor(golden["probe/image"])
    assert_golden(trained(image).cls, golden["probe/cls_feature"])
    assert_golden(trained(image, patches=True).cls, golden["probe/cls_feature"])


def test_features_of_a_non_square_image_equal_the_reference(trained, golden):
    assert_golden(trained(torch.tensor(golden["probe/rect_image"])).cls, golden["probe/rect_cls_feature"])


def test_attention_equals_the_reference(trained, golden):
    attention = trained.attention(torch.tensor(golden["probe/image"]))
    assert_golden(attention, golden["probe/last_attention"])
    torch.testing.assert_close(attention.sum(-1), torch.ones(attention.shape[:-1]))


def test_last_layers_equal_the_reference(trained, golden):
    layers = trained.intermediate(torch.tensor(golden["probe/image"]), 2)
    for tokens, wanted in zip(layers, golden["probe/last2_layers"], strict=True):
        assert_golden(torch.cat([tokens.cls[:, None], tokens.patches], dim=1), wanted)


def test_the_short_cut_for_cls_has_the_same_gradients(small):
    images = torch.randn(3, 3, 16, 16)
    gradients = []
    for patches in (False, True):
        torch.manual_seed(1)  # the same drop path
        small.zero_grad()
        small.train()(images, patches=patches).cls.square().sum().backward()
        gradients.append({name: weight.grad.clone() for name, weight in small.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-4, atol=1e-5, msg=name)


def test_patches_are_row_major_and_follow_their_pixels(small):
    small.eval()
    images = torch.zeros(1, 3, 8, 16)
    changed = images.clone()
    changed[..., 4:8, 8:12] = 5.0
    before = small._embed(images)[0, 1:]
    after = small._embed(changed)[0, 1:]
    assert (before - after).abs().sum(-1).nonzero().flatten().tolist() == [1 * 4 + 2]
    assert small(images, patches=True).patches.shape == (1, 8, 24)


def test_initial_weights_follow_the_reference():
    vit = ViT(3, 32, patch_size=4, dim=96, depth=2, heads=3, init_std=0.05)
    for name, weight in vit.net.named_parameters():
        if name.endswith("bias") and "patch_embed" not in name:
            assert not weight.any(), name
        elif "norm" in name:
            assert (weight == 1).all(), name
        elif "patch_embed" in name:
            assert weight.abs().max() <= 1 / (3 * 4 * 4) ** 0.5, name
        elif weight.numel() > 1000:
            assert weight.std().item() == pytest.approx(0.05, rel=0.05), name
    assert vit.net.cls_token.std().item() == pytest.approx(0.05, rel=0.3)


def test_drop_path_rises_over_the_blocks_and_rests_in_eval(small):
    images = torch.randn(4, 3, 16, 16)
    rates = [getattr(block.drop_path1, "drop_prob", 0.0) for block in small.net.blocks]
    assert rates == pytest.approx([0.0, 0.05, 0.1])
    small.eval()
    assert torch.equal(small(images).cls, small(images).cls)


@pytest.mark.parametrize(("arch", "dim", "depth", "heads"), [("tiny", 192, 12, 3), ("small", 384, 12, 6)])
def test_named_architectures(arch, dim, depth, heads):
    vit = ViT(3, 32, arch=arch)
    assert (vit.embed_dim, len(vit.net.blocks), vit.net.blocks[0].attn.num_heads) == (dim, depth, heads)
    assert vit.stride == 16


@pytest.mark.parametrize("stem", ["patch", "conv"])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_any_size_batch_copy_and_bf16(stem, mode):
    vit = ViT(1, 16, patch_size=4, dim=32, depth=2, heads=2, stem=stem).train(mode == "train")
    for batch, height, width in [(1, 16, 16), (2, 8, 8), (1, 24, 12), (1, 4, 4)]:
        if mode == "train" and stem == "conv" and batch * height * width == 16:
            continue  # one value a channel: BatchNorm has nothing to normalise
        with torch.autocast("cpu", torch.bfloat16):
            tokens = copy.deepcopy(vit)(torch.randn(batch, 1, height, width), patches=True)
        assert tokens.cls.shape == (batch, 32)
        assert tokens.patches.shape == (batch, height * width // 16, 32)
        assert tokens.cls.isfinite().all()


def test_sizes_that_the_patch_does_not_divide_are_refused(small):
    with pytest.raises(UserError, match="patch_size is 5"):
        ViT(3, 16, patch_size=5)
    with pytest.raises(UserError, match="18 x 16"):
        small(torch.zeros(1, 3, 18, 16))


@pytest.mark.parametrize("options", [
    {"dim": 25, "heads": 2}, {"depth": 0}, {"heads": 0}, {"patch_size": 0}, {"drop_path_rate": 1.0}, {"init_std": 0.0},
    {"mlp_ratio": -1.0}, {"patch_size": 1, "stem": "conv"},
])  # fmt: skip
def test_senseless_options_are_refused(options):
    with pytest.raises(UserError):
        ViT(3, 16, **{"patch_size": 4, "dim": 24, "depth": 1, "heads": 2, **options})


def test_more_blocks_than_there_are_is_refused(small):
    with pytest.raises(UserError, match="has 3"):
        small.intermediate(torch.zeros(1, 3, 16, 16), 4)


def test_recomputed_blocks_give_the_same_gradients_and_keep_less():
    kept, gradients = [], []
    for recompute in (False, True):
        torch.manual_seed(0)
        vit = ViT(3, 16, patch_size=4, dim=24, depth=6, heads=2, drop_path_rate=0.3, recompute=recompute).train()
        held = []

        def pack(tensor, held=held):
            held.append(tensor.numel())
            return tensor

        torch.manual_seed(1)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = vit(torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(2))).cls.square().sum()
        loss.backward()
        kept.append(sum(held))
        gradients.append([parameter.grad for parameter in vit.parameters() if parameter.grad is not None])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))
    assert kept[1] < 0.4 * kept[0]


def test_the_large_one_is_timm_s():
    assert ViT(3, 32, arch="large", depth=1).source().startswith("timm.create_model('vit_tiny_patch16_224'")
    assert recognised_large() == "--backbone vit --backbone.arch large --backbone.patch_size 16 --preprocess.size 32"


def recognised_large():
    shapes = {"patch_embed.proj.weight": (1024, 3, 16, 16), "pos_embed": (1, 5, 1024), "cls_token": (1, 1, 1024)}
    return ViT.recognised(shapes | {f"blocks.{block}.norm1.weight": (1024,) for block in range(24)})
