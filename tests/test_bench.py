"""The bench measures, writes what a sieve starts from, and compares with an anchor."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def bench(*argv: str, status: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "prng_mpi.bench", *argv], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr


def test_measures_methods_and_feeds_a_sieve(tmp_path: Path) -> None:
    out = bench(
        "--recipes",
        "java.nextInt,xorshift32.mod",
        "--thresholds",
        "1,0.5",
        "--seconds",
        "0.02",
        "--output-dir",
        str(tmp_path),
    )
    rows = json.loads((tmp_path / "bench.json").read_text())["rows"]
    seen = {(r["recipe"], r["method"], r["threshold"]) for r in rows}
    assert {("java.nextInt", "lanes", 1.0), ("java.nextInt", "lift", 1.0), ("xorshift32.mod", "lanes", 0.5)} <= seen
    assert ("xorshift32.mod", "lift", 1.0) not in seen
    # One hypothesis a seed here, and fewer misses allowed is faster.
    assert all(r["seeds_per_second"] == r["hypotheses_per_second"] > 0 for r in rows)
    assert "java.nextInt" in out and "bench.json" in out
    draws = tmp_path / "draws.txt"
    draws.write_text("\n".join(["1", "2", "3"] * 10))
    plan = subprocess.run(
        [sys.executable, "-m", "prng_mpi.sieve", "--draws", str(draws), "--recipe", "xorshift32.mod", "--dry-run", "--profile", str(tmp_path / "bench.json")],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    device = next(r["device"] for r in rows if r["recipe"] == "xorshift32.mod")
    assert f"on one {device}" in plan.stdout


def test_against_an_anchor_gives_ratios() -> None:
    anchor = f"{sys.executable} -c 'import time; time.sleep(1)'"
    out = bench("--recipes", "xorshift32.mod", "--seed-end", "1000", "--rounds", "3", "--against", anchor)
    assert out.count("round ") == 3
    assert float(out.rpartition("median ")[2].split()[0]) > 10


def test_bad_requests_are_one_sentence() -> None:
    assert "name one recipe" in bench("--against", "true", status=2)
    assert "did you mean" in bench("--recipes", "java.nextint", status=2)
    assert "ended with status 1" in bench(
        "--recipes", "xorshift32.mod", "--against", "false", "--seed-end", "10", status=2
    )
