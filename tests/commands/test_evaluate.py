"""autobrats_evaluate from the outside: tables, messages, exit codes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from autobrats.commands.evaluate import LESION_TASKS, main
from autobrats.dataset.known_conventions import KNOWN
from autobrats.evaluation.cases import METRICS, score_case
from autobrats.evaluation.lesions import LESION_METRICS, LESION_RULES
from autobrats.evaluation.metrics_file import read_metrics

CASES = [f"BraTS20_Training_{number:03d}" for number in range(1, 7)]


def tumour(seed: int) -> np.ndarray:
    """A tumour with a core and an enhancing part, (x, y, z)."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((14, 12, 10), np.uint8)
    x, y, z = rng.integers(2, 4, 3)
    labels[x : x + 8, y : y + 6, z : z + 5] = 2
    labels[x + 1 : x + 5, y + 1 : y + 5, z + 1 : z + 4] = 1
    labels[x + 2 : x + 4, y + 2 : y + 4, z + 1 : z + 4] = 4
    return labels


def write(path: Path, labels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(labels, np.diag([-1.0, -1.0, 2.0, 1.0])), path)


@pytest.fixture
def references(tmp_path: Path) -> Path:
    for seed, case in enumerate(CASES):
        write(tmp_path / "references" / f"{case}_seg.nii.gz", tumour(seed))
    return tmp_path / "references"


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """Predictions shifted by one voxel."""
    for seed, case in enumerate(CASES):
        write(tmp_path / "good" / f"{case}.nii.gz", np.roll(tumour(seed), 1, axis=0))
    return tmp_path / "good"


@pytest.fixture
def poor(tmp_path: Path) -> Path:
    """Predictions shifted by three voxels, in the integers of 2023."""
    for seed, case in enumerate(CASES):
        labels = np.roll(tumour(seed), 3, axis=0)
        write(tmp_path / "poor" / f"{case}-pred.nii.gz", np.where(labels == 4, 3, labels).astype(np.uint8))
    return tmp_path / "poor"


def evaluate(*arguments) -> int:
    return main([str(argument) for argument in arguments])


def table(file: Path) -> list[dict[str, str]]:
    with open(file, newline="") as lines:
        return list(csv.DictReader(lines))


def test_scores_on_the_screen_and_in_the_folder(good, references, tmp_path, capsys) -> None:
    out = tmp_path / "scores"
    assert evaluate("-p", good, "-r", references, "-o", out) == 0
    said = capsys.readouterr().out
    assert "references: " in said and "6 label maps of 6 patients" in said
    assert "labels: brats2017 (WT = 1, 2, 4; TC = 1, 4; ET = 4)" in said
    assert "The worst cases, by Dice" in said
    scores = said[said.index("metric") : said.index("The worst cases")]
    assert len(scores.splitlines()) > 18 and max(map(len, scores.splitlines())) <= 100
    assert sorted(path.name for path in out.iterdir()) == [
        "evaluation.json",
        "metrics.csv",
        "metrics.json",
        "scores.csv",
        "worst_cases.csv",
    ]
    rows = table(out / "metrics.csv")
    assert [(row["case"], row["region"]) for row in rows] == [(case, of) for case in CASES for of in ("WT", "TC", "ET")]
    assert list(rows[0])[:4] == ["case", "region", "dice", "hd95"] and set(rows[0]) == {"case", "region", *METRICS}
    expected = score_case(np.roll(tumour(0), 1, axis=0).T, tumour(0).T, KNOWN["brats2017"], (2.0, 1.0, 1.0))
    for metric in METRICS:
        assert float(rows[1][metric]) == pytest.approx(expected["TC"][metric])
    metrics = read_metrics(out / "metrics.json")
    assert metrics.configuration == "good"
    dice = [float(row["dice"]) for row in rows if row["region"] == "ET"]
    assert metrics.summary["ET"]["dice"].mean == pytest.approx(np.mean(dice))
    settings = json.loads((out / "evaluation.json").read_text())
    assert settings["hd95"] == "directed" and settings["convention"]["name"] == "brats2017"


def test_a_missing_prediction_counts_as_the_worst_and_is_listed(good, references, tmp_path, capsys) -> None:
    (good / f"{CASES[2]}.nii.gz").unlink()
    write(good / "stranger.nii.gz", tumour(9))
    out = tmp_path / "scores"
    assert evaluate("-p", good, "-r", references, "-o", out) == 1
    said = capsys.readouterr()
    assert "1 of 6 references have no prediction" in said.out and "1 prediction has no reference" in said.out
    assert f"{CASES[2]}: there is no prediction of this case" in said.err
    assert [(row["predictions"], row["case"]) for row in table(out / "failures.csv")] == [
        ("good", CASES[2]),
        ("good", "stranger"),
    ]
    missing = [row for row in table(out / "metrics.csv") if row["case"] == CASES[2]]
    assert len(missing) == 3 and all(value for row in missing for value in row.values())
    assert all(float(row["dice"]) == 0 and float(row["hd95"]) == pytest.approx(373.12866) for row in missing)
    worst = table(out / "worst_cases.csv")[0]
    assert worst["case"] == CASES[2] and worst["reason"] == "there is no prediction of this case"
    assert "stranger" not in {row["case"] for row in table(out / "metrics.csv")}

    write(good / f"{CASES[2]}.nii.gz", tumour(2))
    (good / "stranger.nii.gz").unlink()
    assert evaluate("-p", good, "-r", references, "-o", out) == 0
    assert not (out / "failures.csv").exists()


def test_several_sets_are_compared_and_ranked(good, poor, references, tmp_path, capsys) -> None:
    out = tmp_path / "scores"
    arguments = ("-p", good, "-r", references, "--against", poor, "--permutations", 500, "-o", out)
    assert evaluate(*arguments) == 0
    said = capsys.readouterr().out
    assert "the predictions are read as brats2023, because they hold the labels 1, 2, 3" in said
    assert "good minus poor, case by case" in said and "Ranking over 6 cases" in said
    rows = table(out / "comparison.csv")
    assert [(row["metric"], row["region"]) for row in rows] == [
        (metric, region) for metric in ("dice", "hd95") for region in ("WT", "TC", "ET")
    ]
    assert all(float(row["mean"]) > 0 for row in rows if row["metric"] == "dice")
    # The least p value of six patients, two-sided, and Holm's factor for six comparisons.
    assert all(float(row["p"]) >= 2 / 2**6 and float(row["p_holm"]) <= 1 for row in rows)
    ranking = json.loads((out / "ranking.json").read_text())
    assert [of["name"] for of in ranking["competitors"]] == ["good", "poor"] and ranking["permutations"] == 500
    assert [row["predictions"] for row in table(out / "ranking.csv")] == ["good", "poor"]
    assert evaluate("-p", good, "-r", references, "-o", out) == 0
    assert not any((out / name).exists() for name in ("comparison.csv", "ranking.csv", "ranking.json"))


def test_sets_of_one_name_are_told_apart(good, references, tmp_path, capsys) -> None:
    (tmp_path / "other").mkdir()
    good.rename(tmp_path / "other" / "masks")
    (tmp_path / "masks").symlink_to(tmp_path / "other" / "masks")
    arguments = ("-p", tmp_path / "other" / "masks", "-r", references, "--permutations", 10, "--against")
    assert evaluate(*arguments, tmp_path / "masks") == 2
    assert "given twice as predictions" in capsys.readouterr().err
    copy = tmp_path / "copy" / "masks"
    for file in (tmp_path / "masks").iterdir():
        write(copy / file.name, np.asarray(nibabel.load(file).dataobj))
    assert evaluate(*arguments, copy) == 0
    said = capsys.readouterr().out
    assert "other/masks minus copy/masks" in said and "1.000" in said


def test_lesion_columns_and_definitions(good, references, tmp_path, capsys) -> None:
    assert set(LESION_TASKS) == set(LESION_RULES)
    out = tmp_path / "scores"
    options = ("--lesions", "metastases", "--absent", "excluded", "--hd95", "pooled", "--tolerance-mm", "2.5")
    write(good / f"{CASES[0]}.nii.gz", np.where(tumour(0) == 4, 1, tumour(0)).astype(np.uint8))
    assert evaluate("-p", good, "-r", references, "-o", out, *options, "--workers", 0) == 0
    rows = table(out / "metrics.csv")
    assert set(LESION_METRICS) <= set(rows[0])
    assert rows[2]["region"] == "ET" and rows[2]["hd95"] == "" and rows[2]["dice"] == "0.0"
    assert "lesion Dice" in capsys.readouterr().out
    settings = json.loads((out / "evaluation.json").read_text())
    assert [settings[key] for key in ("lesions", "absent", "hd95", "tolerance_mm")] == [
        "metastases",
        "excluded",
        "pooled",
        2.5,
    ]


def test_plain_labels(tmp_path, capsys) -> None:
    for side in ("p", "r"):
        for case in ("one", "two"):
            write(tmp_path / side / f"{case}.nii.gz", (tumour(0) > 0).astype(np.uint8) * 5)
    assert evaluate("-p", tmp_path / "p", "-r", tmp_path / "r") == 0
    said = capsys.readouterr().out
    assert "labels: plain (label_5 = 5)" in said and "each label is its own region" in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("-p", "nowhere"), "nowhere does not exist; give the folder of the predictions"),
        (("--convention", "brats1999"), "There is no convention 'brats1999'"),
        (("--against", "good"), "given twice as predictions"),
        (("--by", "volume_ml"), "cannot be compared by 'volume_ml'"),
        (("--by", "lesion_dice"), "say --lesions TASK"),
        (("-p", "references"), "the same file"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_code_2(arguments, sentence, good, references, capsys, monkeypatch) -> None:
    monkeypatch.chdir(good.parent)
    assert evaluate("-p", "good", "-r", "references", *arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error and "Traceback" not in error and error.count("\n") == 1


def test_files_of_others_are_not_overwritten(good, references, tmp_path, capsys) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "metrics.json").write_text("{}")
    assert evaluate("-p", good, "-r", references, "-o", tmp_path / "model") == 2
    assert "metrics.json is not from autobrats_evaluate; choose another output folder" in capsys.readouterr().err
    assert (tmp_path / "model" / "metrics.json").read_text() == "{}"


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_real_pairs_agree_with_monai_and_medpy(realdata, tmp_path, capsys) -> None:
    import torch
    from medpy.metric import binary
    from monai.metrics import DiceMetric, compute_hausdorff_distance

    files = sorted((realdata / "real_predictions").glob("*_prediction.nii.gz"))[:10]
    folder = tmp_path / "pairs"
    folder.mkdir()
    for file in files:
        reference = file.with_name(file.name.replace("_prediction.", "_reference."))
        for path in (file, reference):
            (folder / path.name).symlink_to(path)
    assert evaluate("-p", folder, "-r", folder, "-o", tmp_path / "directed", "--workers", 0) == 0
    assert evaluate("-p", folder, "-r", folder, "-o", tmp_path / "pooled", "--hd95", "pooled", "--workers", 0) == 0
    directed, pooled = (
        {(row["case"], row["region"]): row for row in table(tmp_path / name / "metrics.csv")}
        for name in ("directed", "pooled")
    )
    assert len(directed) == len(pooled) == 30
    for file in files[:3]:
        case = file.name.split("_prediction")[0]
        images = [nibabel.load(folder / f"{case}_{side}.nii.gz") for side in ("prediction", "reference")]
        masks = [KNOWN["brats2017"].to_regions(np.asarray(image.dataobj).astype(np.uint8)) for image in images]
        spacing = tuple(float(size) for size in images[1].header.get_zooms())
        tensors = [torch.from_numpy(mask)[None] for mask in masks]
        dice = DiceMetric(reduction="none")(*tensors)[0].tolist()
        hd95 = compute_hausdorff_distance(*tensors, include_background=True, percentile=95, spacing=spacing)[0].tolist()
        for channel, region in enumerate(("WT", "TC", "ET")):
            one, other = masks[0][channel], masks[1][channel]
            assert float(directed[case, region]["dice"]) == pytest.approx(dice[channel], abs=1e-6)
            assert float(directed[case, region]["hd95"]) == pytest.approx(hd95[channel], rel=1e-5)
            assert float(pooled[case, region]["dice"]) == pytest.approx(binary.dc(one, other))
            if region != "WT":  # seconds each
                assert float(pooled[case, region]["hd95"]) == pytest.approx(
                    binary.hd95(one, other, voxelspacing=spacing), rel=1e-6
                )
