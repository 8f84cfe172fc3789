"""What a BatchNorm sees: all views at once, or one view after the other."""

from __future__ import annotations

import torch

from sslkit.engine.build import _predict
from sslkit.engine.network import Network
from sslkit.parts import Views, ViewSpec
from sslkit_vision.mlp_head import MLPHead
from sslkit_vision.small_convnet import SmallConvNet

SPECS = (ViewSpec("a", 8), ViewSpec("b", 8))


def outputs(batching: str) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], Views, Network]:
    torch.manual_seed(0)
    net = Network(SmallConvNet(1, 8, (4, 6)), MLPHead(6, 5, 3), MLPHead(3, 5, 3), batching)
    images = torch.randn(2, 3, 1, 8, 8) * torch.tensor([1.0, 3.0]).view(2, 1, 1, 1, 1)
    views = Views(SPECS, {8: images}, torch.arange(3), None)
    found = net(views, SPECS)
    return dict(found.features), dict(found.predictions), views, net


def test_all_views_share_their_statistics() -> None:
    features, predictions, views, net = outputs("all")
    rows = net.backbone(views.images[8].flatten(0, 1)).cls
    torch.testing.assert_close(torch.cat(list(features.values())), rows)
    torch.testing.assert_close(torch.cat(list(predictions.values())), net.predictor(net.head(rows)))


def test_every_view_has_its_own() -> None:
    features, predictions, views, net = outputs("view")
    for view in "ab":
        torch.testing.assert_close(features[view], net.backbone(views.of(view)).cls)
        torch.testing.assert_close(predictions[view], net.predictor(net.head(net.backbone(views.of(view)).cls)))
    together = outputs("all")[0]
    assert not torch.allclose(features["a"], together["a"])


def test_what_a_loss_asks_of_the_predictor_moves_no_statistics() -> None:
    net = outputs("all")[3].train()
    before = {name: buffer.clone() for name, buffer in net.predictor.named_buffers()}
    predicted = _predict(net.predictor, torch.randn(4, 3, requires_grad=True))
    assert not predicted.requires_grad
    assert all(torch.equal(buffer, before[name]) for name, buffer in net.predictor.named_buffers())
    assert all(module.training for module in net.predictor.modules())
