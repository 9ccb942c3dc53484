"""What training takes from Ateneo itself, so that the student reads words, and is measured, as the product does."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from ateneo.providers.local import LocalEmbedder
from ateneo.providers.unknown_words import UnknownWords, WordReader

__all__ = ["LocalEmbedder", "UnknownWords", "WordReader"]
