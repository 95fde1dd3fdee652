"""Times and events, in one column or in two."""

from __future__ import annotations

import pytest

from autobrats.errors import UserError


def survival(table) -> dict[str, tuple[float | None, bool | None]]:
    """Days and event by patient."""
    return {record.patient: (record.survival_days, record.died) for record in table.records}


def kinds(table, severity: str = "warning") -> list[tuple[str, tuple[str, ...]]]:
    """Of findings: kind and patients."""
    return [(finding.kind, finding.patients) for finding in table.findings if finding.severity == severity]


def test_without_a_column_of_events_who_has_a_time_died(read_text):
    table = read_text("id,Survival\na,100\nb,ALIVE (361 days later)\nc,NA\nd,400+\ne,alive\nf,12 months\ng,100\nh,90\n")
    assert survival(table) == {
        "a": (100, True),
        "b": (361, False),
        "c": (None, None),
        "d": (400, False),
        "e": (None, False),
        "f": (365.25, True),
        "g": (100, True),
        "h": (90, True),
    }
    assert [it.count for it in table.findings if "no column says who died" in it.message] == [4]
    assert [it.patients for it in table.findings if "censored" in it.message] == [("b", "d")]
    assert [it.count for it in table.findings if "may have lived longer" in it.message] == [1]


@pytest.mark.parametrize(
    ("header", "dead", "alive"),
    [
        ("1-dead 0-alive", "1", "0"),
        ("status (0=alive, 1=dead)", "1", "0"),
        ("state: dead=0, alive=1", "0", "1"),
        ("Dead", "1", "0"),
        ("event", "1", "0"),
        ("event", "1.0", "0.0"),
        ("event", "TRUE", "False"),
        ("censored", "0", "1"),
        ("Alive", "no", "yes"),
        ("status", "2", "1"),
        ("OS_STATUS", "1:DECEASED", "0:LIVING"),
        ("vital_status", "Dead", "Alive"),
        ("censored", "dead", "censored"),
    ],
)
def test_columns_of_events(read_text, header, dead, alive):
    table = read_text(f'id,OS,"{header}"\na,100,{dead}\nb,200,{alive}\nc,300,\n')
    assert survival(table) == {"a": (100, True), "b": (200, False), "c": (300, None)}
    assert ("missing", ("c",)) in kinds(table)


def test_the_user_says_what_1_means(read_text):
    text = "id,OS,dead_or_alive\na,100,1\n"
    with pytest.raises(UserError, match="does not say whether 1 is dead or alive"):
        read_text(text, died="dead_or_alive")
    assert read_text(text, died="dead_or_alive:dead").records[0].died is True
    assert read_text(text, died="dead_or_alive:alive").records[0].died is False


def test_times_and_events_that_disagree_are_left_out(read_text):
    table = read_text("id,OS,dead\na,ALIVE (361 days later),1\nb,5,1\nc,ALIVE (7 days later),0\n")
    assert survival(table) == {"a": (None, None), "b": (5, True), "c": (7, False)}
    assert ("contradiction", ("a",)) in kinds(table)


def test_day_0_and_impossible_times(read_text):
    table = read_text("id,OS,dead\na,0,1\nb,0,0\nc,-5,1\nd,40000,1\ne,0.5,1\nf,90,1\ng,80,0\n")
    assert survival(table) == {
        "a": (1, True),
        "b": (None, False),
        "c": (None, True),
        "d": (None, True),
        "e": (0.5, True),
        "f": (90, True),
        "g": (80, False),
    }
    assert ("impossible", ("c", "d")) in kinds(table) and ("impossible", ("b",)) in kinds(table)
    assert ("meaning", ("a",)) in kinds(table, "info")


@pytest.mark.parametrize("text", ["five", "later", "ALIVE (soon)", "<30", "dead >30", "1,303"])
def test_a_text_that_is_no_time_is_left_out_by_name(read_text, text):
    table = read_text(f'id,OS\nx,"{text}"\nb,5\nc,600\n')
    assert survival(table)["x"] == (None, None)
    assert ("unreadable", ("x",)) in kinds(table)


@pytest.mark.parametrize(
    ("header", "factor"), [("OS_days", 1), ("OS (weeks)", 7), ("OS.months", 30.4375), ("Survival in years", 365.25)]
)
def test_units_in_the_header_are_converted_and_told(read_text, header, factor):
    table = read_text(f"id,{header.replace(' in ', ' ')}\na,14.5\nb,8\n")
    assert survival(table)["a"] == (pytest.approx(14.5 * factor), True)
    told = [it for it in table.findings if it.kind == "unit"]
    assert bool(told) == (factor != 1) and all(f"{factor:g} days" in it.message for it in told)


def test_months_without_a_unit_raise_suspicion(read_text):
    assert [it.severity for it in read_text("id,OS\na,14.5\nb,8\n").findings if it.kind == "unit"] == ["warning"]
    assert not [it for it in read_text("id,OS\na,400\nb,80\n").findings if it.kind == "unit"]
    days_as_months = read_text("id,OS\na,400\nb,480\n", survival_days="OS:months")
    assert [it.severity for it in days_as_months.findings if it.kind == "unit"] == ["info", "warning"]


def test_a_text_s_own_unit_wins(read_text):
    table = read_text("id,OS_months\na,12\nb,ALIVE (361 days later)\nc,ALIVE (10)\n")
    assert survival(table) == {"a": (365.25, True), "b": (361, False), "c": (304.375, False)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,OS\na,good\nb,bad\nc,5\n", "most values of 'OS' are no times in days .*survival_days=-"),
        ("id,OS,status\na,5,Training\nb,6,Validation\n", "most values of 'status' are no events .*died=-"),
    ],
)
def test_a_column_that_is_something_else(read_text, text, message):
    with pytest.raises(UserError, match=message):
        read_text(text)


def test_it_can_be_told_that_there_are_no_events(read_text):
    table = read_text("id,OS,status\na,5,Training\nb,6,Validation\n", died="-")
    assert survival(table) == {"a": (5, True), "b": (6, True)}
