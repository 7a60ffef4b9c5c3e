"""Draw histories: formats, filters, what is refused, and the window cut out of one."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import numpy as np
import pytest

from prng_mpi.errors import UsageError
from prng_mpi.history import History, cut_window, read_history


def read(text: str, *sessions: str) -> History:
    return read_history("-", sessions, io.StringIO(text))


def refused(text: str, *sessions: str) -> str:
    with pytest.raises(UsageError) as caught:
        read(text, *sessions)
    message = str(caught.value)
    assert message.startswith("standard input: ") and message.endswith(".") and "\n" not in message
    return message


TWO_SESSIONS = json.dumps(
    [
        {"date": "2024-01-01", "session": "morning", "draw": 5},
        {"date": "2024-01-01", "session": "evening", "draw": 6},
        {"date": "2024-01-02", "session": "morning", "draw": 2**32 - 1},
    ]
)


@pytest.mark.parametrize(
    "text",
    [
        "[7, 0, 999]",
        ' \n{"draws": [7, 0, 999], "note": "x"}',
        '[{"draw": 7}, {"draw": 0}, {"draw": 999, "other": [1]}]',
        '{"draws": [{"draw": 7}, {"draw": 0}, {"draw": 999}]}',
        "draw\n7\n000\n999\n",
        "# made by hand\n\nnote, Draw\na,7\r\n# between\nb, 0\nc,999",
        '"draw";"x"\n7;1\n0;2\n999;3',
        "x\tdraw\na\t7\nb\t0\nc\t999\n",
        "7 0\n999",
        "7, 0,\n999,\n",
        "7,0 # seven and 1\n#5\n 999 ",
        "\ufeff007\n000\n999",
    ],
)
def test_formats_agree(text: str) -> None:
    history = read(text)
    assert history.draws.tolist() == [7, 0, 999]
    assert history.draws.dtype == np.dtype("<u4") and not history.draws.flags.writeable
    assert (history.dates, history.sessions, history.dropped) == (None, None, 0)
    assert history.source == "standard input"


def test_dates_and_sessions_are_kept_and_dropped_records_counted() -> None:
    everything = read(TWO_SESSIONS)
    assert everything.draws.tolist() == [5, 6, 2**32 - 1]
    assert everything.sessions == ("morning", "evening", "morning")
    assert everything.dropped == 0
    morning = read(TWO_SESSIONS, "morning")
    assert morning.draws.tolist() == [5, 2**32 - 1]
    assert morning.dates == ("2024-01-01", "2024-01-02")
    assert morning.sessions == ("morning", "morning")
    assert morning.records.tolist() == [0, 2]
    assert morning.dropped == 1
    assert read(TWO_SESSIONS, "evening", "morning").draws.tolist() == [5, 6, 2**32 - 1]


def test_csv_carries_date_and_session() -> None:
    history = read("timestamp,session,draw\n1700000000,a,1\n1700000000.5,b,2\n", "b")
    assert (history.dates, history.sessions, history.draws.tolist()) == (("1700000000.5",), ("b",), [2])


def test_timestamp_stands_in_for_date() -> None:
    rows = [{"timestamp": 10, "draw": 1}, {"timestamp": 11.5, "draw": 2}]
    assert read(json.dumps(rows)).dates == ("10", "11.5")
    assert "record 1" in refused(json.dumps(rows[::-1]))


def test_file_and_path_are_read(tmp_path: Path) -> None:
    path = tmp_path / "d.txt"
    path.write_text("1 2 3")
    assert read_history(path).draws.tolist() == read_history(str(path)).draws.tolist() == [1, 2, 3]
    assert read_history(path).source == str(path)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"\xff\xfe1 2")
    for name, what in [("absent", "No such file"), (".", "directory"), ("latin", "UTF-8")]:
        path = tmp_path / name
        with pytest.raises(UsageError, match=what) as caught:
            read_history(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("bad", "shown"),
    [
        ("true", "true"),
        ("2.0", "2.0"),
        ("1e3", "1000.0"),
        ("-1", "-1"),
        ('"four"', "'four'"),
        ("[1, true]", "[1, true]"),
        ("4294967296", "4294967296"),
    ],
)
def test_bad_json_draw_names_its_record(bad: str, shown: str) -> None:
    for text in (f"[1, 2, {bad}, {bad}]", f'[{{"draw": 1}}, {{"draw": 2}}, {{"draw": {bad}}}]'):
        message = refused(text)
        assert f"record 2 (counted from 0): draw {shown} is not an integer in [0, 2**32)" in message


@pytest.mark.parametrize("bad", ["-1", "2.0", "1e3", "0x1f", "1_0", "x", "+3", "٣", "4294967296", "9" * 5000])
def test_bad_text_and_csv_draws_name_their_record(bad: str) -> None:
    for text in (f"1 {bad} 2", f"draw\n1\n{bad}\n"):
        message = refused(text)
        assert "record 1 (counted from 0)" in message and len(message) < 150


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no draws"),
        ("# nothing\n", "no draws"),
        ("[]", "no draws"),
        ("draw\n", "no draws"),
        ("1,,2", "record 1 (counted from 0): draw ''"),
        ("draw,session\n1,a\n,a\n", "record 1 (counted from 0): draw ''"),
        ("[1, 2", "not valid"),
        ("[" * 100_000, "not valid"),
        ('{"draw": [1]}', "did you mean 'draw'?"),
        ('{"draws": 5}', "not a list"),
        ("number,date\n1,2024-01-01", "'number', 'date'"),
        ("draw,draw\n1,2", "one column 'draw'"),
        ("draw,session\n1,a\n2\n", "record 1 (counted from 0): 1 fields under a header of 2"),
        ('draw,x\n1,"a\n', "not valid CSV"),
        ('[{"draw": 1}, {"date": "2024-01-01"}, {}]', "record 1 (counted from 0): no 'draw' (it has 'date')"),
        ('[{"draw": 1, "session": "a"}, {"draw": 2, "session": null}]', "record 1 (counted from 0): no session"),
        ('[{"draw": 1}, {"draw": 2, "date": "2024-01-01"}]', "record 0 (counted from 0): no date"),
        ('[{"draw": 1, "session": ["a"]}]', "session"),
        ('[{"draw": 1, "date": "09/09/2013"}]', "ISO 8601"),
        ('[{"draw": 1, "date": "nan"}]', "ISO 8601"),
    ],
)
def test_malformed_histories(text: str, what: str) -> None:
    assert what in refused(text)


def test_session_filter_needs_sessions_and_known_names() -> None:
    assert "no session" in refused("1 2 3", "morning")
    message = refused(TWO_SESSIONS, "morning", "Evening")
    assert "'Evening' (did you mean 'evening'?)" in message
    assert "'morning' (2 draws), 'evening' (1 draws)" in message


@pytest.mark.parametrize(
    ("dates", "fine"),
    [
        (["2024-01-01", "2024-01-01", "2024-01-02"], True),
        (["2024-01-01", "2024-01-03", "2024-01-02"], False),
        (["2024-01-01", "2024-01-01T12:00:00", "2024-01-02"], True),
        (["2024-01-01T00:30:00+01:00", "2023-12-31T23:31:00Z", "2024-01-01"], True),
        (["2024-01-01", "2023-12-31T23:59:00", "2024-01-01"], False),
        (["9", "10", "11"], True),
    ],
)
def test_dates_ascend(dates: list[str], fine: bool) -> None:
    text = json.dumps([{"date": date, "draw": 1} for date in dates])
    if fine:
        assert read(text).dates == tuple(dates)
    else:
        assert "oldest first" in refused(text)


def test_order_is_judged_among_the_kept_records_and_named_by_their_place() -> None:
    rows = [("a", "2024-01-05"), ("b", "2024-01-01"), ("a", "2024-01-06"), ("b", "2023-01-01")]
    text = "session,date,draw\n" + "".join(f"{session},{date},1\n" for session, date in rows)
    assert read(text, "a").dropped == 2
    message = refused(text, "b")
    assert "record 3 " in message and "2024-01-01 of record 1" in message


def test_a_missing_date_is_named_by_its_place() -> None:
    assert "record 3 (counted from 0): no date" in refused("session,date,draw\nb,,1\na,2024-01-01,1\nb,,1\na,,1\n", "a")


def test_dates_without_a_zone_are_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/Chicago")
    time.tzset()
    try:
        text = json.dumps([{"date": date, "draw": 1} for date in ("2024-01-01T00:00", "2024-01-01T00:01Z")])
        assert read(text).draws.size == 2
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("size", "start", "expected"), [(100, 0, 30), (100, 40, 30), (100, 60, 20), (10, 0, 5), (9, 0, 4), (3, 2, 1)]
)
def test_default_window_leaves_half_for_confirmation(size: int, start: int, expected: int) -> None:
    window = cut_window(read(" ".join(map(str, range(size)))), start, None, 1000)
    assert window.draws.tolist() == list(range(start, start + expected))
    assert window.heldout.tolist() == list(range(start + expected, size))
    assert (window.start, window.modulus, window.draws.dtype) == (start, 1000, np.dtype("<u4"))


def test_window_to_the_last_draw_holds_nothing_out() -> None:
    window = cut_window(read("1 2 3 4"), 1, 3, 5)
    assert window.draws.tolist() == [2, 3, 4] and window.heldout.size == 0


@pytest.mark.parametrize(
    ("start", "k", "modulus", "what"),
    [
        (-1, 2, 10, "history index -1"),
        (4, None, 10, "can't start at history index 4; 4 draws have 0 to 3"),
        (0, 0, 10, "0 draws"),
        (0, -3, 10, "-3 draws"),
        (0, 5, 10, "needs 5 draws, the history has 4"),
        (2, 3, 10, "needs 5 draws, the history has 4"),
        (0, 2, 0, "modulus of 0"),
        (0, 2, 2**32 + 1, "modulus of 4294967297"),
    ],
)
def test_windows_that_do_not_fit(start: int, k: int | None, modulus: int, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        cut_window(read("1 2 3 4"), start, k, modulus)
    assert what in str(caught.value)


def test_a_draw_past_the_modulus_is_named_by_its_place_in_the_source() -> None:
    history = read("session,draw\na,1\nb,9\na,2\na,9\na,10\n", "a")
    assert cut_window(history, 0, 2, 11).draws.tolist() == [1, 2]
    with pytest.raises(UsageError) as caught:
        cut_window(history, 0, 2, 9)
    assert "standard input: record 3: draw 9 is not in [0, 9); 2 of 4" in str(caught.value)


def test_the_largest_modulus_takes_every_draw() -> None:
    assert cut_window(read(f"{2**32 - 1} 0"), 0, 1, 2**32).draws.tolist() == [2**32 - 1]
