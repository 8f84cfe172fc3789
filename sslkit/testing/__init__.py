"""For tests of parts and plugins: the engine's own step on given inputs."""

from sslkit.testing.replay import replay

__all__ = ["replay"]
