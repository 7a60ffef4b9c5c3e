"""A hook of MkDocs: the site's pages are the repository's own, each at its place, and the reference is made from the code."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "src"))

from prng_mpi import config as options  # noqa: E402
from prng_mpi import coverage, kernels, ledger, records, status, store  # noqa: E402
from prng_mpi.__main__ import STEPS  # noqa: E402
from prng_mpi.errors import EXIT_MEANINGS  # noqa: E402
from prng_mpi.features import Scorer, schema  # noqa: E402
from prng_mpi.recipes import recipes  # noqa: E402
from prng_mpi.step import options_of  # noqa: E402

PAGES = ("*.md", "docs/*.md", "benchmarks/README.md", "tests/vectors/README.md")
# Pages that others lead to, and what is no page.
BEHIND = ("benchmarks/results/*.md",)
OTHERS = ("docs/*.png", "docs/*.txt", "docs/*.css", "LICENSE", "hostfile", "launch/*.sh", "examples/*")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Pages that nav does not name stand at the end of their section, so that a new one needs no line there."""
    sections = {title: inner for entry in config.nav or () for title, inner in entry.items()}
    named = {page for inner in sections.values() for each in (inner if isinstance(inner, list) else [{"": inner}])
             for page in each.values()}  # fmt: skip
    pages = {f"docs/{path.name}" for path in TOP.glob("docs/*.md")}
    sections["How to"] += sorted(pages - named)
    sections["Reference"] += sorted({f"docs/reference-{name}.md" for name in REFERENCE} - named)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The theme's files, those of the repository, and the reference."""
    theme = [file for file in files if file.abs_src_path and not Path(file.abs_src_path).is_relative_to(TOP / "docs")]

    def at(patterns: Iterable[str], inclusion: InclusionLevel) -> list[File]:
        paths = [path.relative_to(TOP).as_posix() for pattern in patterns for path in sorted(TOP.glob(pattern))]
        return [File(path, str(TOP), config.site_dir, False, inclusion=inclusion) for path in paths]

    made = [File.generated(config, f"docs/reference-{name}.md", content=page()) for name, page in REFERENCE.items()]
    shown = [*at(PAGES, InclusionLevel.INCLUDED), *at(OTHERS, InclusionLevel.INCLUDED), *made]
    return Files([*theme, *shown, *at(BEHIND, InclusionLevel.NOT_IN_NAV)])


def step_options() -> str:
    """Every step with its flags."""
    parts = [
        "# Options",
        "Each option may also stand in a TOML file (`--config FILE`; keys such as `seed_start`, at the top or in the step's table "
        "`[sieve]`) or in the environment (`PRNG_MPI_SEED_START`). Flags go before the environment, the environment before the file, "
        "the file before the default; `--show-config` prints each value and where it came from.",
    ]
    for step, title in STEPS.items():
        cls = options_of(step)
        parts += [f"## {step}", cell(f"{title[0].upper()}{title[1:]}.")]
        sections: dict[str, list[Sequence[str]]] = {}
        for entry in options.describe(cls):
            default = "" if entry.default is None else f"`{options._toml(entry, entry.default)}`"
            sections.setdefault(entry.section, []).append((f"`{entry.flag}{_value(entry)}`", _meaning(entry), default))
        for section, rows in sections.items():
            parts += [f"### {step}: {section.lower()}", table(("flag", "meaning", "default"), rows)]
    return "\n\n".join(parts) + "\n"


def _value(entry: options.Option) -> str:
    if (entry.shape, entry.leaf) == ("scalar", bool):
        return ""
    word = entry.metavar or ("NAME=" if entry.shape == "table" else "") + entry.leaf.__name__.upper()
    return f" {word}{'' if entry.shape == 'scalar' else ',...'}"


def _meaning(entry: options.Option) -> str:
    chosen = ", ".join(f"`{choice}`" for choice in entry.choices or ())
    return cell(entry.help) + (f"; one of {chosen}" if chosen else "")


def _power(n: int) -> str:
    """A bound as people know it: 2^31-1."""
    bits = n.bit_length() if n & (n - 1) else n.bit_length() - 1
    below = (1 << bits) - n
    return f"2^{bits}" + (f"-{below}" if below else "") if below < 3 else f"{n}"


def recipe_tables() -> str:
    """Recipes and families with whose outputs they were held against, and how many stored vectors there are."""
    import json

    vectors = {
        path.stem: len(json.loads(path.read_text())["cases"]) for path in (TOP / "tests" / "vectors").glob("*.json")
    }

    named = [
        (f"`{r.name}`", cell(r.title), cell(r.verified), f"`{r.family}`", _power(r.map.max_modulus), f"{vectors[r.name]}")
        for r in recipes().values() if r.name != f"{r.family}.mod"
    ]  # fmt: skip
    plain = [
        (f"`{f.name}.mod`" if f"{f.name}.mod" in recipes() else "", f"`{f.name}`", cell(f.title), cell(f.algebra),
         f"{f.word_bits}", cell(", ".join(f"{key}={value}" for key, value in f.params.items())), cell(f.verified), f"{vectors[f.name]}")
        for f in kernels.families().values()
    ]  # fmt: skip
    return "\n\n".join([
        "# Recipes and families",
        "A recipe is what a caller wrote: `--recipe NAME`. *Held against* names the runtime whose own outputs it reproduces; "
        "[the vectors](../tests/vectors/README.md), so many streams each, are stored with the scripts that made them, and every device repeats "
        "some of them before it gets a seed.",
        "## Recipes", table(("recipe", "what the caller wrote", "held against", "family", "largest M", "vectors"), named),
        "## Families",
        "`FAMILY.mod` is a family's plain output modulo M. Parameters are set by `--param NAME=INT`; the default is shown.",
        table(("recipe", "family", "generator", "algebra", "word bits", "parameters", "held against", "vectors"), plain),
    ]) + "\n"  # fmt: skip


def exit_codes() -> str:
    """The exit codes of all steps."""
    rows = [(f"{int(code)}", f"`{code.name}`", cell(text)) for code, text in EXIT_MEANINGS.items()]
    return f"# Exit codes\n\nOf every step, and of its launch script.\n\n{table(('code', 'name', 'meaning'), rows)}\n"


def schemas() -> str:
    """The records that travel unchanged between kernel, MPI and HDF5, and the version of each written format."""
    versions = [
        ("`results.h5`, attribute `schema_version`", f"{store.SCHEMA_VERSION}"),
        ("`events.jsonl`, key `schema`", f"{store.EVENTS_SCHEMA}"),
        ("`ledger.sqlite`, `user_version`", f"{ledger.SCHEMA_VERSION}"),
        ("`status --json`, key `schema`", f"{status.SCHEMA_VERSION}"),
        ("`coverage --json`, key `schema`", f"{coverage.SCHEMA_VERSION}"),
    ]
    parts = [
        "# Records and schemas",
        "What each column and key means is said under [files of a run](results.md).",
        "## Versions", "Another number is another layout.", table(("format", "version"), versions),
        "## Records", "Little endian, without padding.",
    ]  # fmt: skip
    named = (
        ("A hit, as a kernel writes it and a rank sends it", records.HIT),
        ("A row of /survivors", records.SURVIVOR), ("A row of /chunks", store.CHUNK),
        ("A moment at which survivors are scored", records.CUT),
    )  # fmt: skip
    for title, dtype in named:
        fields: Any = dtype.fields
        rows = [(f"`{name}`", f"`{fields[name][0].str}`", f"{fields[name][1]}") for name in dtype.names or ()]
        parts += [f"### {cell(title)}", f"{dtype.itemsize} bytes.", table(("field", "type", "offset"), rows)]
    parts += ["## The ledger", "SQLite, for those who look inside; it is no interface.", f"```sql{ledger._SCHEMA}```"]
    return "\n\n".join(parts) + "\n"


def survivors_features() -> str:
    """The columns that scoring measures, with the default parameters."""
    rows = [
        (f"`{column['name']}`", cell(column["unit"]), cell(column["formula"]), column["of"])
        for column in schema(Scorer(), 1000, True)
    ]
    return (
        "# Features of survivors\n\nWhat scoring measures of each survivor's stream beside the draws up to a cut: p is the stream, d the "
        "draws, t a draw's index, M the modulus (1000 here), and c = cos(2 pi (p - d) / M) the agreement of a draw. Moduli, lags and "
        f"windows are those of the default scorer.\n\n{table(('feature', 'unit', 'formula', 'of'), rows)}\n"
    )


REFERENCE: dict[str, Callable[[], str]] = {
    "options": step_options, "recipes": recipe_tables, "exit-codes": exit_codes, "schemas": schemas,
    "features": survivors_features,
}  # fmt: skip


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table of Markdown; cells are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cell(text: str) -> str:
    """Plain text as Markdown that stands in a table."""
    return re.sub(r"([\\`*_|\[\]])", r"\\\1", text.replace("&", "&amp;").replace("<", "&lt;"))
