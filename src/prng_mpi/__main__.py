"""The command prng-mpi, or python -m prng_mpi: runs a step, or says what there is: steps, recipes, families, devices.

prng-mpi STEP ... is python -m prng_mpi.STEP ..., under mpirun as well."""

from __future__ import annotations

import runpy
import sys

import prng_mpi
from prng_mpi.errors import ExitCode, suggestion

STEPS = {
    "sieve": "hold every seed of a range against a window of draws",
    "recover": "solve for the state of a linear generator, whatever seeded it",
    "need": "how many draws make a search decisive",
    "predict": "the outputs of a seed at any distance, before or after the draws; or the next draws by a pool",
    "identify": "which recipes can have made the draws, and what would find out",
    "jobs": "run a file of jobs: sieve, reverse_sieve, correlation, analysis, script",
    "status": "how far a run is, what it found and what went wrong; from any shell, live or after",
    "coverage": "which seeds of a search are done, over one folder or several, and which are not",
    "report": "one HTML file with verdict, evidence, figures and provenance of a run",
    "doctor": "what would stop or spoil a run on these hosts, and the remedy",
    "window_optimizer": "which window, skips, threshold, direction and recipe have evidence: trials beside decoys",
    "scorer_meta": "which parameters of the features rank planted seeds above chance survivors",
    "full_scoring": "what is seen of each survivor up to several cuts in time, and what it hits after them",
    "adaptive_meta": "how large a pool, a network and a study the scored survivors bear",
    "anti_overfit": "four models learn from scored survivors; one look at the test opens a gate, or there is no signal",
    "pipeline": "steps 1 to 6 one after another, in one folder; only what changed runs again",
    "supervise": "run an mpirun command to its end, over lost hosts",
    "bench": "measure the devices of all ranks, or this program against another",
}


def main() -> None:
    """Run the step that the first word names; else print the lists, with words only the lines that contain them all."""
    words = sys.argv[1:]
    if words and words[0] in STEPS:
        # As its own program and nothing else: what ranks send each other names classes by the module they are in.
        sys.argv = words
        runpy.run_module(f"prng_mpi.{words[0]}", run_name="__main__", alter_sys=True)
        return
    if words == ["--version"]:
        print(f"prng_mpi {prng_mpi.__version__}")
        return
    flag = next((word for word in words if word.startswith("-")), None)
    if flag not in (None, "-h", "--help"):
        raise SystemExit(_refuse(f"Unknown option {flag}: a step comes first, as in prng-mpi sieve --help"))
    wanted = [word for word in words if word != flag]
    shown = _lists([word.lower() for word in wanted])
    if not shown:
        near = suggestion(wanted[0], STEPS)
        raise SystemExit(_refuse(f"no step, recipe, family or device has {' '.join(wanted)!r} in its line{near}"))
    print(shown)


def _refuse(sentence: str) -> ExitCode:
    print(f"prng_mpi: {sentence}", file=sys.stderr)
    return ExitCode.USAGE


def _lists(wanted: list[str]) -> str:
    # A step that starts shall not wait for these.
    from prng_mpi import devices, kernels
    from prng_mpi.recipes import recipes

    blocks = []

    def show(title: str, rows: list[tuple[str, str]]) -> None:
        kept = [row for row in rows if all(word in " ".join(row).lower() for word in wanted)]
        if kept:
            width = max(len(row[0]) for row in kept)
            blocks.append(f"{title}\n" + "".join(f"  {name:<{width}}  {text}\n" for name, text in kept))

    show("steps (prng-mpi STEP --help, or python -m prng_mpi.STEP --help)", list(STEPS.items()))
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
    return "\n".join(blocks).removesuffix("\n")


if __name__ == "__main__":
    main()
