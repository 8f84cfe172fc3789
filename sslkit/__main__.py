"""``python -m sslkit``: the same as the ``sslkit`` command (torchrun needs a module)."""

from sslkit.cli.main import console

if __name__ == "__main__":
    console()
