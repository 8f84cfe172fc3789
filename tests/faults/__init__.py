"""Faults done to sslkit on purpose: real processes, real signals, real torn files.

``python -m tests.faults --suite all --json report.json`` runs the whole campaign (hours), and goes on where it was;
tests/test_faults.py runs the first few cases of every suite.
"""

from __future__ import annotations

import sys
from pathlib import Path

# the helpers of the other tests
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
