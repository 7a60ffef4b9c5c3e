"""Floor 2: reports of studies, and of the models that a study chose, from what their folders hold.

Results are taken from results.h5 and summary.json, which a study writes at its end; what went on before stands in its ledger."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from prng_mpi import figures, learning, page
from prng_mpi.display import duration
from prng_mpi.errors import UsageError
from prng_mpi.figures import Figure
from prng_mpi.page import Page
from prng_mpi.runs import Run
from prng_mpi.statistics import STRONG_LOG10, format_count, format_log10, log10_tails
from prng_mpi.store import open_tables

Table = npt.NDArray[np.void]
Words = tuple[str, list[str]]

# Trials that are listed, the best.
LISTED = 20
# An objective below this is that of a fit that failed.
FAILED = -1e8
# What an objective and that of its decoy are, to people.
REAL, PLANTED = ("in the real draws", "in a decoy"), ("what planting adds", "rank above the middle, nothing planted")


def optimizer(run: Run) -> Page:
    """The report of a window optimiser's study. Raises UsageError, IntegrityError."""
    tables, attributes = _results(run)
    trials, said = tables["trials"], run.summary or {}
    title, sentences = _evidence(run, said, trials)
    facts = _facts(run, ("space", _space(run.identity["space"])), ("seeds", _seeds(run.identity["seeds"])))
    found, before = said["verdict"] in ("strong", "found"), ""
    if found:
        before = _outputs(said["best"]["survivor"]) + _command(attributes, said["best"]["sieve"])
    drawn = [] if not len(trials) else [
        figures.history(
            trials["objective"], trials["decoy_objective"], REAL, said["decoys"]["evidence_from"], "from here it is evidence", "-log10 E",
            "If nothing is there, points and diamonds are alike, and none is above the dashed line, which is what E = 0.001 and the best "
            "decoy ask for.",
        ),
        *_parameters(
            trials, said["best"]["trial"], REAL,
            "If nothing is there, bars end within their bands, and diamonds lie where bars do. A study that follows its own luck draws both "
            "out a little.",
        ),
    ]  # fmt: skip
    return _page(
        run,
        attributes,
        said["verdict"],
        said["verdict"],
        (title, sentences),
        facts,
        drawn,
        before,
        _trials(trials, said["best"]),
    )


def scorer(run: Run) -> Page:
    """The report of a study of the scorer's parameters. Raises UsageError, IntegrityError."""
    tables, attributes = _results(run)
    trials, said = tables["trials"], run.summary or {}
    if not said.get("best"):
        sentence = f"{said['trials_done']} of {said['trials']} trials are done, and the optimum is chosen when all are."
        return _page(run, attributes, "unfinished", "chance", ("Not at its end", [sentence]), _facts(run), [], "", "")
    fresh, decoys, kept = said["fresh"], said["decoys"], said["scorer"]
    difference = fresh["optimum"] - fresh["defaults"]
    better = difference > 2 * fresh["error"]
    title = "Better parameters are found" if better else "No better than the defaults"
    whose = "The best trial's" if difference > 0 else "The defaults"
    sentences = [
        f"On freshly planted seeds, which chose nothing, the best trial adds {fresh['optimum']:.3f} to a seed's rank, the defaults "
        f"{fresh['defaults']:.3f}: {difference:+.3f} ± {fresh['error']:.3f}"
        f"{'.' if better else ', no more than luck.'} {whose} are kept.",
        f"With nothing planted seeds rank {decoys['least']:+.3f} to {decoys['greatest']:+.3f} from the middle, by chance 0 ± {decoys['spread']:.3f}. "
        "A perfect score would add 0.5.",
        *([f"Warning: {said['warning']}."] if said["warning"] else []),
    ]  # fmt: skip
    facts = _facts(
        run,
        ("kept", ", ".join(f"{name} {value}" for name, value in kept.items())),
        ("plants", f"{run.identity['plants']}, ranked among {run.identity['chance']} chance survivors of {run.identity['recipe']}"),
    )  # fmt: skip
    # In the decoys nothing was planted: what their ranks have above the middle is luck.
    trials = _with(trials, "decoy_objective", trials["decoy"] - 0.5)
    drawn = [
        figures.history(
            trials["objective"], trials["decoy_objective"], PLANTED, fresh["defaults"], "the defaults, on fresh plants", "added to a seed's rank",
            "If nothing is there, points lie around 0 like the diamonds. The best of many is above what it gives on fresh plants.",
        ),
        *_parameters(
            trials, said["best"]["trial"], PLANTED,
            "If nothing is there, bars end within their bands. All trials have the same histories, so that luck, too, follows the parameters: "
            "diamonds show how much, and the objective has it subtracted.",
        ),
    ]  # fmt: skip
    label, tone = (
        ("warning", "candidate")
        if said["warning"]
        else ("better" if better else "no better", "found" if better else "chance")
    )
    return _page(run, attributes, label, tone, (title, sentences), facts, drawn, "", _trials(trials, said["best"]))


def models(run: Run) -> Page:
    """The report of models, their gate first. Raises UsageError, IntegrityError."""
    tables, attributes = _results(run)
    trials, said = tables["trials"], run.summary or {}
    failed = [(text, 1, "the others went on; look at memory and at that model's library") for text in said["failed"]]
    asked = trials[trials["final"] == 0]
    steps = np.where(asked["objective"] > FAILED, asked["objective"], np.nan)
    drawn = [
        figures.history(
            steps, None, ("of a trial",), -STRONG_LOG10, "worth learning from", "log10 likelihood ratio",
            "If nothing is there, all trials stay below the dashed line: no setting beats predicting the mean, on the cut that models are "
            "chosen on.",
        )
    ]  # fmt: skip
    if said["gate"] is None:
        sentences = [f"{said['trials_done']} of {said['trials']} fits are done; the test was not looked at."]
        return _page(
            run, attributes, "unfinished", "chance", ("No verdict yet", sentences), _facts(run), drawn, "", "", failed
        )
    chosen, pool, opened = said["chosen"], said["pool"], said["gate"] == "open"
    curves, groups = _by_model(tables["roc"]), _by_model(tables["calibration"])
    lost = {name: rows["log10_lost"] for name, rows in _by_model(tables["importance"]).items()}
    features = [name.decode() for name in _by_model(tables["importance"])[chosen]["feature"]]
    drawn = [
        figures.models(tables["metrics"]), figures.roc(curves, chosen), figures.calibration(groups[chosen], chosen),
        figures.importance(lost, features, chosen), *drawn,
    ]  # fmt: skip
    facts = _facts(
        run,
        ("test", f"draws {attributes['test_start']} to {attributes['test_end'] - 1}, looked at once"),
        ("pool", f"{pool['size']} of {format_count(len(tables['scores']))} survivors of {attributes['recipe']}"),
        ("features", f"{len(features)}"),
    )
    words = "A signal: the gate is open" if opened else "No signal: the gate is closed", _gate(said)
    label, tone = ("signal", "found") if opened else ("no signal", "chance")
    return _page(run, attributes, label, tone, words, facts, drawn, "", _models(said), failed)


def pipeline(folder: Path, said: dict[str, Any]) -> Page:
    """The report of a pipeline: its steps, and links to their reports where these are written. said: its summary."""
    steps, tones = said["steps"], {"signal": "found", "unfinished": "candidate"}
    rows = [
        (each["number"], each["name"], each["state"], "" if each["exit_code"] is None else each["exit_code"], duration(each["seconds"] or 0.0),
         each["statement"])
        for each in steps
    ]  # fmt: skip
    listed = []
    for each in steps:
        place = Path(each["folder"])
        # Relative, so that the folder may be moved with all that is in it.
        if (folder / place.name / "report.html").is_file():
            listed.append(f'<li><a href="{escape(quote(place.name))}/report.html">{escape(place.name)}</a></li>')
        elif each["name"] in ("sieve", *PAGES) and (folder / place.name / "summary.json").is_file():
            listed.append(
                f"<li>not written: <code>python -m prng_mpi.report {escape(str(folder / place.name))}</code></li>"
            )
    table = page.table(("step", "name", "state", "exit code", "time", "what it says"), rows, {0, 1, 2, 5})
    looks = f"{said['test_looks']}" + (", each of which counts" if said["test_looks"] > 1 else "")
    facts = (
        ("looks at the test", looks),
        ("time", duration(said["wall_seconds"])),
        ("exit code", f"{said['exit_code']}"),
    )
    titles = {"signal": "A signal", "no signal": "No signal", "unfinished": "Not at its end"}
    return Page(
        f"pipeline, {folder}", said["verdict"], tones.get(said["verdict"], "chance"), titles.get(said["verdict"], "Done"),
        (f"{said['statement']}.",), facts, (), "", f"<h2>Steps</h2>{table}<h2>Their reports</h2><ul>{''.join(listed)}</ul>",
    )  # fmt: skip


# The reports by the name of the step.
PAGES: dict[str, Callable[[Run], Page]] = {"window_optimizer": optimizer, "scorer_meta": scorer, "anti_overfit": models}


# -- what a folder says -------------------------------------------------------------------------------------------------


def _results(run: Run) -> tuple[dict[str, Table], dict[str, Any]]:
    """Tables and root attributes. Raises UsageError where the run has not come to an end, IntegrityError."""
    if run.summary is None:
        raise UsageError(
            f"{run.folder} is of a study that goes on or was killed, {run.n_done} of {run.n_asked} trials done: its report is written from "
            "what it leaves at its end; the same command goes on from here"
        )
    return open_tables(run.folder, run.identity["step"])


def _page(
    run: Run, attributes: dict[str, Any], label: str, tone: str, words: Words, facts: list[tuple[str, str]], drawn: Sequence[Figure],
    before: str, tables: str, failed: Sequence[tuple[str, int, str]] = (),
) -> Page:  # fmt: skip
    title, sentences = words
    if run.gaps:
        title = f"{title}, so far"
        sentences = [
            *sentences,
            f"{run.n_done} of {run.n_asked} trials are done ({run.state}); the same command goes on from here.",
        ]
    if any(a.outcome == "done" for a in run.attempts):
        drawn = [*drawn, figures.chunks(figures.timeline(run.attempts), "Trials", ", but for pauses between batches")]
    after = tables + page.troubles(run, failed) + page.devices(run) + page.provenance(run, attributes, "study")
    return Page(
        f"{run.identity['step']} [{run.search[:8]}], {run.folder}", label, "found" if tone == "strong" else tone, title, tuple(sentences),
        tuple(facts), tuple(drawn), before, after,
    )  # fmt: skip


def _facts(run: Run, *more: tuple[str, str]) -> list[tuple[str, str]]:
    said = run.summary or {}
    return [
        ("study", f"{said['trials_done']} of {said['trials']} trials, in batches of {run.identity['batch']}, seed {run.identity['study_seed']}"),
        *more,
        ("time", f"{duration(said['wall_seconds'])} in the last run, {duration(said['device_seconds'])} on devices"),
        page.ended(run),
    ]  # fmt: skip


def _with(table: Table, name: str, values: npt.NDArray[Any]) -> Table:
    """The table with one more column."""
    wider = np.zeros(len(table), [*((n, table.dtype[n]) for n in table.dtype.names or ()), (name, values.dtype)])
    for column in table.dtype.names or ():
        wider[column] = table[column]
    wider[name] = values
    return wider


def _by_model(table: Table) -> dict[str, Table]:
    """Rows of each model, models in the order of the table."""
    names = dict.fromkeys(table["model"].tolist())
    return {name.decode(): table[table["model"] == name] for name in names}


def _parameters(trials: Table, chosen: dict[str, Any], says: tuple[str, str], note: str) -> list[Figure]:
    """How closely the objective follows what a study could choose; nothing where it had no choice, or too few trials."""
    names = [name for name in chosen if name != "number" and len(np.unique(trials[name])) > 1]
    if not names or len(trials) < 3:
        return []
    real, decoy = (
        [learning.association(trials[name], trials[of], 0) for name in names] for of in ("objective", "decoy_objective")
    )
    return [figures.parameters(names, real, decoy, says, note)]


def _trials(trials: Table, best: dict[str, Any] | None) -> str:
    """The best trials as a table."""
    if best is None or not len(trials):
        return ""
    names = [name for name in best["trial"] if len(np.unique(trials[name])) > 1]
    rows = trials[np.argsort(-trials["objective"], kind="stable")[:LISTED]]
    listed = [
        [
            *(_plain(row[name]) for name in names),
            f"{row['objective']:.3g}",
            f"{row['decoy_objective']:.3g}",
            f"{row['seconds']:.2g}",
        ]
        for row in rows
    ]
    words = {i for i, name in enumerate(names) if trials.dtype[name].kind == "S"}
    more = f"<p>The {LISTED} best of {len(trials)}; results.h5 has all.</p>" if len(trials) > LISTED else ""
    return f"<h2>Trials</h2>{page.table([*names, 'objective', 'decoy', 'seconds'], listed, words)}{more}"


def _plain(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else f"{value:g}"


# -- words ------------------------------------------------------------------------------------------------------------


_TITLES = {
    "found": "A window with a seed is found", "strong": "A window that is not chance under the model",
    "candidate": "No signal beyond chance", "chance": "No signal",
}  # fmt: skip


def _evidence(run: Run, said: dict[str, Any], trials: Table) -> Words:
    """The verdict of a window optimiser as a title and sentences."""
    best, decoys, verdict = said["best"], said["decoys"], said["verdict"]
    if best is None:
        return "No trial is done", []
    look, trial, found = best["look"], best["trial"], best["survivor"]
    need = decoys["evidence_from"]
    beside = (
        f"The best objective (-log10 E) is {look['objective']:.1f} in the real draws and {decoys['best_objective']:.1f} in the same draws "
        f"shuffled; evidence begins at {need:.1f}."
    )
    rows = []
    if found is not None:
        skips = " ".join(map(str, found["path"])) if "path" in found else str(found["skip"])
        rows.append(
            f"{'Trial' if verdict in ('strong', 'found') else 'The best is trial'} {trial['number']}: seed {found['seed']} ({found['seed']:#x}) of {trial['recipe']}, skip {skips}, offset "
            f"{found['offset']}, matches {found['matches']} of {look['draws']} draws ({trial['direction']}, from draw {trial['window_start']} of "
            f"session {trial['session']} on). Chance alone gives {format_log10(-look['objective'])} survivors this good in all "
            f"{said['looks']} trials (that is E)."
        )
        if found["heldout"]:
            p = format_log10(found["heldout_log10_p"])
            rows.append(
                f"Of {found['heldout']} later draws, which no trial has seen, it matches {found['heldout_matches']} (by chance p = {p})."
            )
    if verdict in ("strong", "found"):
        return _TITLES[verdict], [*rows, beside]
    searched = trials[(trials["hypotheses"] > 0) & (trials["note"] == b"")]
    if len(searched):
        shown = -searched["draws"].astype(np.float64) * np.log10(run.identity["modulus"]) + np.log10(
            searched["hypotheses"] * said["looks"]
        )
        rows.append(
            f"A true seed that makes every draw of a trial's window would have shown about E = {format_log10(float(np.median(shown)))}."
        )
    if said["warning"]:
        rows.append("Shuffled draws, which no generator has made, give as much: the optimiser fits noise.")
    return _TITLES[verdict], [beside, *rows]


def _gate(said: dict[str, Any]) -> list[str]:
    """The gate's verdict in sentences."""
    pool, chosen = said["pool"], said["models"][said["chosen"]]
    draws, chance = pool["draws"], pool["by_chance"]
    # Draws that are alike on average have the widest law.
    opens = int(np.argmax(log10_tails(np.full(draws, chance / draws)) <= STRONG_LOG10))
    enough = (
        f"About {opens} hits would have opened the gate"
        if opens
        else "No number of hits among so few draws would open the gate"
    )
    if said["gate"] == "open":
        enough = f"The gate opens at p = {10**STRONG_LOG10:g}, here from about {opens} hits on"
    return [
        f"Of {draws} draws of the test, which no model had seen, {pool['hits']} are among what the {pool['size']} survivors name that "
        f"{said['chosen']} ranks first. Chance alone gives {format_count(chance)}: p = {format_log10(pool['log10_p'])}.",
        f"{enough}; a survivor that gives every draw would have hit all {draws}.",
        f"Where labels are dealt to survivors at random, those ranked first have as many hits with p = {pool['permutation_p']:.2g}.",
        f"{said['chosen']} was chosen before, on other draws, where it beat predicting the mean by {chosen['objective']:.1f} in log10 likelihood; "
        f"on the test it is {chosen['log10_gain']:.1f}.",
    ]  # fmt: skip


def _models(said: dict[str, Any]) -> str:
    """The models as a table."""
    rows = []
    for name, each in said["models"].items():
        params = ", ".join(f"{key} {value:.3g}" for key, value in each["params"].items())
        ratio = each["overfit_ratio"]
        rows.append((
            name, "chosen" if name == said["chosen"] else "", f"{each['objective']:.1f}", f"{each['log10_gain']:.1f}", f"{each['r2']:.4f}",
            f"{each['auc']:.3f}", f"{each['spearman']:.3f}", f"{each['top']:.0f}", "inf" if ratio is None else f"{ratio:.2f}", each["rounds"],
            each["device"], each["version"], params,
        ))  # fmt: skip
    heads = (
        "model", "", "objective", "gain", "R²", "AUC", "Spearman", "top", "overfit", "rounds", "device", "version", "settings",
    )  # fmt: skip
    note = (
        "<p>objective: log10 likelihood ratio against the mean, where models were chosen; gain: the same on the test; top: hits of the "
        "first-ranked; overfit: squared error on the test over that on the fitted rows, 1 where nothing was overfitted.</p>"
    )
    return f"<h2>Models</h2>{page.table(heads, rows, {0, 1, 10, 11, 12})}{note}"


def _outputs(found: dict[str, Any]) -> str:
    if not found.get("next_outputs"):
        return ""
    return f'<h2>What it gives next</h2><p class="next">{" ".join(map(str, found["next_outputs"]))}</p>'


def _command(attributes: dict[str, Any], flags: list[str]) -> str:
    """The sieve that finds it, and all that survives beside it."""
    given = tomllib.loads(attributes["config"])
    # What a trial does not choose is as in the study.
    same = [("draws", given["draws"]), ("modulus", given["modulus"])]
    same += [
        (name.replace("_", "-"), given[name])
        for name in ("seed_start", "seed_end", "seeds")
        if given.get(name) not in (None, "")
    ]
    words = [
        "python",
        "-m",
        "prng_mpi.sieve",
        *(word for name, value in same for word in (f"--{name}", str(value))),
        *flags,
    ]
    return f"<h2>The sieve that keeps all survivors of it</h2>{page.block(shlex.join(words))}"


def _space(space: dict[str, Any]) -> str:
    ranges = ", ".join(
        f"{name} {space[name][0]:g} to {space[name][1]:g}"
        for name in ("window", "start", "skip", "offset", "threshold")
    )
    return f"{' '.join(space['recipes'])}; {ranges}; {' '.join(space['directions'])}; strategy {' '.join(space['strategies'])}"


def _seeds(seeds: dict[str, Any]) -> str:
    return "; ".join(f"{name}: {each['text']}" for name, each in seeds.items())
