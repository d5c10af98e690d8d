#!/usr/bin/env python3
"""Holds what our sources use of the CUDA runtime, cuDNN and cuBLAS to what each JetPack has.

For each JetPack the sources are read as its compiler would: `#if CUDART_VERSION >= 11040` and the like are judged by its
versions. Every name that is left must be in api_versions.tsv (name, library, first version) and not be newer. Names that
a built object wants (nm) must be among those that the sources use.

Usage: api_subset.py [SOURCES_ROOT] [OBJECT...]    Ends with 1 and a line for each name that is too new or unknown.
"""
# SPDX-License-Identifier: Apache-2.0
import pathlib
import re
import subprocess
import sys

# NVIDIA's JetPack release notes: CUDA (its cuBLAS has the number but for the last digits) and cuDNN.
JETPACKS = {
    "4.6": {"cuda": (10, 2), "cudnn": (8, 2)},
    "5.1": {"cuda": (11, 4), "cudnn": (8, 6)},
    "6.0": {"cuda": (12, 2), "cudnn": (8, 9)},
    "7.0": {"cuda": (13, 0), "cudnn": (9, 12)},
}
# The engine, and what make gpu-programs builds beside it for a board.
USERS = ["runtime/cuda", "kernels", "tests/support/cuda", "tests/bench/kernels"]
NAME = re.compile(r"\b(?:cudaError|cudaDevAttr|cublasLt|cuda|cudnn|cublas|CUDNN_|CUBLASLT_|CUBLAS_|CUDA_R_)[A-Z0-9]\w*")
NOT_NVIDIAS = re.compile(r"^(CUDNN|CUBLAS)_(HOME|VERSION|MAJOR|MINOR|PATCHLEVEL|VER_MAJOR)$")
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"", re.S)


def macros(jetpack):
    (cuda, minor), (dnn, dnn_minor) = jetpack["cuda"], jetpack["cudnn"]
    return {"CUDART_VERSION": cuda * 1000 + minor * 10, "CUDA_VERSION": cuda * 1000 + minor * 10, "CUBLAS_VER_MAJOR": cuda,
            "CUBLAS_VERSION": cuda * 10000 + minor * 100, "CUDNN_MAJOR": dnn, "CUDNN_MINOR": dnn_minor,
            "CUDNN_VERSION": dnn * 1000 + dnn_minor * 100 if dnn < 9 else dnn * 10000 + dnn_minor * 100}


def visible(text, values):
    """The lines that a compiler with these versions sees; other conditions count as true on both sides."""
    kept, stack = [], []  # of (this branch is seen, a branch was seen)

    def judge(condition):
        match = re.fullmatch(r"\s*(\w+)\s*(>=|<)\s*(\d+)\s*", condition)
        if match is None or match[1] not in values:
            return None
        return (values[match[1]] >= int(match[3])) == (match[2] == ">=")

    for line in text.split("\n"):
        directive = re.match(r"\s*#\s*(if|ifdef|ifndef|elif|else|endif)\b(.*)", line)
        if directive is None:
            if all(seen for seen, _ in stack):
                kept.append(line)
            continue
        word, condition = directive[1], directive[2]
        if word in ("if", "ifdef", "ifndef"):
            judged = judge(condition) if word == "if" else None
            stack.append((judged is not False, judged))
        elif word in ("elif", "else"):
            _, before = stack.pop()
            judged = None if before is None else not before
            stack.append((judged is not False, before))
        else:
            stack.pop()
    return "\n".join(kept)


def used(root, values):
    names = {}
    for path in sorted([path for folder in USERS for path in root.glob(f"{folder}/*")]):
        text = COMMENT.sub(" ", path.read_text())
        for name in NAME.findall(visible(text, values)):
            if not NOT_NVIDIAS.match(name):
                names.setdefault(name, path.relative_to(root))
    return names


def main(arguments):
    root = pathlib.Path(arguments[0] if arguments else ".")
    table = {}
    for line in (pathlib.Path(__file__).parent / "api_versions.tsv").read_text().splitlines():
        if line and not line.startswith("#"):
            name, library, since = line.split("\t")
            table[name] = (library, tuple(int(part) for part in since.split(".")))
    bad = 0
    everything = set()
    for jetpack, versions in JETPACKS.items():
        names = used(root, macros(versions))
        everything |= names.keys()
        newer = 0
        for name, path in names.items():
            if name not in table:
                print(f"{path}: {name} is not in tests/boards/api_versions.tsv: add it, with the version it came with")
                bad += 1
            elif table[name][1] > versions["cudnn" if table[name][0] == "cudnn" else "cuda"]:
                library, since = table[name]
                print(f"{path}: {name} came with {library} {since[0]}.{since[1]}; JetPack {jetpack} has "
                      f"{'.'.join(map(str, versions['cudnn' if library == 'cudnn' else 'cuda']))}")
                newer += 1
        bad += newer
        print(f"JetPack {jetpack}: {len(names)} names, {newer} newer than it has")
    for built in arguments[1:]:
        symbols = subprocess.run(["nm", "-D", "--undefined-only", built], capture_output=True, text=True, check=True).stdout
        for symbol in re.findall(r" U ((?:cuda|cudnn|cublas)[A-Z]\w*)", symbols):
            name = re.sub(r"_(v2|ptsz)$", "", symbol)
            if name not in everything and symbol not in everything:
                print(f"{built}: {symbol} is in none of our sources")
                bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
