"""Images that are looked for only when somebody asks for them: a trained backbone needs none."""

from __future__ import annotations

from sslkit.engine.build import dataset
from sslkit.errors import UserError
from sslkit.parts.dataset import Dataset, Images, Split
from sslkit.recipe.model import PartSpec


class DataWhenAsked(Dataset):
    """A recipe's data set, built when its first split is asked for.

    Args:
        spec: the data set; None: no images were named.
    """

    def __init__(self, spec: PartSpec | None) -> None:
        self._spec = spec
        self._data: Dataset | None = None

    def split(self, which: Split) -> Images | None:
        """See :class:`sslkit.parts.Dataset`.

        Raises:
            UserError: if no images were named, or they are not there.
        """
        if self._data is None:
            self._data = self._built()
        return self._data.split(which)

    def _built(self) -> Dataset:
        if self._spec is None:
            raise UserError("which images? Name them: --data image_folder --data.root DIR")
        try:
            return dataset(self._spec)
        except UserError as error:
            if "root" not in self._spec.options:
                raise
            raise UserError(f"{error}; if the images lie elsewhere now, add --data.root DIR") from error
