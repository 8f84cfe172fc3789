"""How parts get in: one pluggy project, one registry, entry points of the group ``sslkit``."""
