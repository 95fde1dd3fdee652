"""How single texts are read."""

from __future__ import annotations

import pytest

from autobrats.dataset.clinical.values import (
    Quantity,
    is_missing,
    read_codeletion,
    read_grade,
    read_idh,
    read_male,
    read_mgmt,
    read_number,
    read_quantity,
    read_resection,
)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "NA",
            "n/a",
            "NaN",
            "Not Available",
            "[Not Available]",
            "Not Applicable",
            "Unknown",
            "-",
            "?",
            "#DIV/0!",
        )
    ],
)
def test_missing_is_missing_in_every_column(text):
    assert is_missing(text)
    for read in (read_male, read_grade, read_idh, read_mgmt, read_codeletion, read_resection):
        assert read(text) is None


@pytest.mark.parametrize("text", ["0", "N", "none of these", "alive"])
def test_not_everything_that_looks_empty_is(text):
    assert not is_missing(text)


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (
            read_idh,
            {
                **dict.fromkeys(("wildtype", "Wildtype", "wild-type", "IDH wt", "not mutated", "negative", "0"), False),
                **dict.fromkeys(("Mutated", "mutated (NOS)", "IDH-mutant", "IDH1 p.R132H", "IDH1 p.Arg132His"), True),
                **dict.fromkeys(("IDH2 p.Arg172Trp", "R132C", "mut", "Yes", "1"), True),
                "NOS/NEC": None,
            },
        ),
        (
            read_mgmt,
            {
                **dict.fromkeys(("Unmethylated", "non-methylated", "not methylated", "negative"), False),
                **dict.fromkeys(("Methylated", "positive", "hypermethylated"), True),
                **dict.fromkeys(("indeterminate", "Indeterminate"), None),
            },
        ),
        (
            read_codeletion,
            {
                **dict.fromkeys(("intact", "non-codel", "not co-deleted", "no"), False),
                **dict.fromkeys(("co-deletion", "Co-deletion", "codel", "codeleted"), True),
                "relative co-deletion": None,
            },
        ),
        (
            read_resection,
            {
                **dict.fromkeys(("GTR", "gross total resection", "Complete"), "GTR"),
                **dict.fromkeys(("STR", "subtotal resection", "near-total", "partial", "incomplete"), "STR"),
                **dict.fromkeys(("biopsy", "stereotactic Biopsy"), "biopsy"),
            },
        ),
        (
            read_grade,
            {
                **dict.fromkeys(("4", "4.0", "IV", "WHO grade IV", "G4", "HGG", "high-grade"), 4),
                **dict.fromkeys(("3", "III", "Grade III"), 3),
                **dict.fromkeys(("2", "II", "LGG", "low grade"), 2),
            },
        ),
        (read_male, {**dict.fromkeys(("M", "male", "Male"), True), **dict.fromkeys(("F", "female", "w"), False)}),
    ],
    ids=lambda it: getattr(it, "__name__", ""),
)
def test_spellings(read, expected):
    assert {text: read(text) for text in expected} == expected


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (read_idh, "IDH1 wildtype, IDH2 mutated"),
        (read_idh, "2"),
        (read_mgmt, "17"),
        (read_codeletion, "1p only"),
        (read_resection, "Y"),
        (read_grade, "1"),
        (read_grade, "24"),
        (read_male, "1"),
    ],
)
def test_what_does_not_say_is_refused(read, text):
    with pytest.raises(ValueError, match=text):
        read(text)


def test_columns_that_ask_a_question_are_answered_by_yes_and_no():
    assert read_male("1", one_is_male=True) is True and read_male("no", one_is_male=True) is False
    assert read_resection("Y", yes_is_gross_total=True) == "GTR"
    assert read_resection("N", yes_is_gross_total=True) == "STR"
    assert read_resection("Not Applicable", yes_is_gross_total=True) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("66.5", Quantity(66.5)),
        ("-3", Quantity(-3)),
        ("1e3", Quantity(1000)),
        (">89", Quantity(89, bound=">")),
        ("365+", Quantity(365, bound=">")),
        ("<5", Quantity(5, bound="<")),
        ("18 months", Quantity(18, "months")),
        ("063Y", Quantity(63, "years")),
        ("018M", Quantity(18, "months")),
    ],
)
def test_quantities(text, expected):
    assert read_quantity(text) == expected


@pytest.mark.parametrize("text", ["nan", "inf", "1_000", "5 6", "1.2.3", "abc", "12 apples", "--3"])
def test_no_numbers(text):
    with pytest.raises(ValueError, match="no number"):
        read_quantity(text)


def test_a_comma_is_decimal_where_it_does_not_separate_columns():
    assert read_number("60,463", decimal_comma=True) == 60.463
    assert read_number("66,5") == 66.5
    with pytest.raises(ValueError, match="may be 1303"):
        read_number("1,303")
