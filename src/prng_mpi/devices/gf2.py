"""Recovery on the host's CPU: states of generators that are linear over GF(2), from their draws. See kernels/gf2.h."""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prng_mpi import kernels
from prng_mpi.devices.base import known_answers
from prng_mpi.devices.cpu import build, pointer, processor
from prng_mpi.errors import DeviceError
from prng_mpi.recipes import Recipe
from prng_mpi.search import Search

_VIEW = np.dtype([(name, "<u8") for name in ("shift", "bits", "first", "stride", "draws")])
_STRIP = 64
_ALIGN = 64

Words = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class View:
    """What draws show of a generator: the lowest `bits` bits of a draw are bits shift .. of the raw value (one word, or two
    side by side), which is linear in the state. refuses: chance that a call rejects a value and takes another, which would
    move all draws after it."""

    shift: int
    bits: int
    refuses: float


def view(recipe: Recipe, modulus: int) -> View | str:
    """What draws of a recipe show, or why they show nothing, as the end of a sentence."""
    fam = kernels.family(recipe.family)
    if fam.linear is None:
        return f"family {recipe.family} is not linear over GF(2) ({fam.algebra})"
    twos, power = (modulus & -modulus).bit_length() - 1, modulus & (modulus - 1) == 0
    word = fam.word_bits
    if recipe.mapping in ("mod", "php"):
        rejects = recipe.mapping == "php" and not power
        return (
            View(0, twos, 2**word % modulus / 2**word if rejects else 0.0) if twos else "an odd modulus hides every bit"
        )
    if recipe.mapping == "masked":
        bits = (modulus - 1).bit_length()
        return View(0, bits, 1 - modulus / 2**bits)
    if recipe.mapping == "top_bits":
        bits = modulus.bit_length()
        return View(word - bits, bits, 1 - modulus / 2**bits)
    if recipe.mapping == "unit_27_26" and power and twos <= 27:
        return View(2 * word - twos, twos, 0.0)
    return f"the bits of int(random() * {modulus}) are not linear; a modulus that is a power of two would show them"


@dataclass(frozen=True)
class Attempt:
    """What came of one skip. settled: unknowns that the draws settle one after the other, `unknowns` of them where the
    equations leave no choice; tried: sets of draws; words: the state's words before output 0, or None; used: bool (k,),
    the draws that settled the state; matches: of the k draws."""

    settled: int
    unknowns: int
    tried: int
    words: Words | None = None
    used: npt.NDArray[np.bool_] | None = None
    matches: int = 0


class Gf2Device:
    """One recipe's equations and their solution on the host's CPU. build: `cpu` or `reference` (plain integers)."""

    def __init__(self, recipe: Recipe, kind: str = "cpu") -> None:
        linear = kernels.family(recipe.family).linear
        if linear is None:
            raise DeviceError(f"family {recipe.family} is not linear over GF(2), so its states can't be solved for")
        self.recipe, self.unknowns, self.unused = recipe, linear.bits, linear.unused
        self.word_bits = kernels.family(recipe.family).word_bits
        defines = f"#define STATE_BITS {linear.bits}\n#define STATE_UNUSED {linear.unused}\n"
        self._library = ctypes.CDLL(str(build(defines + recipe.text("gf2.h"), kind)))
        for name in ("words_of_state", "solve", "decode"):
            if hasattr(self._library, name):
                getattr(self._library, name).restype = ctypes.c_uint64
        self._words = int(self._library.words_of_state())
        self._strips = linear.bits // (8 * _STRIP) + 1
        self.decodes = hasattr(self._library, "decode")
        self.name = f"{processor()}, linear algebra"

    def seeded(self, seed: int) -> Words:
        """The state's words after seeding: '<u8' (words,)."""
        words = np.zeros(self._words, np.uint64)
        self._library.seeded(ctypes.c_uint64(seed), pointer(words))
        return words

    def values(self, modulus: int, words: Words, first: int, stride: int, count: int) -> npt.NDArray[np.uint32]:
        """Outputs first, first + stride, ... of a state, in [0, M), rejected values left out: '<u4' (count,)."""
        record = Search(self.recipe, modulus, np.zeros(1, np.uint32), 0, 1).record()
        out = np.zeros(count, np.uint32)
        state = np.ascontiguousarray(words, np.uint64)
        self._library.values(
            *(pointer(record), pointer(state), ctypes.c_uint64(first), ctypes.c_uint64(stride)),
            *(ctypes.c_uint64(count), pointer(out)),
        )
        return out

    def _equations(
        self, seen: View, draws: npt.NDArray[np.uint32], first: int, stride: int
    ) -> tuple[npt.NDArray[np.void], npt.NDArray[np.uint64]]:
        record = np.zeros(1, _VIEW)
        for name, value in (("shift", seen.shift), ("bits", seen.bits), ("first", first), ("stride", stride)):
            record[name] = value
        record["draws"] = len(draws)
        matrix = _room(self._strips * len(draws) * seen.bits * _STRIP)
        self._library.equations(pointer(record), pointer(draws), pointer(matrix))
        return record, matrix

    def solve(
        self, modulus: int, seen: View, draws: npt.NDArray[np.uint32], first: int, stride: int, most: int
    ) -> Attempt:
        """The one state whose outputs first, first + stride, ... are the draws, all of them; the equations are those of
        the first `most` draws, or of twice as many where those leave the state open."""
        draws = np.ascontiguousarray(draws, np.uint32)
        attempt = self._solve(modulus, seen, draws, first, stride, min(most, len(draws)))
        if attempt.settled < self.unknowns and most < len(draws):
            attempt = self._solve(modulus, seen, draws, first, stride, min(2 * most, len(draws)))
        return attempt

    def _solve(
        self, modulus: int, seen: View, draws: npt.NDArray[np.uint32], first: int, stride: int, most: int
    ) -> Attempt:
        _, matrix = self._equations(seen, draws[:most], first, stride)
        settled, pivots, solution, contradictions = self.eliminate(matrix, most * seen.bits, self.unknowns)
        if settled < self.unknowns or contradictions:
            return Attempt(settled, self.unknowns, 1)
        words = _split(solution << self.unused, self._words, self.word_bits)
        matches = int((self.values(modulus, words, first, stride, len(draws)) == draws).sum())
        used = np.zeros(len(draws), bool)
        used[pivots // seen.bits] = True
        return Attempt(settled, self.unknowns, 1, words, used, matches)

    def eliminate(
        self, matrix: npt.NDArray[np.uint64], rows: int, unknowns: int
    ) -> tuple[int, npt.NDArray[np.uint32], int, int]:
        """(unknowns settled, the row that settled each, solution as an integer, rows left that say 0 = 1) of equations in
        strips, '<u8' (strips x rows x 8,), which are used up."""
        live, pivots = np.zeros(rows, np.uint32), np.zeros(unknowns, np.uint32)
        combos, tables = _room(rows * _STRIP), _room(64 * 256 * _STRIP)
        solution, contradictions = _room((unknowns // (8 * _STRIP) + 1) * _STRIP), np.zeros(1, np.uint64)
        settled = self._library.solve(
            *(pointer(matrix), ctypes.c_uint64(rows), ctypes.c_uint64(unknowns), pointer(live), pointer(combos)),
            *(pointer(tables), pointer(pivots), pointer(solution), pointer(contradictions)),
        )
        return int(settled), pivots, int.from_bytes(solution.tobytes(), "little"), int(contradictions[0])

    def decode(
        self,
        modulus: int,
        seen: View,
        draws: npt.NDArray[np.uint32],
        first: int,
        stride: int,
        need: int,
        trials: int,
        mix: int,
    ) -> Attempt:
        """The first state found that matches `need` of the draws, from at most `trials` random sets of them. The same
        `mix` gives the same sets."""
        draws = np.ascontiguousarray(draws, np.uint32)
        k = len(draws)
        record, matrix = self._equations(seen, draws, first, stride)
        search = Search(self.recipe, modulus, np.zeros(1, np.uint32), 0, 1).record()
        search["need"] = need
        words, used, order = np.zeros(self._words, np.uint64), np.zeros(k, np.uint8), np.zeros(k, np.uint32)
        matches = np.zeros(1, np.uint64)
        tried = int(
            self._library.decode(
                *(pointer(search), pointer(record), pointer(draws), pointer(matrix), ctypes.c_uint64(trials)),
                *(ctypes.c_uint64(mix), pointer(words), pointer(used), pointer(order), pointer(matches)),
            )
        )
        settled = self.unknowns if tried else 0
        if not matches[0]:
            return Attempt(settled, self.unknowns, tried)
        return Attempt(settled, self.unknowns, tried, words, used.astype(bool), int(matches[0]))

    def unseed(self, words: Words, most: int) -> tuple[int, str, int] | None:
        """(seed, seeding, words taken since) of a state; the seeding is the recipe's or, for the Mersenne Twister, either of
        its own, at most `most` words ago. None where no seed leads to the state."""
        state = np.ascontiguousarray(words, np.uint64)
        if hasattr(self._library, "unseed"):
            found, room = np.zeros(2, np.uint64), np.zeros(len(state) + most, np.uint32)
            kind = self._library.unseed(
                pointer(state), ctypes.c_uint64(most), pointer(room), pointer(found), pointer(found[1:])
            )
            return (int(found[0]), ("init_genrand", "init_by_array")[kind - 1], int(found[1])) if kind else None
        # The other families begin with the seed.
        return (int(state[0]), self.recipe.seeding, 0) if (self.seeded(int(state[0])) == state).all() else None

    def check(self) -> int:
        """Hold the device against known answers; how many outputs agreed. Values must be those of the real runtime, known
        states must obey the equations, and a known system must be solved. Raises DeviceError."""
        agreed = 0
        for seed, modulus, first, expected in known_answers(self.recipe):
            words = self.seeded(seed)
            got = self.values(modulus, words, first, 1, len(expected))
            if got.tolist() != list(expected):
                raise DeviceError(
                    f"{self.name} computes recipe {self.recipe.name} wrongly from seed {seed}; it is not used"
                )
            agreed += len(expected)
            seen = view(self.recipe, modulus)
            if isinstance(seen, View) and not seen.refuses and not self._obeys(seen, words, modulus):
                raise DeviceError(f"{self.name} makes wrong equations for {self.recipe.name}; it is not used")
        if not self._solves(600, 520):
            raise DeviceError(f"{self.name} solves equations wrongly; it is not used")
        return agreed

    def _obeys(self, seen: View, words: Words, modulus: int) -> bool:
        """Whether a state solves the equations of its own draws."""
        draws = self.values(modulus, words, 3, 2, 5)
        _, matrix = self._equations(seen, draws, 3, 2)
        rows = len(draws) * seen.bits
        state = sum(int(w) << i * self.word_bits for i, w in enumerate(words)) >> self.unused
        right = 1 << (self._strips * 8 * _STRIP - 1)
        strips = matrix.reshape(self._strips, rows, 8)
        equations = (int.from_bytes(strips[:, i].tobytes(), "little") for i in range(rows))
        return all((e & (state | right)).bit_count() % 2 == 0 for e in equations)

    def _solves(self, rows: int, unknowns: int) -> bool:
        """Whether a random system is solved, and found to contradict itself when its last equation is turned round."""
        rng = np.random.Generator(np.random.PCG64(1))
        strips = unknowns // (8 * _STRIP) + 1
        truth = int.from_bytes(rng.bytes(unknowns // 8), "little")
        for wrong in (0, 1):
            matrix = _room(strips * rows * _STRIP)
            table = matrix.reshape(strips, rows, 8)
            for i in range(rows):
                equation = int.from_bytes(rng.bytes(unknowns // 8), "little")
                right = (equation & truth).bit_count() % 2 ^ (wrong and i == rows - 1)
                whole = equation | right << (strips * 8 * _STRIP - 1)
                table[:, i] = np.frombuffer(whole.to_bytes(strips * _STRIP, "little"), np.uint64).reshape(strips, 8)
            settled, _, solution, contradictions = self.eliminate(matrix, rows, unknowns)
            if settled < unknowns or bool(contradictions) != bool(wrong) or (not wrong and solution != truth):
                return False
        return True


def draws_needed(unknowns: int, shown: int) -> int:
    """Draws that settle a state at any skip, where each shows so many bits: what the equations of all families took, and
    a little more. Some equations follow from others: at skip 0 mt19937 took 3.1 % over the least with up to three bits, 56 %
    with ten; the small families up to three draws."""
    least = math.ceil(unknowns / shown)
    return least + 4 + (least // 25 if shown <= 3 else least * 3 // 5)


def trials_needed(k: int, need: int, per_set: int, by_luck: float, miss: float) -> float:
    """Sets of per_set draws to try so that the chance never to meet one without contradiction is `miss`, where `need` of k
    draws are right and each wrong one shows the right bits with probability by_luck. inf where no number would do."""
    wrong = k - need
    log_pmf = [
        math.lgamma(wrong + 1) - math.lgamma(x + 1) - math.lgamma(wrong - x + 1)
        + (x * math.log(by_luck) if x else 0.0) + (wrong - x) * math.log1p(-by_luck)
        for x in range(wrong + 1 if by_luck > 0 else 1)
    ]  # fmt: skip
    clean = [math.exp(_log_choose(need + x, per_set) - _log_choose(k, per_set)) for x in range(len(log_pmf))]

    def missed(trials: float) -> float:
        return sum(math.exp(p + trials * math.log1p(-min(q, 1 - 1e-15))) for p, q in zip(log_pmf, clean, strict=True))

    low, high = 0.0, 1.0
    while missed(high) > miss:
        low, high = high, 2 * high
        if high > 1e15:
            return math.inf
    while high - low > max(1.0, high * 1e-3) / 2:
        middle = (low + high) / 2
        low, high = (middle, high) if missed(middle) > miss else (low, middle)
    return math.ceil(high)


def _log_choose(n: int, r: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(r + 1) - math.lgamma(n - r + 1) if r <= n else -math.inf


def _room(size: int) -> npt.NDArray[np.uint64]:
    """Zeroed memory of so many bytes, a multiple of 8, that begins where vectors may."""
    raw = np.zeros(size // 8 + _ALIGN // 8, np.uint64)
    start = -raw.ctypes.data % _ALIGN // 8
    return raw[start : start + size // 8]


def _split(value: int, words: int, width: int) -> Words:
    """An integer as words of so many bits, the lowest first."""
    return np.array([value >> i * width & (1 << width) - 1 for i in range(words)], np.uint64)
