"""A part of every kind; this module imports no torch."""

import sslkit


@sslkit.hookimpl
def sslkit_register(registry):
    """Name the parts."""
    registry.dataset("stripes", "sslkit_stranger.images:Stripes")
    registry.augmenter("flips", "sslkit_stranger.images:Flips")
    registry.backbone("pooled", "sslkit_stranger.nets:Pooled")
    registry.head("affine", "sslkit_stranger.nets:Affine")
    registry.loss("centred", "sslkit_stranger.training:Centred")
    registry.teacher("average", "sslkit_stranger.training:Average")
    registry.optimizer("descent", "sslkit_stranger.training:Descent")
    registry.schedule("fading", "sslkit_stranger.training:Fading")
    registry.clip("value", "sslkit_stranger.training:Shorten")
    registry.evaluator("distance", "sslkit_stranger.judging:Distance")
    registry.watcher("diary", "sslkit_stranger.judging:Diary")
