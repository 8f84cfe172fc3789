"""Large crops of which one is the student's and the others the teacher's."""

from __future__ import annotations

import numpy as np
import pytest

from sslkit.errors import UserError
from sslkit_vision.multicrop import MultiCrop


def test_query_and_key_are_views_apart() -> None:
    multicrop = MultiCrop(3, global_crops=3, local_crops=1, apart=True)
    assert [(view.id, view.student, view.teacher) for view in multicrop.views] == [
        ("global0", True, False), ("global1", False, True), ("global2", False, True), ("local0", True, False),
    ]  # fmt: skip
    # what a view looks like does not depend on who sees it
    together = MultiCrop(3, global_crops=3, local_crops=1)
    for one, other in zip(multicrop.views, together.views, strict=True):
        draws = [m.draw(v, 40, 30, np.random.default_rng(1)) for m, v in ((multicrop, one), (together, other))]
        assert draws[0] == draws[1]
    with pytest.raises(UserError, match="apart needs a large crop for each net"):
        MultiCrop(3, global_crops=1, apart=True)
