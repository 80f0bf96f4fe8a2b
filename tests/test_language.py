"""The source uses the terms of docs/glossary.md, and none of the words that its last column lists."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "rnnkit"
FILES = sorted(SOURCE.rglob("*.py"))

PUBLIC = {"normalise", "symmetrise", "optimiser"}
"""Names of options and of a file in checkpoints that earlier versions have; they stay readable."""

OTHER_TOOLS = SOURCE / "cli" / "suggestions.py"
"""Names that other tools use, for suggestions."""


@cache
def rows() -> list[list[str]]:
    """Rows of the glossary's tables, without their headings."""
    lines = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines()
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in cells if row[0].strip() not in ("term", "write")]


@cache
def forbidden_identifiers() -> frozenset[str]:
    return frozenset(name for row in rows() for name in re.findall(r"`(\w+)`", row[3]))


@cache
def forbidden_phrases() -> re.Pattern[str]:
    phrases = sorted({phrase for row in rows() for phrase in re.findall(r'"([^"]+)"', row[3])}, key=len, reverse=True)
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, phrases))})(?![\w-])", re.IGNORECASE)


def identifiers(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Names that a file defines or uses as attributes and keywords."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.arg(arg=name) | ast.Attribute(attr=name) | ast.Name(id=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.keyword(arg=str(name)):
                yield name, node.lineno


def prose(text: str) -> Iterator[tuple[str, int]]:
    """Comments and strings of a file, docstrings among them, each in one line; adjacent ones are joined."""
    joined, first = "", 0
    kinds = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in kinds:
            first = first if joined else token.start[0]
            joined += " " + re.sub(r"""^\w*["']+|["']+$|^#""", "", token.string)
        elif token.type not in (tokenize.NL, tokenize.NEWLINE) or "\n\n" in token.string:
            if joined:
                yield " ".join(joined.split()), first
            joined = ""
    if joined:
        yield " ".join(joined.split()), first


def test_the_glossary_is_large_and_complete() -> None:
    assert len(rows()) >= 120
    assert all(len(row) == 4 and row[0] for row in rows())
    terms = Counter(row[0] for row in rows())
    assert [term for term, count in terms.items() if count > 1] == []


def test_identifiers_use_the_terms() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in FILES
        for name, line in identifiers(ast.parse(path.read_text(encoding="utf-8")))
        if name in forbidden_identifiers() - PUBLIC
    ]
    assert found == []


def test_prose_uses_the_terms() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {phrase}"
        for path in FILES
        for text, line in prose(path.read_text(encoding="utf-8"))
        for phrase in forbidden_phrases().findall(text)
        if phrase not in PUBLIC and path != OTHER_TOOLS
    ]
    assert found == []


def test_standard_terms_lead_to_the_code() -> None:
    """Every one of these is implemented, so a search for it in the source has to find it."""
    terms = """
        shallow fusion|diverse beam search|early stopping|exponential moving average|activation checkpointing
        embedding dropout|masked language model|KV cache|backpropagation through time|DropConnect|teacher forcing
        lexical constraint|prefix constraint|n-gram blocking|data parallel|all-reduce|world size|broadcast|beam search
        sampled softmax|label smoothing|negative sampling|length penalty|coverage penalty|gradient clipping
        gradient accumulation|learning-rate schedule|warm-up|weight tying|input feeding|pointer-generator
        guided attention|vocabulary shortlist|dynamic quantization|paired bootstrap|edit distance|perplexity
        dynamic evaluation|linear interpolation|Kneser-Ney|subsampling|skip-gram|symmetrization|atomic write
    """
    wanted = [term.strip() for line in terms.split("\n") for term in line.split("|") if term.strip()]
    text = " ".join(" ".join(path.read_text(encoding="utf-8").split()) for path in FILES).lower()
    assert [term for term in wanted if term.lower() not in text] == []
    assert len(wanted) >= 40
