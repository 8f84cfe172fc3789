"""Every evaluator on real images, before and after a short training: what its numbers and pictures look like.

    python benchmarks/photographs.py

The two photographs that scikit-learn ships are cut into train images and into small data sets in the layouts of the
public benchmarks (photograph_data.py). One command ``sslkit fit`` trains a small ViT with DINO and judges it at both
ends. Writes docs/benchmarks/photographs.md and .json, and the pictures of docs/evaluators.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import page
import photograph_data
import torch
import yaml

IMAGES = page.PAGES.parent / "images"

#: Pictures that the pages of the evaluators show: where the run has them, and what they are called there.
PICTURES = {
    "attention/image_00000.png": "attention.png",
    "segmentation/view0.png": "segmentation.png",
    "video_segmentation/dahlias.png": "video_segmentation.png",
}


def recipe(folder: Path, epochs: int) -> dict[str, Any]:
    """A small ViT at 64 pixels, and every evaluator that needs no training of its own."""
    at_start = {"at_start": True}
    return {
        "base": "quickstart_vit",
        "data": {"name": "image_folder", "root": str(photograph_data.crops(folder / "crops", 800, 100))},
        "preprocess": {"size": 64, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "channels": 3},
        "augment": {
            "name": "multicrop", "global_size": 64, "local_size": 32, "local_crops": 4, "global_scale": [0.4, 1.0],
            "local_scale": [0.05, 0.4],
        },
        "backbone": {"dim": 128, "depth": 4, "heads": 4, "patch_size": 8},
        "train": {"epochs": epochs, "batch_size": 64},
        "evaluate": {
            # two classes are told apart by their colours alone
            "knn": None, "knn_transformed": None, "linear_cached": None,
            "spectrum": at_start,
            "attention": {"images": 2, "size": 256} | at_start,
            "segmentation": {"root": str(photograph_data.voc(folder / "voc")), "size": 240} | at_start,
            "video_segmentation": {"root": str(photograph_data.davis(folder / "davis")), "size": 240} | at_start,
            "retrieval": {"root": str(photograph_data.revisited(folder / "revisited")), "size": 128} | at_start,
            "copy_detection": {"root": str(photograph_data.copydays(folder / "copydays")), "size": 128} | at_start,
        },
    }  # fmt: skip


def measure(epochs: int, seed: int, pictures: Path) -> dict[str, Any]:
    """Train, judge, keep the pictures of the trained net; the run's summary."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photographs.yaml").write_text(yaml.safe_dump(recipe(folder, epochs)), encoding="utf-8")
        words = ["--recipe", str(folder / "photographs.yaml"), "--out", str(folder / "run"), "--seed", str(seed)]
        subprocess.run([sys.executable, "-m", "sslkit", "fit", *words], check=True)
        for made, kept in PICTURES.items():
            (found,) = (folder / "run/pictures").rglob(f"*teacher/{made}")
            shutil.copy(found, pictures / kept)
        summary: dict[str, Any] = json.loads((folder / "run/summary.json").read_text(encoding="utf-8"))
        return summary


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=page.PAGES, help="folder for the page")
    parser.add_argument("--pictures", type=Path, default=IMAGES, help="folder for the pictures")
    args = parser.parse_args()
    command = shlex.join(["python", "benchmarks/photographs.py", *page.without_out(sys.argv[1:])])
    machine = page.machine(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    summary = measure(args.epochs, args.seed, args.pictures)
    rows = [
        [key, float(summary[f"start/{key}"]), float(value)]
        for key, value in summary.items()
        if f"start/{key}" in summary and isinstance(value, float)
    ]
    lines = [
        "Views of two photographs, so these are no scores of any benchmark: they show that every evaluator runs, and "
        "what training changes. One seed.",
        "",
        *page.table(["", "random weights", "after training"], rows),
        f"Training took {summary['seconds']:.0f} s.",
    ]
    top = page.heading("Every evaluator on two photographs", command, machine)
    page.write("photographs", top + lines, {"command": command, "machine": machine, "summary": summary}, args.out)


if __name__ == "__main__":
    main()
