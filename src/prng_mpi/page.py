"""Floor 2: a report as one page of HTML that needs nothing else: verdict, facts, figures, tables, provenance.

What stands in it is others' words and numbers; the modules that know a step's folder fill it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

import prng_mpi
from prng_mpi import figures, runs
from prng_mpi.display import duration, rate
from prng_mpi.figures import Figure
from prng_mpi.runs import Run
from prng_mpi.statistics import format_count

# A browser that honours it makes no request for this page, whatever stands in it.
POLICY = """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">"""
# Rows of a table, and gaps that are listed.
ROWS, GAPS = 50, 20


@dataclass(frozen=True)
class Page:
    """What a report says, in the order in which it is read.

    run: a name of it, and its folder; label: the verdict in a word; tone: one of "found", "candidate", "chance", how it looks; title,
    sentences: the verdict for people; facts: names and texts; before, after: HTML before and after the figures."""

    run: str
    label: str
    tone: str
    title: str
    sentences: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    figures: tuple[Figure, ...]
    before: str
    after: str


_STYLE = """
:root{--ink:#1b1d21;--faint:#666c75;--grid:#d3d7dd;--band:#c9d3e0;--blue:#0072b2;--orange:#b97800;--red:#c04f00;--green:#00805d;
--paper:#fff;--panel:#f4f6f8;color-scheme:light dark}
@media (prefers-color-scheme:dark){:root{--ink:#e6e8eb;--faint:#9aa1ab;--grid:#343940;--band:#3a4656;--blue:#56b4e9;--orange:#e69f00;
--red:#ff8a4c;--green:#2ecc9b;--paper:#15171a;--panel:#1d2024}}
@media print{:root{--ink:#000;--faint:#555;--grid:#ccc;--band:#ccd;--blue:#0072b2;--orange:#b97800;--red:#c04f00;--green:#00805d;--paper:#fff;
--panel:#fff}details>*{display:block}figure,table,section.verdict{break-inside:avoid}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:66rem;margin:0 auto;padding:1.5rem 1rem 4rem}h1{font-size:1.05rem;font-weight:600;color:var(--faint);margin:0 0 .8rem}
h2{font-size:1.2rem;margin:2.4rem 0 .6rem}section.verdict{border-left:6px solid var(--mark);background:var(--panel);padding:1rem 1.3rem}
section.verdict h2{margin:0 0 .4rem;font-size:1.7rem;line-height:1.2}section.verdict p{margin:.35rem 0}.word{font:600 .8rem ui-monospace,monospace;
letter-spacing:.06em;color:var(--mark);border:1px solid var(--mark);padding:.1rem .45rem;border-radius:3px}.found,.strong{--mark:var(--green)}
.candidate{--mark:var(--orange)}.chance{--mark:var(--faint)}dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1.2rem;margin:1.4rem 0}
dt{color:var(--faint)}dd{margin:0;overflow-wrap:anywhere}figure{margin:0 0 .5rem}figure svg{width:100%;height:auto;display:block}
figcaption{color:var(--faint);font-size:.9rem}.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.82rem;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .5rem;text-align:right;border-bottom:1px solid var(--grid);white-space:nowrap}th{color:var(--faint);font-weight:600}
td.text,th.text{text-align:left}td.text:last-child{white-space:normal;min-width:8rem}a{color:var(--blue)}pre{background:var(--panel);padding:.8rem;white-space:pre-wrap;overflow-wrap:anywhere;font-size:.8rem}
code{font-family:ui-monospace,monospace}.next{font-family:ui-monospace,monospace;overflow-wrap:anywhere}
"""


def html(page: Page) -> str:
    """The whole document."""
    body = [
        f"<h1>prng_mpi: {escape(page.run)}</h1>",
        f'<section class="verdict {page.tone}" data-verdict="{escape(page.label)}"><h2>{escape(page.title)}</h2>',
        *(f"<p>{escape(sentence)}</p>" for sentence in page.sentences),
        f'<span class="word">{escape(page.label.upper())}</span></section>',
        "<dl>" + "".join(f"<dt>{escape(key)}</dt><dd>{escape(text)}</dd>" for key, text in page.facts) + "</dl>",
        page.before,
    ]
    for figure in page.figures:
        body.append(
            f"<h2>{figure.title}</h2><figure>{figures.themed(figure)}<figcaption>{escape(figure.note)}</figcaption></figure>"
        )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{POLICY}<meta name="viewport" content="width=device-width">'
        f"<title>{escape(page.title)}: {escape(page.run)}</title><style>{_STYLE}</style></head><body><main>{''.join(body)}{page.after}"
        "</main></body></html>\n"
    )


# -- parts of it --------------------------------------------------------------------------------------------------------


def table(heads: Iterable[str], rows: Iterable[Iterable[Any]], words: set[int]) -> str:
    """A table; columns in `words` hold words, the others numbers."""

    def cells(tag: str, values: Iterable[Any]) -> str:
        marked = (f'<{tag} class="text">' if i in words else f"<{tag}>" for i, _ in enumerate(heads_list))
        return "".join(f"{mark}{escape(str(value))}</{tag}>" for mark, value in zip(marked, values, strict=True))

    heads_list = list(heads)
    lines = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{cells("th", heads_list)}</tr></thead><tbody>{lines}</tbody></table></div>'


def block(text: str) -> str:
    """A text as it is, such as a command."""
    return f"<pre>{escape(text)}</pre>"


def folded(summary: str, text: str) -> str:
    """A text as it is, shown where one asks for it."""
    return f"<details><summary>{escape(summary)}</summary>{block(text)}</details>"


def troubles(run: Run, more: Iterable[tuple[str, int, str]] = ()) -> str:
    """What went wrong: what, how often, what to do; `more`: such rows that the ledger does not know."""
    rows = [*more, *((trouble.what, trouble.count, trouble.todo) for trouble in runs.troubles(run))]
    listed = table(("what", "times", "what to do"), rows[:ROWS], {0, 2}) if rows else "<p>Nothing.</p>"
    return f"<h2>What went wrong</h2>{listed}"


def devices(run: Run) -> str:
    """Who did how much of it."""
    rows = []
    for d in runs.progress(run).devices:
        of_it = [c for c in run.chunks if (c.rank, c.host, c.device) == (d.rank, d.host, d.name)]
        units = sum(c.stop - c.start for c in of_it)
        speed = f"{rate(units / d.seconds)}" if d.seconds else ""
        rows.append((d.rank, d.host, d.name, d.done, d.retried, d.failed, d.audits, format_count(units), f"{speed}", duration(d.seconds),
                     "" if d.idle is None else f"{d.idle:.0%}", d.state))  # fmt: skip
    heads = (
        "rank",
        "host",
        "device",
        "chunks",
        "retried",
        "failed",
        "audits",
        run.unit,
        f"{run.unit}/s",
        "on the device",
        "idle",
        "state",
    )
    return f"<h2>Devices</h2>{table(heads, rows, {1, 2, 11})}"


def ended(run: Run) -> tuple[str, str]:
    """The fact of when and how it ended."""
    code = f", exit code {run.summary['exit_code']}" if run.summary and "exit_code" in run.summary else ""
    return "ended", f"{run.state}, {datetime.fromtimestamp(run.ended).astimezone():%Y-%m-%d %H:%M:%S %Z}{code}"


def provenance(run: Run, attributes: Mapping[str, Any], search: str) -> str:
    """What it was made with, and of. attributes: of results.h5, {} where it is not there; search: what a run of this kind is."""
    facts = {search: run.search, "report by": f"prng_mpi {prng_mpi.__version__}"}
    facts |= {
        key: str(attributes[key]) for key in ("payload_hash", "kernel_digest", "git_revision") if attributes.get(key)
    }
    if "versions" in attributes:
        facts |= {f"{name} version": version for name, version in json.loads(attributes["versions"]).items()}
    listed = "".join(f"<dt>{escape(key)}</dt><dd><code>{escape(value)}</code></dd>" for key, value in facts.items())
    identity = {key: value for key, value in run.identity.items() if key != "kernel"}
    return (
        f"<h2>Provenance</h2><dl>{listed}</dl>{folded('Configuration', run.start['config'])}"
        f"{folded(f'What makes it this {search} and no other', json.dumps(identity))}"
    )
