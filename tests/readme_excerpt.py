"""Writes the README's excerpt of the quickstart's recipe: ``python tests/readme_excerpt.py``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]

#: What the excerpt shows of each section, and what stands beside it; None: the whole section.
SHOWN: dict[str, tuple[list[str] | None, str]] = {
    "data": (["name"], ""),
    "augment": (["name", "local_crops", "global_size", "local_size"], ""),
    "backbone": (None, ""),
    "head": (["name", "out_dim", "use_bn"], ""),
    "teacher": (None, "or frozen_epoch, student_copy, null"),
    "loss": (["name", "teacher_temp"], ""),
    "optimizer": (None, ""),
    "train": (["epochs", "batch_size"], ""),
}
_EXCERPT = re.compile(r"(<!-- excerpt: .*? -->\n```yaml\n).*?(```)", re.DOTALL)


def excerpt() -> str:
    """The chosen keys of recipes/quickstart.yaml, one line a section."""
    recipe = yaml.safe_load((ROOT / "recipes" / "quickstart.yaml").read_text(encoding="utf-8"))
    lines = []
    for section, (keys, note) in SHOWN.items():
        values: dict[str, Any] = recipe[section]
        chosen = values if keys is None else {key: values[key] for key in keys if key in values}
        flow = yaml.safe_dump(chosen, default_flow_style=True, sort_keys=False, width=1000).strip()
        lines.append(f"{section + ':':<11}{flow}" + (f"    # {note}" if note else ""))
    return "\n".join(lines) + "\n"


def renewed(page: str) -> str:
    """The page with the excerpt as the recipe has it today."""
    return _EXCERPT.sub(lambda match: match[1] + excerpt() + match[2], page)


if __name__ == "__main__":
    page = ROOT / "README.md"
    page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")
