"""Whole tables: what is read, what is told, what is left out."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from autobrats.dataset.cases import Case
from autobrats.dataset.clinical.clinical_table import REPORT_COLUMNS
from autobrats.dataset.clinical.reading import clinical_of_cases
from autobrats.dataset.clinical.record import VALUES, ClinicalRecord
from autobrats.errors import UserError
from autobrats.reporting.tables import plain_table


def messages(table, kind: str) -> list[str]:
    """Of the findings of a kind."""
    return [finding.message for finding in table.findings if finding.kind == kind]


def test_a_record_written_as_a_table_is_read_back(read_text):
    records = [
        ClinicalRecord("a", 61.5, True, 4, False, True, False, "GTR", 90.0, 412.0, True, ("b1",)),
        ClinicalRecord("b", 33.0, False, 2, True, False, True, "biopsy", 70.0, 1200.5, False, ()),
        ClinicalRecord("c", aliases=("c1",)),
    ]
    names = {"male": "Sex", "survival_days": "OS (days)", "age_years": "Age (years)", "codeleted_1p19q": "1p/19q"}
    header = ["patient", *(names.get(name, name.split("_")[0]) for name in VALUES), "BraTS21 ID"]

    def text(name: str, value: object) -> str:
        if value is None:
            return ""
        return ("M" if value else "F") if name == "male" else str(value)

    rows = [
        [record.patient, *(text(name, getattr(record, name)) for name in VALUES), *record.aliases] for record in records
    ]
    table = read_text("\n".join(",".join(row) for row in [header, *rows]))
    assert table.records == records


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(("delimiter", "age"), [(",", "60.5"), (";", "60,5"), ("\t", "60,5")])
def test_the_same_table_however_it_is_stored(read_text, encoding, newline, delimiter, age):
    rows = [["ID", "Age", "Klinik"], ["Müller", age, "Zürich"], ["", "", ""], ["b", "NA", ""]]
    table = read_text(newline.join(delimiter.join(row) for row in rows).encode(encoding))
    assert [(record.patient, record.age_years) for record in table.records] == [("Müller", 60.5), ("b", None)]


def test_quoted_cells_may_hold_commas_and_line_breaks(read_text):
    (record,) = read_text('ID,Diagnosis,Age\na,"Glioblastoma,\nIDH-wildtype",60\n').records
    assert record.age_years == 60


def test_values_that_cannot_be_true_are_left_out_by_name(read_text):
    table = read_text("id,Age,KPS,Grade\na,560,90,4\nb,-1,0,3\nc,60,110,1\nd,61,80,2\ne,62,70%,2\n")
    assert [record.age_years for record in table.records] == [None, None, 60, 61, 62]
    assert [record.kps for record in table.records] == [90, None, None, 80, 70]
    assert [record.grade for record in table.records] == [4, 3, None, 2, 2]
    named = {(it.column, it.kind): it.patients for it in table.findings if it.severity == "warning"}
    assert named == {
        ("Age", "impossible"): ("a", "b"),
        ("KPS", "impossible"): ("b", "c"),
        ("Grade", "unreadable"): ("c",),
    }


def test_ages_in_days_are_refused_until_the_unit_is_said(read_text):
    text = "id,Age\na,20000\nb,15000\n"
    with pytest.raises(UserError, match=r"cannot be ages in years .*age_years='Age':days"):
        read_text(text)
    table = read_text(text, age_years="Age:days")
    assert [record.age_years for record in table.records] == pytest.approx([54.757, 41.068], abs=1e-3)
    assert messages(table, "unit") == ["days are converted to years"]


def test_an_age_may_say_its_unit_itself(read_text):
    table = read_text("id,Age\na,063Y\nb,018M\nc,50\n")
    assert [record.age_years for record in table.records] == [63, 1.5, 50]


def test_capped_ages_are_read_and_told(read_text):
    table = read_text("id,Age\na,>89\nb,90+\nc,50\n")
    assert [record.age_years for record in table.records] == [89, 90, 50]
    assert [it.count for it in table.findings if it.kind == "coarse"] == [2]


def test_a_sex_in_numbers_is_read_only_where_the_header_asks(read_text):
    assert read_text("id,Male\na,1\nb,0\n").records[1].male is False
    table = read_text("id,Sex,Age\na,1,50\n")
    assert table.records[0].male is None and len(messages(table, "unreadable")) == 1


def test_missing_values_are_counted_by_column_with_their_texts(read_text):
    table = read_text("id,Age,MGMT status\na,,positive\nb,50,indeterminate\nc,NA,indeterminate\n")
    assert messages(table, "missing") == [
        "2 of 3 rows have no value (1 empty, 1 'NA')",
        "2 of 3 rows have no value (2 'indeterminate')",
    ]
    assert [it.count for it in table.findings if it.kind == "missing"] == [2, 2]


def test_equal_or_complementary_rows_of_a_patient_are_merged(read_text):
    table = read_text("patient,case,Age,OS\na,a1,50,\nb,b1,60,90\na,a2,50,100\na,a1,,100\n")
    assert table.records == [
        ClinicalRecord("a", age_years=50, survival_days=100, died=True, aliases=("a1", "a2")),
        ClinicalRecord("b", age_years=60, survival_days=90, died=True, aliases=("b1",)),
    ]
    assert [(it.severity, it.patients) for it in table.findings if it.kind == "duplicate"] == [("info", ("a",))]


def test_of_contradicting_rows_the_first_counts_but_survival_is_left_out(read_text):
    table = read_text("id,Age,Sex,OS\na,50,F,100\na,51,F,200\nb,60,M,90\n")
    assert table.records[0] == ClinicalRecord("a", age_years=50, male=False)
    assert table.records[1].survival_days == 90
    assert messages(table, "contradiction") == [
        "2 rows of this patient differ (age_years 50.0 or 51.0; survival_days 100.0 or 200.0): "
        "the first row counts, but survival is left out"
    ]


def test_rows_without_an_id_and_unknown_columns_are_told(read_text):
    table = read_text("id,Age,height,weight\na,50,1,2\n,60,1,2\nNA,61,,\n")
    assert [record.patient for record in table.records] == ["a"]
    assert messages(table, "ignored") == [
        "not known as clinical, and not read: height, weight",
        "rows without an id are left out",
    ]


def test_stray_cells_are_never_read_but_ids_among_them_are_told(read_text):
    table = read_text("ID,Age,OS,,51.7\nPat_1,50,100,,60.3\nPat_2,60,200,Pat_3,#DIV/0!,61,300\nPat_4,61,80,Pat_1\n")
    assert [(it.patient, it.age_years, it.survival_days) for it in table.records] == [
        ("Pat_1", 50, 100),
        ("Pat_2", 60, 200),
        ("Pat_4", 61, 80),
    ]
    assert [(it.count, it.patients) for it in table.findings if it.kind == "ignored"] == [(6, ()), (1, ("Pat_3",))]


def test_of_several_id_columns_the_fullest_leads_and_the_others_are_aliases(read_text):
    text = "Grade,BraTS_2017_subject_ID,BraTS_2019_subject_ID\nHGG,x1,y1\nLGG,NA,y2\nHGG,x3,y3\n"
    table = read_text(text)
    assert [(it.patient, it.aliases, it.grade) for it in table.records] == [
        ("y1", ("x1",), 4),
        ("y2", (), 2),
        ("y3", ("x3",), 4),
    ]
    assert messages(table, "coarse") == ["HGG is read as grade 4 and LGG as grade 2: the table tells no finer"]
    gaps = read_text("Grade,BraTS_2017_subject_ID,BraTS_2019_subject_ID\nHGG,x1,y1\nLGG,NA,y2\nHGG,x3,NA\nHGG,x4,y4\n")
    assert {record.patient for record in gaps.records} == {"x1", "y2", "x3", "x4"}


def test_the_report_is_a_table_on_the_screen_and_a_file(read_text, tmp_path: Path):
    table = read_text("id,Age,OS\n" + "".join(f"p{i},{500 if i < 7 else 50},9{i}\n" for i in range(20)))
    assert table.title == "clinical.csv: 20 patients, 20 with survival, of whom 20 died"
    rows = table.report_rows()
    assert rows[0][:4] == ["warning", "impossible", "Age", 7] and rows[0][-1] == "p0, p1, p2, p3, p4 and 2 more"
    assert "left out because it cannot be true" in plain_table(
        REPORT_COLUMNS, [[str(it) for it in row] for row in rows]
    )
    table.write_report(tmp_path / "report.csv")
    with (tmp_path / "report.csv").open() as file:
        heading, *written = csv.reader(file)
    assert tuple(heading) == REPORT_COLUMNS and len(written) == len(rows)
    assert written[0][-1] == "p0 p1 p2 p3 p4 p5 p6"


def test_the_clinical_texts_of_a_dataset_s_cases():
    cases = [
        Case(name="P1-001", patient="P1", timepoint="001", images={}, clinical={"age": "51", "note": "x"}),
        Case(
            name="P1-000",
            patient="P1",
            timepoint="000",
            images={},
            clinical={"age": "50", "survival_days": "ALIVE (9 days later)"},
        ),
        Case(name="Q_lesion1", patient="Q", images={}, clinical={"age": "60", "survival_days": "80", "grade": "LGG"}),
        Case(name="R", patient="R", images={}),
    ]
    table = clinical_of_cases(cases, Path("data"))
    assert {record.patient: record for record in table.records} == {
        "P1": ClinicalRecord("P1", age_years=50, survival_days=9, died=False, aliases=("P1-000", "P1-001")),
        "Q": ClinicalRecord("Q", age_years=60, survival_days=80, died=True, grade=2, aliases=("Q_lesion1",)),
        "R": ClinicalRecord("R"),
    }
    assert table.file is None
    nothing = clinical_of_cases(cases[-1:], Path("data"))
    assert nothing.records == [ClinicalRecord("R")] and not nothing.findings


def test_no_table_breaks_the_reader(read_text):
    """Cells thrown together at random: a sentence for the user, or records whose values are possible."""
    rng = np.random.default_rng(11)
    headers = [
        "id",
        "Age",
        "OS_months",
        "Survival",
        "status",
        "Sex",
        "IDH",
        "1p/19q",
        "EOR",
        "KPS",
        "Grade",
        "",
        "51.7",
        "x",
    ]
    cells = ["", "NA", "0", "1", "2", "-1", "63", "63.5", "400", "1e9", "ALIVE (3 days later)", "5+", ">89", "M", "GTR"]
    cells += [
        "wildtype",
        "yes",
        "dead",
        "alive",
        "#DIV/0!",
        "HGG",
        '"a,b"',
        "p1",
        "p2",
        "p3",
        "٣",
        "ä",
        "()",
        "+",
        "1,5",
    ]
    read = refused = 0
    for _ in range(400):
        chosen = ["id", *rng.permutation(headers)[: rng.integers(1, 8)]]
        rows = [",".join([f"p{rng.integers(4)}", *rng.choice(cells, rng.integers(0, 10))]) for _ in range(6)]
        try:
            table = read_text("\n".join([",".join(chosen), *rows]))
        except UserError as error:
            refused += "\n" not in str(error)
            continue
        read += 1
        assert len({record.patient for record in table.records}) == len(table.records) <= 4
        for record in table.records:
            assert record.survival_days is None or 0 < record.survival_days <= 36525
            assert record.age_years is None or 0 <= record.age_years <= 120
            assert record.kps is None or 10 <= record.kps <= 100
            assert record.grade in (None, 2, 3, 4)
        assert plain_table(REPORT_COLUMNS, [[str(it) for it in row] for row in table.report_rows()])
    assert read > 100 and read + refused == 400
