"""The guide's name for it; the code is in `ateneo`. Run it in backend/: python -m scripts.migrate_embeddings"""

from ateneo.cli.backfill import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
