"""The observation language: words against a naive evaluator, packing, clipping, and what cut_window makes of gaps."""

from __future__ import annotations

import io
import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prng_mpi import kernels, observations
from prng_mpi.errors import UsageError
from prng_mpi.history import History, Window, cut_window, read_history
from prng_mpi.observations import DRAW_LIMIT, Observations
from prng_mpi.recipes import Recipe, recipe

TOP = DRAW_LIMIT - 1


def read(text: str) -> History:
    return read_history("-", (), io.StringIO(text), partial=True)


def known(text: str) -> Observations:
    partial = read(text).partial
    assert partial is not None
    return partial


def window(text: str, start: int, k: int, modulus: int = 1000) -> Window:
    return cut_window(read(text), start, k, modulus)


numbers = st.one_of(st.integers(0, 20), st.integers(TOP - 20, TOP), st.integers(0, TOP))
blanks = st.sampled_from(["", " ", "\t ", "\n"])


@st.composite
def words(draw: st.DrawFn) -> tuple[str, object]:
    """A word with its naive meaning: a predicate of one value, or (least, most) unknown calls."""
    a, b = sorted((draw(numbers), draw(numbers)))
    blank, form = draw(blanks), draw(st.sampled_from(["exact", "set", "range", ">", ">=", "<", "<=", "?"]))
    if form == "exact":
        return str(a), lambda v: v == a
    if form == "set":
        members = draw(st.lists(numbers, min_size=1, max_size=8))
        return "{" + blank + f"{blank},{blank}".join(map(str, members)) + blank + "}", lambda v: v in members
    if form == "range":
        return f"[{blank}{a}{blank},{blank}{b}]", lambda v: a <= v <= b
    if form == "?":
        least, most = draw(st.integers(0, 9)), draw(st.integers(1, 9))
        least = min(least, most)
        return draw(
            st.sampled_from([("?", (1, 1)), (f"?x{most}", (most, most)), (f"?x{least}..{most}", (least, most))])
        )
    a = max(1, min(TOP - 1, a))
    tests = {">": a.__lt__, ">=": a.__le__, "<": a.__gt__, "<=": a.__ge__}
    return f"{form}{blank}{a}", tests[form]


@given(st.lists(words(), min_size=1, max_size=12), st.lists(numbers, min_size=1, max_size=12), st.sampled_from([" ", ",", " , ", "\n"]))  # fmt: skip
def test_words_mean_what_they_say(said: list[tuple[str, object]], values: list[int], between: str) -> None:
    # A comment first: a text that is [3,9] alone is JSON.
    told = [(i, meaning) for i, (_, meaning) in enumerate(said) if callable(meaning)]
    text = "# draws\n" + between.join(word for word, _ in said)
    if not told:
        with pytest.raises(UsageError, match="unknown calls only"):
            read(text)
        return
    history = read(text)
    assert history.records.tolist() == [i for i, _ in told]
    packed = history.partial or observations.pack(history.draws.tolist())
    assert len(packed) == len(told) == len(history.draws)
    for value in values:
        accepted = packed.accepts(np.full(len(told), value, np.uint32))
        assert accepted.tolist() == [meaning(value) for _, meaning in told]
    # Ranges ascend and do not touch, so each draw is written in one way only.
    for i, (_, meaning) in enumerate(told):
        ranges = packed.ranges(i)
        assert all(low <= high and meaning(low) and meaning(high) for low, high in ranges)
        assert all(a[1] + 1 < b[0] for a, b in itertools.pairwise(ranges))
        assert packed.exact[i] == (len(ranges) == 1 and ranges[0][0] == ranges[0][1])
        assert history.draws[i] == ranges[0][0]
    # The gap before a draw is the sum of the unknown calls since the last one.
    start = 0
    for (i, _), least, most in zip(told, packed.gap_min, packed.gap_max, strict=True):
        calls = [meaning for _, meaning in said[start:i]]
        assert (least, most) == (sum(c[0] for c in calls), sum(c[1] for c in calls))
        start = i + 1


@given(st.lists(words(), min_size=1, max_size=12))
def test_all_formats_agree(said: list[tuple[str, object]]) -> None:
    said = [("5", None), *said]
    lines = {
        "text": " ".join(word for word, _ in said),
        "csv": "note,draw,x\n" + "".join(f"a,{word},b\n" for word, _ in said).replace("\t", " "),
        "quoted": "draw;x\n" + "".join(f'"{word}";1\n' for word, _ in said),
        "json": json.dumps([word for word, _ in said]),
        "objects": json.dumps({"draws": [{"draw": word} for word, _ in said]}),
    }
    if any("\n" in word for word, _ in said):
        del lines["csv"]
    histories = [read(text) for text in lines.values()]
    for history in histories[1:]:
        assert history.draws.tolist() == histories[0].draws.tolist()
        assert history.records.tolist() == histories[0].records.tolist()
        assert (history.partial and history.partial.plain()) == (histories[0].partial and histories[0].partial.plain())


@given(st.sets(st.integers(0, 30), min_size=1))
def test_text_of_a_draw_reads_back(members: set[int]) -> None:
    packed = observations.pack([observations.one_of(members)])
    again = observations.parse(packed.text(0))
    assert observations.pack([again]).plain() == packed.plain()


def test_json_lists_are_sets_and_null_is_unknown() -> None:
    packed = known('[7, null, [9, 3, 4], "?x2..6", [5]]')
    assert [packed.ranges(i) for i in range(3)] == [((7, 7),), ((3, 4), (9, 9)), ((5, 5),)]
    assert (packed.gap_min.tolist(), packed.gap_max.tolist()) == ([0, 1, 2], [0, 1, 6])


def test_a_range_or_set_may_begin_a_text() -> None:
    assert known("[3,9] 4").ranges(0) == ((3, 9),)
    assert known(" {3,9}").ranges(0) == ((3, 3), (9, 9))
    assert known("[3, 9]\n[1, 2]").ranges(1) == ((1, 2),)
    # Alone it is JSON, as it always was.
    assert read("[3,9]").draws.tolist() == [3, 9]


def test_exact_histories_have_no_partial() -> None:
    assert read("1 2 3").partial is None
    # One value is exact however it is said, and calls after the last draw tell nothing.
    history = read("{1} [2,2] <=0 ? ?x7")
    assert history.partial is None and history.draws.tolist() == [1, 2, 0]
    assert read("? 1").partial is not None


def test_dates_and_sessions_follow_the_draws_that_tell() -> None:
    rows = "date,session,draw\n2024-01-01,a,?\n2024-01-02,b,9\n2024-01-03,a,{1,5}\n2024-01-04,a,?\n2024-01-05,a,7\n"
    history = read_history("-", ("a",), io.StringIO(rows), partial=True)
    assert history.dates == ("2024-01-03", "2024-01-05") and history.sessions == ("a", "a")
    assert history.records.tolist() == [2, 4] and history.dropped == 1
    assert history.partial is not None and history.partial.gap_min.tolist() == [1, 1]
    late = rows.replace("2024-01-04", "2023-01-04")
    with pytest.raises(UsageError, match=r"record 3 .* oldest first"):
        read_history("-", ("a",), io.StringIO(late), partial=True)


@pytest.mark.parametrize("text", ["1 ? 2", "1 {2,3}", "1 >5", "[1, null]"])
def test_callers_who_take_exact_draws_get_no_others(text: str) -> None:
    with pytest.raises(
        UsageError, match=r"record 1 \(counted from 0\): its draw is (unknown|a set or range of values)"
    ):
        read_history("-", (), io.StringIO(text))


@pytest.mark.parametrize(
    ("word", "what"),
    [
        ("[9,3]", "ends before it starts"),
        ("[1,4294967296]", "holds 4294967296, which is not an integer in [0, 2**32)"),
        ("{1,99999999999999999999}", "holds 99999999999999999999, which is not"),
        ("{}", "nor {1,5}"),
        ("{1,}", "nor {1,5}"),
        ("{1 5}", "nor {1,5}"),
        ("{1,5", "nor {1,5}"),
        ("[1,2,3]", "nor {1,5}"),
        ("{-1,5}", "nor {1,5}"),
        (">-1", "nor {1,5}"),
        ("<>5", "nor {1,5}"),
        (">", "nor {1,5}"),
        (">4294967295", "leaves no value"),
        ("<0", "leaves no value"),
        (">4294967296", "holds 4294967296"),
        ("??", "nor {1,5}"),
        ("?5", "nor {1,5}"),
        ("?x", "nor {1,5}"),
        ("?x0", "is not 1 to 2**32 - 1 unknown calls"),
        ("?x0..0", "is not 1 to 2**32 - 1 unknown calls"),
        ("?x6..2", "is not 1 to 2**32 - 1 unknown calls, the least number first"),
        ("?x4294967296", "is not 1 to 2**32 - 1 unknown calls"),
        ("?x2...6", "nor {1,5}"),
        ("{" + "9" * 5000 + "}", "nor {1,5}"),
        ("1 2", "nor {1,5}"),
    ],
)
def test_words_that_say_nothing_name_their_record(word: str, what: str) -> None:
    texts = [json.dumps([1, word, 2]), f'draw;x\n1;0\n"{word}";0\n']
    for text in texts + ([f"1 {word}"] if " " not in word else []):
        with pytest.raises(UsageError) as caught:
            read(text)
        message = str(caught.value)
        assert message.startswith("standard input: record 1 (counted from 0): draw '") and message.endswith(".")
        assert what in message and len(message) < 180


@pytest.mark.parametrize(
    ("item", "what"),
    [
        ("[]", "draw [] is an empty set"),
        ("[1, -2]", "draw [1, -2] holds -2, which is not an integer in [0, 2**32)"),
        ("[4294967296]", "holds 4294967296"),
        ("[true]", "draw [true] is not an integer in [0, 2**32)"),
        ("[1.5]", "draw [1.5] is not an integer"),
        ("[[1]]", "draw [[1]] is not an integer"),
    ],
)
def test_json_sets_that_are_none_name_their_record(item: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(f"[1, {item}]")
    assert "record 1 (counted from 0)" in str(caught.value) and what in str(caught.value)


def test_csv_cells_are_joined_only_where_a_row_is_too_long() -> None:
    history = read("note,draw\n[1,5\n[2,6\nx,{7, 8}\n")
    assert history.draws.tolist() == [5, 6, 7]
    with pytest.raises(UsageError, match=r"record 0 .*4 fields under a header of 2"):
        read("draw,x\n{1,5,9,a\n")


def test_a_window_is_clipped_and_counts_draws_that_tell() -> None:
    found = window("? 3 ?x2 {5,998,2000} [990,5000] >7 ?x1..3 9", 1, 3)
    assert found.draws.tolist() == [5, 990, 8] and found.heldout.tolist() == [9] and found.before.tolist() == [3]
    partial = found.partial
    assert partial is not None and found.heldout_partial is not None and found.before_partial is not None
    assert [partial.ranges(i) for i in range(3)] == [((5, 5), (998, 998)), ((990, 999),), ((8, 999),)]
    assert found.steps.tolist() == [2, 3, 4] and found.heldout_steps.size == 0 and found.before_steps.tolist() == [-1]
    assert found.heldout_partial.gap_min.tolist() == [1] and found.heldout_partial.gap_max.tolist() == [3]
    assert not partial.low.flags.writeable and not partial.gap_min.flags.writeable


def test_an_observation_without_a_value_below_the_modulus_is_named() -> None:
    with pytest.raises(UsageError) as caught:
        window("? 3 {1001,1002,2000} >5", 0, 2)
    assert "record 2: draw {1001,1002,2000} is not in [0, 1000); 1 of 3" in str(caught.value)
    with pytest.raises(ValueError, match="no value below"):
        known("3 [1000,2000]").clipped(1000)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=2, max_size=12), st.data())
def test_steps_tell_calls_around_a_window(gaps: list[tuple[int, int]], data: st.DataObject) -> None:
    """Draw i of the history is i; calls are counted one by one here."""
    text = " ".join(f"{f'?x{g}..{g + v} ' if g + v else ''}{i}" for i, (g, v) in enumerate(gaps))
    n = len(gaps)
    start = data.draw(st.integers(0, n - 1))
    k = data.draw(st.integers(1, n - start))
    found = window(text, start, k)

    def walk(first: int, last: int) -> list[int]:
        """Calls before each draw first .. last - 1 with gaps in front, until one varies."""
        at, steps = 0, []
        for gap, varies in gaps[first:last]:
            if varies:
                return steps
            steps.append(at + gap)
            at += gap + 1
        return steps

    assert found.steps.tolist() == walk(start, start + k)
    assert (len(found.steps) == k) == all(v == 0 for _, v in gaps[start : start + k])
    assert found.heldout_steps.tolist() == walk(start, n)[k:]
    assert found.before.tolist() == list(range(start))[::-1]
    at, expected = -1, []
    for i in range(start - 1, -1, -1):
        expected.append(at)
        if gaps[i][1]:
            break
        at -= gaps[i][0] + 1
    assert found.before_steps.tolist() == expected
    if found.before_partial:
        assert [found.before_partial.ranges(i)[0][0] for i in range(start)] == found.before.tolist()


def test_turning_keeps_the_ranges_of_a_draw_in_order() -> None:
    turned = known("?x9 {1,5} ?x3 7 ? {2,4,8}").turned()
    assert [turned.ranges(i) for i in range(3)] == [((2, 2), (4, 4), (8, 8)), ((7, 7),), ((1, 1), (5, 5))]
    assert turned.gap_min.tolist() == turned.gap_max.tolist() == [0, 1, 3]
    assert turned.cut(0, 0).turned().first.tolist() == [0]


@given(st.lists(words(), min_size=1, max_size=8), st.integers(0, 8), st.integers(0, 8))
def test_a_cut_is_the_packing_of_its_part(said: list[tuple[str, object]], a: int, b: int) -> None:
    packed = observations.pack([0, *(observations.parse(word.strip()) for word, _ in said), 1])
    start, stop = sorted((min(a, len(packed)), min(b, len(packed))))
    part = packed.cut(start, stop)
    assert len(part) == stop - start
    assert [part.ranges(i) for i in range(len(part))] == [packed.ranges(i) for i in range(start, stop)]
    assert part.gap_max.tolist() == packed.gap_max[start:stop].tolist()


def test_outputs_are_held_against_many_at_once() -> None:
    packed = known("{1,5} [3,9] 7")
    values = np.array([[1, 3, 7], [5, 9, 8], [2, 10, 7], [0, 2, TOP]], np.uint32)
    assert packed.accepts(values).tolist() == [[True] * 3, [True, True, False], [False, False, True], [False] * 3]
    assert packed.cut(0, 0).accepts(np.zeros(0, np.uint32)).size == 0


def test_chances_of_uniform_outputs_are_shares_of_the_modulus() -> None:
    java = recipe("java.nextInt")
    found = window("{1,5} [3,9] 7 >=0", 0, 4)
    assert found.partial is not None
    chances = found.partial.chances(lambda low, high: java.between(low, high, 1000, {}))
    assert chances.tolist() == [0.002, 0.007, 0.001, 1.0]
    assert found.partial.cut(0, 0).chances(lambda low, high: java.between(low, high, 1000, {})).size == 0


@given(st.integers(0, 40), st.integers(0, 300), st.integers(2, 97), st.data())
def test_chances_of_a_plain_modulo_against_brute_force(
    least: int, more: int, modulus: int, data: st.DataObject
) -> None:
    low = data.draw(st.integers(0, modulus - 1))
    high = data.draw(st.integers(low, modulus - 1))
    plain = recipe("minstd.mod")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels.Family, "word_range", lambda self, params: (least, least + more))
        found = plain.between(np.array([low], np.uint32), np.array([high], np.uint32), modulus, {})
        one = plain.chances(np.arange(modulus, dtype=np.uint32), modulus, {})
    residues = np.arange(least, least + more + 1) % modulus
    assert found[0] == pytest.approx(((residues >= low) & (residues <= high)).mean(), abs=1e-15)
    assert one == pytest.approx(np.bincount(residues, minlength=modulus) / residues.size, abs=1e-15)


@pytest.mark.parametrize("name", ["minstd.mod", "xorshift64.mod", "mt19937.mod"])
@pytest.mark.parametrize("modulus", [2, 1000, 2**31, 2**32 - 5, 2**32])
def test_chances_of_wide_words_are_right_to_the_last_bits(name: str, modulus: int) -> None:
    chosen: Recipe = recipe(name)
    params = chosen.params({})
    least, most = kernels.family(chosen.family).word_range(params)
    lows = np.array([0, 0, modulus // 3, modulus - 1], np.uint32)
    highs = np.array([modulus - 1, 0, modulus // 2, modulus - 1], np.uint32)

    def words(low: int, high: int) -> int:
        """Words with low <= w mod M <= high, in exact integers."""

        def to(end: int) -> int:
            return end // modulus * (high - low + 1) + max(0, min(high + 1, end % modulus) - low)

        return to(most + 1) - to(least)

    exact = [words(int(a), int(b)) / (most - least + 1) for a, b in zip(lows, highs, strict=True)]
    found = chosen.between(lows, highs, modulus, params)
    assert found == pytest.approx(exact, rel=4e-16, abs=0)
    assert found[0] == 1.0


def test_unknown_calls_add_up_past_32_bits() -> None:
    packed = known(f"{'?x4294967295 ' * 3}7")
    assert packed.gap_min.tolist() == [3 * TOP] and packed.steps.tolist() == [3 * TOP]


@pytest.mark.parametrize("text", ["[ " * 200_000, "{ 1 " * 200_000, "> " * 200_000, "1 {" + ", " * 200_000])
def test_hostile_texts_are_refused_at_once(text: str) -> None:
    with pytest.raises(UsageError):
        read("7 " + text)


def test_a_million_draws_are_read_in_seconds() -> None:
    history = read("? 7 <9 {1,2,900} " * 250_000)
    assert len(history.draws) == 750_000 and history.partial is not None
    found = cut_window(history, 0, 500_000, 1000)
    assert found.steps[-1] == 666_666
