"""What every page of figures says: the command, the machine, the versions; and how tables are written."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from sslkit.engine.environment import environment

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "benchmarks"


def machine(device: torch.device) -> dict[str, Any]:
    """Processor, cores, threads and versions; nothing that names the machine itself."""
    found = environment(device)
    return {
        "device": found["device"],
        "system": f"{platform.system()} {platform.machine()}",
        "cores": found["cores"],
        "threads": found["threads"],
        "load before": round(os.getloadavg()[0], 2),
        "git": found["git"],
        "versions": found["versions"],
    }


def heading(title: str, command: str, found: dict[str, Any]) -> list[str]:
    """The top of a page: title, command, and the machine that :func:`machine` found before anything ran."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return [
        f"# {title}",
        "",
        f"    {command}",
        "",
        f"{found['device']}, {found['system']}, {found['cores']} cores, {found['threads']} threads, "
        f"load before {found['load before']}; commit {found['git']}; {versions}.",
        "",
    ]


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """A markdown table; floats with three decimals."""
    cells = [[f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *cells]
    return [f"| {' | '.join(line)} |" for line in lines] + [""]


def write(name: str, lines: Sequence[str], data: dict[str, Any], folder: Path = PAGES) -> None:
    """Print a page, and write it beside its raw figures as ``NAME.md`` and ``NAME.json``."""
    text = "\n".join(lines).rstrip() + "\n"
    print(text)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
    (folder / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def without_out(words: Sequence[str]) -> list[str]:
    """A command line without ``--out FOLDER``: a page tells no path of the machine that it was made on."""
    kept: list[str] = []
    skip = False
    for word in words:
        if not skip and word != "--out" and not word.startswith("--out="):
            kept.append(word)
        skip = word == "--out"
    return kept
