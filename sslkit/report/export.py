"""``sslkit export``: a trained backbone as a file that other programs load."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sslkit.errors import RunError, UserError, nearest
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
        UserError: if the backbone is not one of timm's, or a package is missing.
        RunError: if what was written does not give the backbone back.
    """
    try:
        load = _WRITERS[to](found, out)
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written: {error.strerror or error}") from error
    by = found.by.preprocess
    about = f"the {found.net} of {found.shown}, {found.backbone.embed_dim} features"
    takes = f"{by.channels} x {by.size} x {by.size}, in 0..1, minus {list(by.mean)}, over {list(by.std)}"
    return Exported(out, load, about, takes)


def _to_torch(found: Judged, out: Path) -> str:
    torch.save(_weights(found), out)
    return f"net.load_state_dict(torch.load({str(out)!r}, weights_only=True))" + _net(found)


def _to_safetensors(found: Judged, out: Path) -> str:
    """The weights with what they need to be used, as text, in the header."""
    header = {
        "format": "pt",
        "preprocess": json.dumps(asdict(found.by.preprocess)),
        "net": found.backbone.source() or "",
    }
    save_file(_weights(found), out, metadata=header)
    # safetensors writes files that nobody else may read
    out.chmod(0o644)
    return f"net.load_state_dict(safetensors.torch.load_file({str(out)!r}))" + _net(found)


def _net(found: Judged) -> str:
    source = found.backbone.source()
    return f", with net = {source}" if source else ""


def _to_timm(found: Judged, out: Path) -> str:
    source = found.backbone.source()
    if source is None or not source.startswith("timm.create_model("):
        raise UserError(
            f"--to timm: the backbone of {found.shown} is not one of timm's; use torch, safetensors or onnx"
        )
    _to_safetensors(found, out)
    call = f"{source[:-1]}, checkpoint_path={str(out)!r})"
    size = found.by.preprocess.size
    images = torch.randn(1, found.by.preprocess.channels, size, size)
    with torch.no_grad():
        difference = float((_called(call)(images) - found.backbone.eval()(images).cls).abs().max())
    if difference > 1e-4:
        raise RunError(f"{out}: timm's network gives other features than the backbone, by {difference:.1e}")
    return call


def _called(call: str) -> nn.Module:
    """The network of a call that sslkit itself has written."""
    import timm

    net: nn.Module = eval(call, {"timm": timm})
    return net.eval()


def _to_onnx(found: Judged, out: Path) -> str:
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
        net, (images,), out, input_names=["images"], output_names=["features"], dynamo=True, external_data=False,
        dynamic_shapes={"images": {0: torch.export.Dim("batch", min=1)}}, verbose=False,
    )  # fmt: skip
    return f"onnxruntime.InferenceSession({str(out)!r}).run(None, {{'images': images}})"


def _weights(found: Judged) -> dict[str, Tensor]:
    return {key: value.detach().clone().contiguous() for key, value in found.backbone.plain().state_dict().items()}


_WRITERS: Mapping[Format, Callable[[Judged, Path], str]] = {
    "timm": _to_timm,
    "torch": _to_torch,
    "safetensors": _to_safetensors,
    "onnx": _to_onnx,
}
