"""Measures a model folder on retrieval sets: ``python training/evaluate.py --help``."""

import argparse
import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
from product import LocalEmbedder
from retrieval import least_overlapping, ndcg_at_10, read_set, variants

Embed = Callable[[list[str]], np.ndarray]


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
    """Print one table. A model folder is read as Ateneo reads it, one text at a time."""
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", type=Path, help="a model folder")
    source.add_argument("--teacher", action="store_true", help="the published all-MiniLM-L6-v2, for comparison")
    parser.add_argument("--threads", type=int, default=0, help="0: one a core")
    parser.add_argument("sets", type=Path, nargs="+", help="folders in BEIR layout")
    options = parser.parse_args()
    if options.teacher:
        # Imported here so that measuring a model folder needs no torch.
        from encoder import load_teacher

        print(table(load_teacher().embed, options.sets))
        return
    embedder = LocalEmbedder(options.model, options.threads)
    print(table(lambda texts: asyncio.run(embedder.embed(texts)).vectors, options.sets))


if __name__ == "__main__":
    main()
