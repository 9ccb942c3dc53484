"""Measures a model folder on retrieval sets: ``python training/evaluate.py --help``."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from package import PackagedEncoder
from retrieval import read_set, score

TIMED_QUESTIONS = 300


def speed(encoder: PackagedEncoder, folder: Path) -> str:
    """How long one question takes, and how many passages a second are embedded in batches."""
    chosen = read_set(folder)
    encoder.embed(chosen.questions[:20])
    singles = []
    for question in chosen.questions[:TIMED_QUESTIONS]:
        started = time.perf_counter()
        encoder.embed([question])
        singles.append(time.perf_counter() - started)
    started = time.perf_counter()
    encoder.embed(chosen.passages)
    rate = len(chosen.passages) / (time.perf_counter() - started)
    return f"question p50 {1000 * float(np.median(singles)):.1f} ms, passages {rate:.0f}/s"


def table(embed: Callable[[list[str]], np.ndarray], folders: list[Path]) -> str:
    """A Markdown table of nDCG@10, one row a set."""
    scores = {folder.name: score(embed, folder) for folder in folders}
    names = list(next(iter(scores.values())))
    lines = ["| nDCG@10 | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for name, row in scores.items():
        lines.append(f"| {name} | " + " | ".join(f"{row[variant]:.1f}" for variant in names) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print one table, and the speed of a packaged model."""
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", type=Path, help="a model folder")
    source.add_argument("--teacher", action="store_true", help="the published all-MiniLM-L6-v2, for comparison")
    parser.add_argument("--threads", type=int, default=0, help="of onnxruntime; 0 lets it choose")
    parser.add_argument("sets", type=Path, nargs="+", help="folders in BEIR layout")
    options = parser.parse_args()
    if options.teacher:
        # Imported here so that measuring a model folder needs no torch.
        from encoder import load_teacher

        print(table(load_teacher().embed, options.sets))
        return
    encoder = PackagedEncoder(options.model, options.threads)
    print(table(encoder.embed, options.sets))
    print(speed(encoder, options.sets[0]))


if __name__ == "__main__":
    main()
