"""The rules of every kind's contract, one file a kind; a rule is a function of a :class:`sslkit.testing.case.Case`."""
