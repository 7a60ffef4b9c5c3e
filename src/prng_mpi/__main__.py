"""python -m prng_mpi: what there is. Families, recipes, devices of this host, steps."""

from __future__ import annotations

import sys

from prng_mpi import devices, kernels
from prng_mpi.recipes import recipes

STEPS = {
    "sieve": "hold every seed of a range against a window of draws",
    "recover": "solve for the state of a linear generator, whatever seeded it",
    "need": "how many draws make a search decisive",
    "predict": "the outputs of a seed at any distance, before or after the draws",
    "identify": "which recipes can have made the draws, and what would find out",
    "jobs": "run a file of jobs: sieve, reverse_sieve, correlation, analysis, script",
    "status": "how far a run is, what it found and what went wrong; from any shell, live or after",
    "coverage": "which seeds of a search are done, over one folder or several, and which are not",
    "report": "one HTML file with verdict, evidence, figures and provenance of a run",
    "doctor": "what would stop or spoil a run on these hosts, and the remedy",
    "window_optimizer": "which window, skips, threshold, direction and recipe have evidence: trials beside decoys",
    "pipeline": "steps 1 to 6 one after another, in one folder; only what changed runs again",
    "supervise": "run an mpirun command to its end, over lost hosts",
    "bench": "measure the devices of all ranks, or this program against another",
}


def main() -> None:
    """Print the lists; with a word, only the lines that contain it."""
    wanted = [word.lower() for word in sys.argv[1:] if not word.startswith("-")]

    def show(title: str, rows: list[tuple[str, str]]) -> None:
        kept = [row for row in rows if all(word in " ".join(row).lower() for word in wanted)]
        if kept:
            width = max(len(row[0]) for row in kept)
            print(f"{title}\n" + "".join(f"  {name:<{width}}  {text}\n" for name, text in kept))

    show("steps (python -m prng_mpi.STEP --help)", list(STEPS.items()))
    named = [(r.name, f"{r.title}  [{r.verified}]") for r in recipes().values() if r.name != f"{r.family}.mod"]
    show(
        "recipes (--recipe), [whose outputs they were held against]", [*named, ("FAMILY.mod", "a family's output % M")]
    )
    show(
        "families (kernels/families)",
        [(f.name, f"{f.title}; {f.algebra}  [{f.verified}]") for f in kernels.families().values()],
    )
    kind, why = devices.choose("auto")
    show(
        "devices (--device)", [(k, f"auto means this one here ({why})" if k == kind else "") for k in devices.KINDS[1:]]
    )


if __name__ == "__main__":
    main()
