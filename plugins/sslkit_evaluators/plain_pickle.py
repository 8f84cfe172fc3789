"""Reads a pickle that holds plain data and numpy arrays; nothing that it names is run."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from sslkit.errors import UserError
from sslkit.parts import file_content

#: What pickles of numpy arrays name, of numpy 1 and 2 and of Python 2 and 3.
_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
    ("__builtin__", "bytes"),
    ("builtins", "bytes"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is neither plain data nor a numpy array")
        if module.startswith("numpy."):
            # numpy 2 moved it, and warns of the old place
            module = module.replace("core", "_core") if hasattr(np, "_core") and "_core" not in module else module
        return super().find_class(module, name)


def read_plain_pickle(path: Path) -> Any:
    """The lists, dicts, texts, numbers and numpy arrays in a pickle.

    Raises:
        UserError: if there is no such file, it is damaged, or holds anything else.
    """
    try:
        content: io.BytesIO = file_content(path)
        # latin1: pickles of Python 2 hold their arrays as text
        return _PlainUnpickler(content, encoding="latin1").load()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, LookupError, AttributeError, ImportError) as error:
        raise UserError(f"{path} cannot be read as plain data: {error}") from error
