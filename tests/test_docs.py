"""The documentation: its shell examples run and print what they show, the site builds without a warning, every link leads
somewhere within it, and nothing on it comes from elsewhere.

A block ```console is run: lines after `$ ` are commands of one shell for each page, in a folder with the checkout's examples,
launch scripts and hostfile; what stands below a command is its output. There `...` stands for any text, on a line of its own
for any lines; times, rates, sizes and devices may be others, and lines about progress come in between. A command whose
status is not 0 is followed by `$ echo $?`. A block ```python runs in the same folder. Other blocks are for reading."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from support import TOP, environment

PAGES = sorted([*TOP.glob("*.md"), *(TOP / "docs").glob("*.md"), TOP / "benchmarks" / "README.md"])
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What another machine, or another hour, prints otherwise.
VARIES = (
    (re.compile(r"^devices .*"), "devices"),
    (re.compile(r"\d[\d.,:]* ?(s|ms|m \d\d s|[kMGT]?B|[kMGTPE]?seeds/s|/s|min)\b"), "#"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "#"),
    (re.compile(r"\d+ threads?"), "#"),
    (re.compile(r" +"), " "),
)
# A slow machine says how far it is.
PROGRESS = re.compile(r"^progress |  ETA ")
END = "\x1e"


@dataclass(frozen=True)
class Example:
    """A command of a page, and the lines that the page says it prints."""

    command: str
    shown: tuple[str, ...]


def examples(page: Path) -> list[Example]:
    """What a page says about running things, in order."""
    found = []
    for kind, text in BLOCK.findall(page.read_text()):
        if kind == "python":
            found.append(Example(f"python - <<'PYTHON'\n{text}PYTHON", ("...",)))
            continue
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            lines = part.splitlines()
            # A command goes on after a backslash, and to the end of its here-document.
            count = 1
            while lines[count - 1].endswith("\\"):
                count += 1
            if here := re.search(r"<<'?(\w+)", lines[0]):
                count = lines.index(here[1]) + 1
            found.append(Example("\n".join(lines[:count]), tuple(lines[count:])))
    return found


def usual(line: str) -> str:
    """A line without what varies."""
    for pattern, word in VARIES:
        line = pattern.sub(word, line)
    return line.strip()


def agrees(shown: tuple[str, ...], printed: list[str]) -> bool:
    """Whether what is shown stands for what is printed."""
    parts = [
        r"(?:.*\n)*?" if line.strip() == "..." else re.escape(usual(line)).replace(r"\.\.\.", ".*") + "\n"
        for line in shown
        if line.strip()
    ]
    text = "".join(f"{usual(line)}\n" for line in printed if line.strip() and not PROGRESS.search(line))
    return re.fullmatch("".join(parts), text) is not None


def test_what_agrees() -> None:
    shown = ("searched  8 of 8 seeds, in 0.4 s (633 Mseeds/s)", "...", "best ... of 30")
    assert agrees(shown, ["searched  8 of 8 seeds, in 12 s (1.06 Gseeds/s)", "a", "", "best 29 of 30"])
    assert agrees(shown, ["searched 8 of 8 seeds, in 0.4 s (6 seeds/s)", "best 29 of 30"])
    assert not agrees(shown, ["searched 7 of 8 seeds, in 0.4 s (633 Mseeds/s)", "best 29 of 30"])
    assert not agrees(shown, ["searched 8 of 8 seeds, in 0.4 s (633 Mseeds/s)", "best 29 of 31"])
    assert agrees(("a", "b"), ["a", "progress     2 of 7 recipes, about 3 s left", "b"])
    assert not agrees((), ["something"])


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the command prng-mpi, which the tests' environment need not have."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "prng-mpi").write_text('#!/bin/sh\nexec python -m prng_mpi "$@"\n')
    (folder / "prng-mpi").chmod(0o755)
    return folder


@pytest.mark.parametrize("page", [page for page in PAGES if examples(page)], ids=lambda page: page.name)
def test_shell_examples_do_what_they_show(page: Path, bench: Path, tmp_path: Path) -> None:
    for name in ("examples", "launch", "hostfile"):
        (tmp_path / name).symlink_to(TOP / name)
    wanted = examples(page)
    script = "".join(f"{e.command}\n_code=$?; printf '\\036%d\\036' $_code; (exit $_code)\n" for e in wanted)
    path = os.pathsep.join([str(bench), str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment(PATH=path, NP="2", COLUMNS="120"), check=False, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=200,
    )  # fmt: skip
    pieces = done.stdout.split(END)
    assert len(pieces) == 2 * len(wanted) + 1, done.stdout
    for place, example in enumerate(wanted):
        printed, code = pieces[2 * place], int(pieces[2 * place + 1])
        assert agrees(example.shown, printed.splitlines()), f"$ {example.command}\nprints\n{printed}"
        tells = place + 1 < len(wanted) and wanted[place + 1].command == "echo $?"
        assert code == 0 or tells, f"$ {example.command}\nends with {code}\n{printed}"


# -- the site -----------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """The targets of a page's links, what it loads, and the names within it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.names |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        self.loads += [given[name] for name in ("src", "href") if name in given and tag not in ("a", "meta")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    # Every warning is an error: mkdocs.yml says strict.
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "-q", "-d", folder],
        cwd=TOP, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = {path: Page(path.read_text()) for path in site.rglob("*.html")}
    assert len(pages) > len(PAGES)
    wrong = []
    for path, page in pages.items():
        wrong += [f"{path.name} loads {target}" for target in page.loads if urlsplit(target).netloc]
        # The page of wrong addresses does not know where it will be.
        for target in page.links + page.loads if path.name != "404.html" else []:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc or target.startswith("/"):
                continue
            to = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
            to = to / "index.html" if to.is_dir() else to
            if not to.exists() or (parts.fragment and to in pages and parts.fragment not in pages[to].names):
                wrong.append(f"{path.relative_to(site)} links to {target}")
    assert not wrong
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", sheet.read_text()), sheet


def test_the_reference_is_that_of_the_code(site: Path) -> None:
    from prng_mpi.config import describe
    from prng_mpi.errors import ExitCode
    from prng_mpi.recipes import recipes
    from prng_mpi.sieve import SieveOptions

    text = {
        name: (site / "docs" / f"reference-{name}.html").read_text() for name in ("options", "recipes", "exit-codes")
    }
    for entry in describe(SieveOptions):
        assert f"<code>{entry.flag}" in text["options"]
    for name in recipes():
        assert f"<code>{name}</code>" in text["recipes"]
    assert all(f"<td>{int(code)}</td>" in text["exit-codes"] for code in ExitCode)
