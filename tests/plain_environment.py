"""What the environment of processes that tests start has: one thread, plain text, no colours."""

PLAIN = {"OMP_NUM_THREADS": "1", "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "120"}
