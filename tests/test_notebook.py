"""A run in a notebook's cell: one display that is updated in place, and lines that stay text."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tiny_run import tiny, write

nbformat = pytest.importorskip("nbformat", reason="notebooks are executed by nbclient")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")


def test_a_run_shows_one_display_that_is_updated(tmp_path: Path) -> None:
    file = write(tmp_path, tiny(watch={"progress": {"display": "auto"}}))
    source = f"import sslkit\nsslkit.fit({str(file)!r}, out='run')"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.create_kernel_manager()
    client.km.kernel_spec.argv[0] = sys.executable
    client.execute()
    outputs = notebook.cells[0].outputs
    bars = [output.data["text/plain"] for output in outputs if output.output_type == "display_data"]
    bars = [text for text in bars if "step 22/22" in text]
    assert len(bars) == 1
    # the evaluations' lines, each in words, stay in it
    assert [line.split(":")[0] for line in bars[0].splitlines() if line.startswith("evaluation")] == [
        "evaluation before training", "evaluation after 2 epochs",
    ]  # fmt: skip
    assert "k-NN top-1 (k = " in bars[0]
    lines = "".join(output.text for output in outputs if output.get("name") == "stdout")
    assert "training tiny.yaml in run: 22 steps on " in lines
    assert "\x1b" not in lines
    assert outputs[-1].data["text/plain"].startswith("RunResult(folder='run'")
