"""Builds the bundled embedder from the teacher and the training data: ``python training/build.py --help``."""

import argparse
import sys
import time
from pathlib import Path

import distill
import leak
import vocabulary
from corpus import read_lexicon, read_pairs
from encoder import Encoder, load_encoder, load_teacher, save_encoder
from graph import Shape, build_graph
from package import MAX_TOKENS, NAME, PackagedEncoder, folder_size, write_folder
from retrieval import score

MAX_QUANTIZATION_LOSS = 0.5


def train(data: Path, distillation: bool) -> Encoder:
    """The student: Spanish words from the lexicon, then the distillation."""
    pairs, dropped = leak.drop_leaks(read_pairs(data), leak.evaluation_ngrams(data))
    print(f"{len(pairs)} training pairs; {dropped} dropped because they repeat evaluation text")
    teacher = load_teacher()
    student = vocabulary.build_student(read_lexicon(data), pairs, teacher)
    print(f"{student.model.config.vocab_size} tokens")
    if distillation:
        distill.distill(student, teacher, pairs, distill.Recipe(), lambda line: print(line, flush=True))
    return student


def export(student: Encoder, out: Path) -> None:
    """The student as the folder that Ateneo loads."""
    config = student.model.config
    shape = Shape(config.num_hidden_layers, config.num_attention_heads, config.layer_norm_eps, MAX_TOKENS)
    weights = {name: value.detach().numpy() for name, value in student.model.state_dict().items()}
    write_folder(build_graph(weights, shape, NAME), student.tokenizer, out)


def check(student: Encoder, out: Path, data: Path) -> bool:
    """Whether eight bits cost no more than allowed on the Spanish set."""
    folder = data / "retrieval" / "xquad_es"
    exact = score(lambda texts: student.embed(texts, MAX_TOKENS), folder)
    packaged = score(PackagedEncoder(out).embed, folder)
    for name, value in exact.items():
        print(f"{folder.name}, {name}: nDCG@10 {value:.1f} in 32 bits, {packaged[name]:.1f} in 8 bits")
    return exact["clean"] - packaged["clean"] <= MAX_QUANTIZATION_LOSS


def main() -> int:
    """Train (or load), export, check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with parallel/ and retrieval/")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--checkpoint", type=Path, help="load the student from this file, or save it there")
    parser.add_argument("--no-distillation", action="store_true", help="stop at the lexicon's vectors")
    options = parser.parse_args()
    started = time.monotonic()
    if options.checkpoint and options.checkpoint.exists():
        student = load_encoder(options.checkpoint)
    else:
        student = train(options.data, distillation=not options.no_distillation)
        if options.checkpoint:
            save_encoder(student, options.checkpoint)
    export(student, options.out)
    print(f"{options.out}: {folder_size(options.out) / 1e6:.1f} MB after {time.monotonic() - started:.0f} s")
    if not check(student, options.out, options.data):
        print(f"eight bits cost more than {MAX_QUANTIZATION_LOSS} nDCG@10", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
