"""For tests of parts and plugins: the engine's own step on given inputs, and how far numbers agree."""

from sslkit.testing.agreement import Agreement, agreement
from sslkit.testing.backbones import backbone_with
from sslkit.testing.replay import replay

__all__ = ["Agreement", "agreement", "backbone_with", "replay"]
