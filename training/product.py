"""What training takes from Ateneo itself, so that the student reads words as the product will."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "backend"))

from ateneo.providers.unknown_words import UnknownWords, WordReader

__all__ = ["UnknownWords", "WordReader"]
