"""For tests of parts and plugins: the conformance kit, the engine's own step on given inputs, how far numbers agree."""

from sslkit.testing.agreement import Agreement, agreement
from sslkit.testing.backbones import backbone_with
from sslkit.testing.conformance import (
    Check,
    check_augmenter,
    check_backbone,
    check_clip,
    check_dataset,
    check_evaluator,
    check_head,
    check_loss,
    check_optimizer,
    check_plugin,
    check_schedule,
    check_teacher,
    check_watcher,
    checks_of,
    checks_of_plugin,
    plugin_checks,
)
from sslkit.testing.replay import replay
from sslkit.testing.sheet import Sheet

__all__ = [
    "Agreement", "Check", "Sheet", "agreement", "backbone_with", "check_augmenter", "check_backbone", "check_clip",
    "check_dataset", "check_evaluator", "check_head", "check_loss", "check_optimizer", "check_plugin",
    "check_schedule", "check_teacher", "check_watcher", "checks_of", "checks_of_plugin", "plugin_checks", "replay",
]  # fmt: skip
