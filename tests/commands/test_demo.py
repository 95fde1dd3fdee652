from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from autobrats.commands.demo import main
from autobrats.evaluation.metrics_file import read_metrics


def test_a_folder_with_other_things_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.tex").write_text("important")
    assert main(["-o", str(tmp_path)]) == 2
    assert "not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    assert main(["-o", str(tmp_path / "thesis.tex")]) == 2
    assert "is a file" in capsys.readouterr().err


@pytest.mark.slow
def test_the_whole_way_on_generated_studies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "demo"
    arguments = ["-o", str(output), "--minutes", "0.5", "--cases", "10", "--new-cases", "2", "--device", "cpu"]
    assert main(arguments) == 0
    scores = read_metrics(output / "scores.json")
    assert set(scores.cases) == {"New_00001", "New_00002"}
    assert set(scores.summary) == {"WT", "TC", "ET"}
    for case in scores.cases:
        image = nibabel.load(output / "new_studies" / case / f"{case}_t1.nii.gz")
        mask = nibabel.load(output / "segmentations" / f"{case}.nii.gz")
        np.testing.assert_array_equal(mask.affine, image.affine)
        assert mask.shape == image.shape and mask.get_data_dtype() == np.uint8
        assert set(np.unique(np.asarray(mask.dataobj))) <= {0, 1, 2, 4}
        assert not list((output / "new_studies" / case).glob("*seg*"))
        assert (output / "pictures" / f"{case}.png").stat().st_size > 5000
    assert "2 generated studies that training never saw" in capsys.readouterr().out
