"""Whether a continued run sees the images that it began with."""

from __future__ import annotations

import hashlib

from sslkit.parts.dataset import Images

#: Names that the digest is taken of, spread evenly: enough to notice a change, cheap for millions of images.
_SAMPLED = 1000


def fingerprint(images: Images) -> str:
    """Number of images and a digest of (up to a thousand of) their names: both fix what an index means."""
    count = len(images)
    step = max(1, count // _SAMPLED)
    names = "\0".join(images.name(index) for index in range(0, count, step))
    return f"{count}:{hashlib.sha256(names.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"
