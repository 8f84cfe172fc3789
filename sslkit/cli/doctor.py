"""``sslkit plugins doctor``: imports every part of every plugin, and tells what is wrong."""

from __future__ import annotations

from collections import Counter

import sslkit
from sslkit.engine.part_faults import clashing, undocumented, unknown_hooks
from sslkit.errors import UserError
from sslkit.parts.kinds import KINDS
from sslkit.plugins.registry import Registration, Registry


def doctor(registry: Registry) -> tuple[list[str], list[str]]:
    """Lines about what there is, and a sentence for each thing that is wrong."""
    owners = dict.fromkeys((part.plugin, part.distribution) for part in registry.parts)
    counts = Counter(part.plugin for part in registry.parts)
    lines = [f"sslkit {sslkit.__version__}"]
    lines += [f"  {plugin:20} {distribution:20} {counts[plugin]} parts" for plugin, distribution in owners]
    lines += [f"  {plugin:20} switched off by {how}" for plugin, how in registry.off.items()]
    problems = registry.complaints()
    problems += [
        f"the {part.kind} {part.name!r} of {part.owner}: {fault}" for part in registry.parts for fault in faults(part)
    ]
    return lines, problems + _clashes(registry)


def faults(part: Registration) -> list[str]:
    """What is wrong with a part; importing it may print, or take its time."""
    try:
        target = part.load()
        found = [fault(part.kind, target) for fault in (undocumented, clashing, unknown_hooks)]
    except UserError as error:
        return [str(error)]
    return [fault for fault in found if fault]


def _clashes(registry: Registry) -> list[str]:
    told = []
    for kind in KINDS:
        for name in registry.names(kind):
            parts = [part for part in registry.parts if (part.kind, part.name) == (kind, name)]
            if len(parts) > 1:
                owners = " and ".join(part.owner for part in parts)
                told.append(
                    f"two plugins bring a {kind} {name!r}: {owners}; recipes must write {parts[0].plugin}:{name}"
                )
    return told
