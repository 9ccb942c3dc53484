"""Builds the bundled embedder from the teacher and the training data: ``python training/build.py --help``."""

import argparse
import sys
import time
from functools import partial
from pathlib import Path

import distill
import leak
import numpy as np
import torch
import vocabulary
from corpus import Pair, read_lexicon, read_pairs, read_terms
from curriculum import make_curriculum
from encoder import GLOSSES, Encoder, load_encoder, load_teacher, save_encoder
from glossary import build_glossary
from graph import Shape, build_graph
from package import MAX_TOKENS, NAME, PackagedEncoder, folder_size, write_folder
from retrieval import score

LEXICON = Path(__file__).parents[1] / "src" / "ateneo" / "search" / "lexicon_latam.tsv"
MAX_QUANTIZATION_LOSS = 0.5


def train(data: Path, work: Path, distillation: bool) -> Encoder:
    """The student: Spanish words from dictionaries, then a little distillation."""
    forbidden = leak.evaluation_ngrams(data)
    pairs, dropped = leak.drop_leaks(read_pairs(data), forbidden)
    print(f"{len(pairs)} training pairs; {dropped} dropped because they repeat evaluation text")
    terms, teacher = read_terms(LEXICON), load_teacher()
    glossary = build_glossary(read_lexicon(data), pairs, teacher.tokenizer.get_vocab(), terms)
    student = vocabulary.build_student(glossary, pairs, teacher)
    if distillation:
        recipe = distill.Recipe()
        curriculum, dropped = leak.drop_leaks(make_curriculum(pairs, terms, recipe.seed), forbidden)
        print(f"{len(curriculum)} pairs to read; {dropped} dropped because they repeat evaluation text")
        targets = teacher_vectors(teacher, curriculum, work)
        rows = vocabulary.spanish_rows(student, teacher)
        print(f"{int(rows.sum())} token vectors learn")
        report = partial(print, flush=True)
        distill.distill(student, curriculum, targets, rows, recipe, report, work / "step.pt")
    return student


def teacher_vectors(teacher: Encoder, curriculum: list[Pair], work: Path) -> np.ndarray:
    """The teacher's vectors of the English sides, by its eight-bit export: three times as fast, cosine above 0.999."""
    cache = work / "targets.npy"
    if not cache.exists():
        export(teacher, work / "teacher")
        np.save(cache, PackagedEncoder(work / "teacher").embed([pair.english for pair in curriculum], batch=32))
    targets: np.ndarray = np.load(cache)
    if len(targets) != len(curriculum):
        raise ValueError(f"{cache} belongs to another run: delete it")
    return targets


def export(student: Encoder, out: Path) -> None:
    """The student as the folder that Ateneo loads."""
    config = student.model.config
    shape = Shape(config.num_hidden_layers, config.num_attention_heads, config.layer_norm_eps, MAX_TOKENS)
    weights = {name: value.detach().numpy() for name, value in student.model.state_dict().items()}
    words = student.words
    glosses, home = ((GLOSSES, words.glosses), words.home) if words else (None, 0)
    write_folder(build_graph(weights, shape, NAME), student.tokenizer_json, out, glosses=glosses, home=home)


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
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints; a cut run goes on")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 lets it choose")
    parser.add_argument("--no-distillation", action="store_true", help="stop at the lexicon's vectors")
    options = parser.parse_args()
    started = time.monotonic()
    if options.threads:
        torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    trained = options.work / "student.pt"
    if trained.exists():
        student = load_encoder(trained)
    else:
        student = train(options.data, options.work, distillation=not options.no_distillation)
        save_encoder(student, trained)
    export(student, options.out)
    print(f"{options.out}: {folder_size(options.out) / 1e6:.1f} MB after {time.monotonic() - started:.0f} s")
    if not check(student, options.out, options.data):
        print(f"eight bits cost more than {MAX_QUANTIZATION_LOSS} nDCG@10", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
