"""Measures a model folder on retrieval sets: ``python training/evaluate.py --help``."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from package import PackagedEncoder
from retrieval import least_overlapping, ndcg_at_10, read_set, variants

TIMED_QUESTIONS = 300

Embed = Callable[[list[str]], np.ndarray]


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


def table(embed: Embed, folders: list[Path]) -> str:
    """A Markdown table of nDCG@10, one row a set; sets of the same questions in other languages are crossed."""
    sets = {folder.name: read_set(folder) for folder in folders}
    passages = {name: embed(chosen.passages) for name, chosen in sets.items()}
    lines = []
    for name, chosen in sets.items():
        asked = {kind: embed(questions) for kind, questions in variants(chosen.questions).items()}
        row = {kind: ndcg_at_10(vectors, passages[name], chosen.relevant) for kind, vectors in asked.items()}
        hard = least_overlapping(chosen)
        row["least overlap"] = ndcg_at_10(asked["clean"][hard], passages[name], chosen.relevant[hard])
        if not lines:
            lines = ["| nDCG@10 | " + " | ".join(row) + " |", "|---" * (len(row) + 1) + "|"]
        lines.append(f"| {name} | " + " | ".join(f"{value:.1f}" for value in row.values()) + " |")
        lines += [
            f"| {name}, passages of {other} | {ndcg_at_10(asked['clean'], passages[other], chosen.relevant):.1f} |"
            for other, crossed in sets.items()
            if other != name and np.array_equal(crossed.relevant, chosen.relevant)
        ]
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
    # one text a run, as Ateneo does: in a padded batch eight bits round otherwise
    print(table(lambda texts: encoder.embed(texts, batch=1), options.sets))
    print(speed(encoder, options.sets[0]))


if __name__ == "__main__":
    main()
