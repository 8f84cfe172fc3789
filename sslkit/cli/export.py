"""``sslkit export``."""

from __future__ import annotations

from collections.abc import Sequence

from sslkit.cli.trained import add_trained, named_trained
from sslkit.cli.words import Words
from sslkit.parts.paths import home_path
from sslkit.recipe.overrides import split_overrides
from sslkit.report.trained import EXPORT

_EPILOG = """overrides: with --weights, backbone and preprocess, as for `sslkit fit`

examples:
  sslkit export runs/quickstart_vit --to timm --out vit.safetensors
  sslkit export runs/quickstart --to onnx --out convnet.onnx
"""


def run(argv: Sequence[str]) -> int:
    """Write a trained backbone to a file."""
    words = Words("export", "Write a trained backbone (the teacher's by default) for other programs.", _EPILOG)
    words.usage = "sslkit export (RUN | --weights FILE --backbone ...) --to FORMAT --out FILE [flags]"
    words.add_argument("run", nargs="?", type=home_path, metavar="RUN", help="a run folder, or one of its checkpoints")
    formats = ("timm", "torch", "safetensors", "onnx")
    words.add_argument("--to", choices=formats, required=True, help="the format: %(choices)s", metavar="FORMAT")
    words.add_argument("--out", type=home_path, required=True, metavar="FILE", help="the file to write")
    add_trained(words)
    rest, overrides = split_overrides(argv, words.flags, EXPORT)
    args = words.parse(rest)
    trained = named_trained(args, "export")
    trained.check(overrides, EXPORT)
    from sslkit.report.console import say
    from sslkit.report.export import check_out, export

    check_out(args.out, args.to)
    for line in export(trained.load(overrides), args.to, args.out).lines():
        say(line)
    return 0
