"""What the tests of reports share: a page taken apart, and looked at in headless Chromium."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from prng_mpi import page, report
from prng_mpi.figures import Figure

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
MOST_BYTES = 5_000_000
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here (apt-get install chromium); the page is parsed instead"
)


def written(folder: Path) -> str:
    """The report of a run as HTML."""
    return page.html(report.compose(folder))


def table(figure: Figure) -> dict[str, list[Any]]:
    """The columns of a figure's CSV; numbers where all are."""
    rows = list(csv.reader(io.StringIO(figure.csv)))
    columns: dict[str, list[Any]] = {}
    for name, values in zip(rows[0], zip(*rows[1:], strict=True), strict=True):
        try:
            columns[name] = [float(value) for value in values]
        except ValueError:
            columns[name] = list(values)
    return columns


class Reader(HTMLParser):
    """What a page consists of: open tags, what it refers to, ids, text, attributes of the verdict."""

    VOID = ("meta", "br", "link", "img")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.refers: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.verdict = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
                self.refers.append(value or "")
            self.refers += re.findall(r"url\(([^)]*)\)", value or "")
            if name == "id":
                self.ids.append(value or "")
            if name == "data-verdict":
                self.verdict = value or ""
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.refers += re.findall(r"url\(([^)]*)\)|@import\s+(\S+)", data)
        else:
            self.text += data


def assert_whole(text: str) -> None:
    """A page that is HTML, needs nothing else, and whose drawings follow its colours."""
    assert len(text.encode()) < MOST_BYTES
    read = Reader(text)
    assert read.open == []
    assert all(ref.startswith("#") for ref in read.refers), read.refers
    assert not {"script", "img", "link", "iframe"} & set(read.tags)
    # Parts of a drawing are referred to by id, so no two drawings may share one.
    assert len(set(read.ids)) == len(read.ids)
    assert {ref[1:] for ref in read.refers} <= set(read.ids)
    assert read.tags.count("figure") == read.tags.count("figcaption") == read.tags.count("svg") >= 3
    assert "prefers-color-scheme:dark" in text and "@media print" in text
    # Every colour of a drawing follows the page.
    inside = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    assert "var(--ink)" in inside
    assert set(re.findall(r"#[0-9a-f]{6}\b", inside)) <= {"#ffffff"}


# -- in a browser ---------------------------------------------------------------------------------------------------------


PROBE = """<script>
const errors = [], requests = [];
addEventListener("securitypolicyviolation", e => requests.push(e.blockedURI));
addEventListener("error", e => errors.push(String(e.message)));
addEventListener("load", () => {
  const figures = [...document.querySelectorAll("figure svg")].map(svg => {
    const shapes = [...svg.querySelectorAll("path, rect, use, text")].map(s => s.getBoundingClientRect());
    return {width: svg.getBoundingClientRect().width, height: svg.getBoundingClientRect().height,
            shapes: shapes.filter(b => b.width > 0 || b.height > 0).length};
  });
  const out = {errors, figures, requests,
    scroll: document.documentElement.scrollWidth, width: innerWidth,
    paper: getComputedStyle(document.body).backgroundColor};
  document.title = "PROBE" + btoa(JSON.stringify(out));
});
</script>"""


def browse(text: str, scratch: Path, *flags: str) -> dict[str, Any]:
    """What headless Chromium makes of a page. scratch: a folder of one's own."""
    path = scratch / "page.html"
    # The page's own policy forbids every request and script; for this look, all but the probe.
    policy = "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
    path.write_text(text.replace(page.POLICY, "").replace("<head>", f"<head>{policy}{PROBE}"))
    done = subprocess.run(
        [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={scratch / 'profile'}",
         "--enable-logging=stderr", "--window-size=1000,900", *flags, "--dump-dom", path.as_uri()],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    found = re.search(r"<title>PROBE([^<]*)", done.stdout)
    assert found, done.stderr
    value: dict[str, Any] = json.loads(base64.b64decode(found[1]))
    value["console"] = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return value


def assert_shown(text: str, scratch: Path) -> None:
    """In a browser: no error, no request, every figure drawn, nothing wider than the window."""
    seen = browse(text, scratch)
    assert (seen["errors"], seen["console"], seen["requests"]) == ([], [], [])
    assert len(seen["figures"]) == text.count("<figure>")
    for figure in seen["figures"]:
        assert figure["width"] > 600 and figure["height"] > 60 and figure["shapes"] > 8
    # Nothing makes the page itself scroll sideways.
    assert seen["scroll"] <= seen["width"]
    assert seen["paper"] == "rgb(255, 255, 255)"
