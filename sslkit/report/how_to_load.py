"""How an exported file is loaded: Python that works as printed, with or without sslkit."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

from torch import nn

from sslkit.parts.preprocess import Preprocess
from sslkit.recipe.dump import plain
from sslkit.report.judged import Judged


def how_to_load(found: Judged, out: Path, state: str) -> str:
    """Python that gives the backbone of a file back: by what its ``source()`` makes if that takes the weights.

    Args:
        found: the backbone.
        out: the file.
        state: Python that reads the state dict from the file.
    """
    source = found.backbone.source()
    if source is not None and _takes_the_weights(source, found.backbone.plain()):
        modules = sorted({*_modules(source), state.partition("(")[0].rpartition(".")[0]})
        return f"import {', '.join(modules)}\nnet = {source}\nnet.load_state_dict({state})"
    return f"sslkit.load_backbone({str(out)!r}, backbone={_options(found)!r}{_images(found.by.preprocess)})"


def made(source: str) -> nn.Module:
    """The network that a backbone's own ``source()`` makes."""
    expression, *statements = source.split("; ")
    names: dict[str, Any] = {module: importlib.import_module(module) for module in _modules(source)}
    names["net"] = eval(expression, names)
    for statement in statements:
        exec(statement, names)
    net: nn.Module = names["net"]
    return net


def _modules(source: str) -> set[str]:
    return set(re.findall(r"(?<![\w.'])([a-z]\w*)\.", source)) - {"net"}


def _takes_the_weights(source: str, plain_net: nn.Module) -> bool:
    wanted, given = ({k: v.shape for k, v in net.state_dict().items()} for net in (made(source), plain_net))
    return wanted == given


def _options(found: Judged) -> dict[str, Any]:
    """The backbone as ``load_backbone`` takes it, without options that have their defaults."""
    spec = found.by.backbone
    defaults = {name: option.default for name, option in inspect.signature(spec.target).parameters.items()}
    options = {key: plain(value) for key, value in spec.options.items() if value != defaults.get(key)}
    return {"name": spec.name, **options}


def _images(by: Preprocess) -> str:
    changed = {key: plain(value) for key, value in vars(by).items() if value != vars(Preprocess())[key]}
    return f", preprocess={changed!r}" if changed else ""
