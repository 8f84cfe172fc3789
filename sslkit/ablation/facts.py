"""On which images and machines the runs of an ablation were made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sslkit.ablation.layout import Layout
from sslkit.ablation.plan import Member


def data_of(resolved: Mapping[str, Any]) -> str:
    """The data sets of a resolved recipe, such as ``image_folder (photos)``."""
    trained, judged = resolved["data"], resolved.get("eval_data")
    return _named(trained) + (f", evaluated on {_named(judged)}" if judged else "")


def _named(data: Mapping[str, Any]) -> str:
    return f"{data['name']} ({data['root']})" if data.get("root") else str(data["name"])


def machines_of(members: Sequence[Member], layout: Layout) -> list[str]:
    """The processors or GPUs of the runs that have begun, most runs first; counted where there are several."""
    found = (layout.environment(name) for name in dict.fromkeys(member.folder for member in members))
    counts = Counter(_machine(environment) for environment in found if environment)
    if len(counts) < 2:
        return list(counts)
    return [f"{machine} ({count} runs)" for machine, count in counts.most_common()]


def _machine(environment: Mapping[str, Any]) -> str:
    cores = environment.get("cores")
    torch = environment.get("versions", {}).get("torch", "unknown")
    return f"{environment.get('device') or 'unknown processor'}, {cores} cores, torch {torch}"
