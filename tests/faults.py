"""Named fault points of a run, for the campaign: a hook that runs in every rank of a test before the step.

FAULT="POINT:N:KIND:RANK" makes that rank meet a fault when it passes the point for the Nth time. What it met is written to
the file FAULT_LOG before it happens; without FAULT the file gets each pass, so that a campaign knows what there is to hit."""

from __future__ import annotations

from support import INJECT

# What can happen where. root: points that only root passes; others: points of all other ranks.
KILL, STOP, RAISE, FULL = "kill", "stop", "raise", "full"
ROOT = {
    "share": (KILL, RAISE),
    "issued": (KILL, RAISE),
    "handed out": (KILL, RAISE),
    "kernel": (KILL, RAISE),
    "commit": (KILL, RAISE),
    "in commit": (KILL, RAISE, FULL),
    "committed": (KILL, RAISE),
    "event": (KILL, RAISE),
    "rename results.h5": (KILL, RAISE, FULL),
    "rename summary.json": (KILL, RAISE, FULL),
}
OTHERS = {
    "hello": (KILL, STOP, RAISE),
    "token": (KILL, STOP, RAISE),
    "kernel": (KILL, STOP, RAISE),
    "result": (KILL, STOP, RAISE),
    "sent": (KILL, STOP, RAISE),
    "farewell": (KILL, STOP, RAISE),
}

HOOK = (
    INJECT
    + """
import errno, os, signal, sqlite3
from prng_mpi import comm as comms, farm, ledger, store
comms.HELLO = comms.SHARE = comms.FAREWELL = 1.0
passed = {}
fault = os.environ.get("FAULT", "")

def note(text):
    with open(os.environ["FAULT_LOG"], "a") as log:
        log.write(text + "\\n")

def reach(point):
    passed[point] = passed.get(point, 0) + 1
    if not fault:
        note(f"{rank}:{point}")
        return
    name, number, kind, where = fault.split(":")
    if (name, int(number), int(where)) != (point, passed[point], rank):
        return
    note(fault)
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    if kind == "raise":
        raise RuntimeError("injected")
    if kind == "full":
        disk, base = OSError(errno.ENOSPC, "No space left on device"), sqlite3.OperationalError("database or disk is full")
        raise base if point == "in commit" else disk

def wrap(owner, name, point, when=lambda *a: True, after=False):
    whole = getattr(owner, name)
    def wrapped(*a, **k):
        hit = when(*a)
        if hit and not after:
            reach(point)
        answer = whole(*a, **k)
        if hit and after:
            reach(point)
        return answer
    setattr(owner, name, wrapped)

def wrong(calls):
    reach("kernel")

wrap(comms.Comm, "send", "hello", lambda c, to, tag, *_: tag is comms.Tag.HELLO)
wrap(comms.Comm, "send", "result", lambda c, to, tag, *_: tag is comms.Tag.RESULT)
wrap(comms.Comm, "send", "sent", lambda c, to, tag, *_: tag is comms.Tag.RESULT, after=True)
wrap(comms.Comm, "send", "handed out", lambda c, to, tag, *_: tag is comms.Tag.CHUNK, after=True)
wrap(comms.Comm, "send", "farewell", lambda c, to, tag, *_: tag is comms.Tag.FAREWELL)
wrap(comms.Comm, "bcast", "share", lambda c, *_: c.rank == 0)
wrap(sieve, "in_turn", "token")
wrap(ledger.Ledger, "issue", "issued", after=True)
wrap(ledger.Ledger, "commit", "commit")
wrap(ledger.Ledger, "_end", "in commit", lambda self, lease, outcome, *_: outcome == "done")
wrap(ledger.Ledger, "commit", "committed", after=True)
wrap(store.EventLog, "_append", "event")
for product in ("results.h5", "summary.json"):
    wrap(os, "replace", f"rename {product}", lambda source, to, product=product: str(to).endswith(product))
# Nobody waits long in a test.
lead, dismiss = farm.Farm.lead, farm.Farm.dismiss
sieve.Farm.lead = lambda self, compute, card, limit, startup: lead(self, compute, card, limit, 3.0)
sieve.Farm.dismiss = lambda self: dismiss(self, 1.0)
"""
)
