"""The first sentence of a part's docstring."""

from __future__ import annotations

import re

from sslkit.plugins.registry import Registration
from sslkit.plugins.source import docstring_of


def first_line(part: Registration) -> str:
    """A part's summary in one sentence, without importing its class; empty if its source cannot be found."""
    paragraph = " ".join(docstring_of(part).strip().partition("\n\n")[0].split())
    # a sentence ends where a capital follows: "Caron et al. 2021" goes on
    return re.split(r"(?<=\.)\s+(?=[A-Z])", paragraph)[0].replace("``", "")
