"""Vectors from MariaDB's RAND(seed), one value a row, by a server that runs without network on an empty data folder.

Usage: mysql.py MARIADBD
"""

import subprocess
import sys
import tempfile
from pathlib import Path

SEEDS = [0, 1, 42, 12345, 2**31, 2**32 - 1]
MODULI = [1000, 1024, 6, 2**30 + 1, 2**32]


def ask(server: str, queries: list[str]) -> list[list[str]]:
    """The rows of each query, as text."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{i}.txt" for i in range(len(queries))]
        text = "CREATE DATABASE v;\nUSE v;\n"
        text += "".join(
            query.replace("@", f"INTO OUTFILE '{f}'", 1) + ";\n" for query, f in zip(queries, files, strict=True)
        )
        flags = ["--no-defaults", "--bootstrap", f"--datadir={folder}", "--innodb=OFF", f"--log-error={folder}/log"]
        flags += ["--default-storage-engine=MyISAM", "--skip-networking", "--user=root"]
        subprocess.run([server, *flags], input=text, text=True, check=True, stderr=subprocess.DEVNULL)
        return [f.read_text().split() for f in files]


def main(server: str) -> None:
    # The whole state word is what is divided by 2^30 - 1.
    words = [f"SELECT CAST(ROUND(RAND({seed}) * 1073741823) AS INT) @ FROM seq_1_to_10000" for seed in SEEDS]
    cases = [(seed, n) for n in MODULI for seed in SEEDS]
    draws = [f"SELECT CAST(FLOOR(RAND({seed}) * {n}) AS INT) @ FROM seq_1_to_64" for seed, n in cases]
    (version,), *rows = ask(server, ["SELECT VERSION() @", *words, *draws])
    for name in ("mysql", "mysql.RAND"):
        print(f"source\t{name}\tMariaDB {version}, RAND(seed) over the rows of seq_1_to_10000")
    for seed, row in zip(SEEDS, rows[: len(SEEDS)], strict=True):
        print(f"case\tmysql\t{seed}\t-\t{row[9999]}\t{' '.join(row[:16])}")
    for (seed, n), row in zip(cases, rows[len(SEEDS) :], strict=True):
        print(f"case\tmysql.RAND\t{seed}\t{n}\t-\t{' '.join(row)}")


main(sys.argv[1])
