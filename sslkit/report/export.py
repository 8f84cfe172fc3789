"""``sslkit export``: a trained backbone as a file that other programs load."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save_file
from torch import Tensor

from sslkit.engine.files import replacing
from sslkit.errors import RunError, UserError, blame, nearest
from sslkit.report.how_to_load import how_to_load, made
from sslkit.report.judged import Judged
from sslkit.report.load import FeatureExtractor
from sslkit.report.results import Exported

Format = Literal["timm", "torch", "safetensors", "onnx"]

#: Endings that each format's readers expect.
ENDINGS: Mapping[Format, tuple[str, ...]] = {
    "timm": (".safetensors",),
    "torch": (".pth", ".pt"),
    "safetensors": (".safetensors",),
    "onnx": (".onnx",),
}


def check_out(out: Path, to: Format) -> None:
    """Whether such a file can be written, before anything is loaded.

    Raises:
        UserError: if its ending is another format's, its folder is not there, or it exists already.
    """
    if to not in ENDINGS:
        raise UserError(f"to: there is no format {to!r}; {nearest(to, ENDINGS)}")
    if out.suffix not in ENDINGS[to]:
        raise UserError(f"--out {out}: a file for {to} ends in {' or '.join(ENDINGS[to])}")
    if not out.absolute().parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {out.absolute().parent}")
    if out.exists():
        raise UserError(f"--out {out}: there is such a file already; name another")


def export(found: Judged, to: Format, out: Path) -> Exported:
    """Write the backbone, without head.

    Args:
        found: the backbone.
        to: ``timm``: what ``timm.create_model(..., checkpoint_path=OUT)`` loads, which is tried; ``torch``: a state
            dict of ``torch.save``; ``safetensors``: the same as safetensors; ``onnx``: a graph from normalised images
            ``[B, C, size, size]`` to features ``[B, D]``, for any B.
        out: the file.

    Returns:
        the file, and how it is loaded.

    Raises:
        UserError: if the backbone is not one of timm's, a package is missing, or the file cannot be written.
        RunError: if what was written does not give the backbone back; no file is left then.
    """
    with _one_sentence(out, to), replacing(out) as file:
        load = _WRITERS[to](found, file, out)
    by = found.by.preprocess
    about = f"the {found.net} of {found.shown}, {found.backbone.embed_dim} features"
    takes = f"{by.channels} x {by.size} x {by.size}, in 0..1, minus {list(by.mean)}, over {list(by.std)}"
    return Exported(out, load, about, takes)


@contextmanager
def _one_sentence(out: Path, to: Format) -> Iterator[None]:
    try:
        with blame(f"the export to {to}", f"to write {out}"):
            try:
                yield
            except OSError as error:
                raise UserError(f"--out {out}: cannot be written: {error.strerror or error}") from error
    except RunError as error:
        # errors of torch and timm have many lines
        raise RunError(" ".join(str(error).split())[:600]) from error


def _to_torch(found: Judged, file: Path, out: Path) -> str:
    torch.save(_weights(found), file)
    return how_to_load(found, out, f"torch.load({str(out)!r}, weights_only=True)")


def _to_safetensors(found: Judged, file: Path, out: Path) -> str:
    """The weights with what they need to be used, as text, in the header."""
    header = {
        "format": "pt",
        "preprocess": json.dumps(asdict(found.by.preprocess)),
        "net": found.backbone.source() or "",
    }
    save_file(_weights(found), file, metadata=header)
    # safetensors writes files that nobody else may read
    file.chmod(0o644)
    return how_to_load(found, out, f"safetensors.torch.load_file({str(out)!r})")


def _to_timm(found: Judged, file: Path, out: Path) -> str:
    source = found.backbone.source()
    if source is None or not source.startswith("timm.create_model("):
        others = "use torch, safetensors or onnx"
        obstacle = found.backbone.obstacle()
        reason = f": backbone.{obstacle}; train with that, or {others}" if obstacle else f"; {others}"
        raise UserError(f"--to timm: the backbone of {found.shown} is not one of timm's{reason}")
    _to_safetensors(found, file, out)
    size = found.by.preprocess.size
    images = torch.randn(1, found.by.preprocess.channels, size, size)
    with torch.no_grad():
        features = made(f"{source[:-1]}, checkpoint_path={str(file)!r})").eval()(images)
        difference = float((features - found.backbone.eval()(images).cls).abs().max())
    if difference > 1e-4:
        raise RunError(f"timm's network gives other features than the backbone, by {difference:.1e}")
    return f"{source[:-1]}, checkpoint_path={str(out)!r})"


def _to_onnx(found: Judged, file: Path, out: Path) -> str:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError:
        raise UserError("--to onnx needs the packages onnx and onnxscript; pip install 'sslkit[onnx]'") from None
    by = found.by.preprocess
    net = FeatureExtractor(found.backbone, by).eval().requires_grad_(False)
    # two images: the exporter takes a batch of one for a constant
    images = torch.randn(2, by.channels, by.size, by.size)
    torch.onnx.export(
        net, (images,), file, input_names=["images"], output_names=["features"], dynamo=True, external_data=False,
        dynamic_shapes={"images": {0: torch.export.Dim("batch", min=1)}}, verbose=False,
    )  # fmt: skip
    return f"onnxruntime.InferenceSession({str(out)!r}).run(None, {{'images': images}})"


def _weights(found: Judged) -> dict[str, Tensor]:
    return {key: value.detach().clone().contiguous() for key, value in found.backbone.plain().state_dict().items()}


_WRITERS: Mapping[Format, Callable[[Judged, Path, Path], str]] = {
    "timm": _to_timm,
    "torch": _to_torch,
    "safetensors": _to_safetensors,
    "onnx": _to_onnx,
}
