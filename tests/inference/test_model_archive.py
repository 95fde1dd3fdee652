"""A model travels in one file unchanged; a forged archive is refused in one sentence and leaves nothing on the disk."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import signal
import stat
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from bright_model import write_bright_model, write_study
from safetensors.numpy import save

from autobrats.errors import UserError
from autobrats.evaluation.metrics_file import build_metrics, case_metrics
from autobrats.inference.model_archive import MOST_ENTRIES, export_model, import_model
from autobrats.inference.predictor import Predictor
from autobrats.plan import Part

WEIGHTS = "weights/3d_fullres_fold_0.safetensors"
SCORES = {"WT": {"dice": 0.9}, "TC": {"dice": 0.8}, "ET": {"dice": 0.7}}


def _metrics():
    return build_metrics(
        "3d_fullres", {f"Mueller_{i}": case_metrics(f"patient_{i}", SCORES, fold=i % 2) for i in range(4)}
    )


@pytest.fixture
def model(tmp_path, monkeypatch):
    return write_bright_model(
        tmp_path / "made" / "model", monkeypatch, expected={"mean_dice": {"n": 4, "mean": 0.8}}, metrics=_metrics()
    )


@pytest.fixture
def files(model, tmp_path):
    """What a sound archive holds, for an attacker to change."""
    export_model(model, tmp_path / "sound.zip", with_cases=True)
    with zipfile.ZipFile(tmp_path / "sound.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def receiver(tmp_path):
    folder = tmp_path / "receiver"
    folder.mkdir()
    return folder


def _contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _pack(path, files, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def _replaced(files, name, content):
    """The files with another content of ``name``, whose hash a careful attacker writes into best_config.json as well."""
    best_config = json.loads(files["best_config.json"])
    sha256 = hashlib.sha256(content).hexdigest()
    for member in best_config["members"]:
        if member["weights"] == name:
            member["sha256"] = sha256
    if name in best_config["sha256"]:
        best_config["sha256"][name] = sha256
    return {**files, name: content, "best_config.json": json.dumps(best_config).encode()}


def _best_config(files, **changes):
    return {**files, "best_config.json": json.dumps({**json.loads(files["best_config.json"]), **changes}).encode()}


def _plan_part(files, **parts):
    plan = json.loads(files["plan.json"])
    plan["configurations"]["3d_fullres"].update(parts)
    return _replaced(files, "plan.json", json.dumps(plan).encode())


def _forge(path, name, offset, code, value):
    """Overwrite a field of an entry's record in the central directory (APPNOTE.TXT 4.3.12)."""
    data = bytearray(path.read_bytes())
    at = data.rindex(name.encode()) - 46
    assert data[at : at + 4] == b"PK\x01\x02"
    struct.pack_into(code, data, at + offset, value)
    path.write_bytes(data)
    return path


def _refused(archive, receiver, match):
    with pytest.raises(UserError, match=match) as error:
        import_model(archive, receiver / "model")
    assert list(receiver.iterdir()) == [], "nothing is left"
    assert "\n" not in str(error.value) and str(receiver) not in str(error.value)
    return str(error.value)


def test_a_model_arrives_byte_for_byte_and_predicts_the_same(model, receiver, tmp_path):
    export_model(model, tmp_path / "model.zip", with_cases=True)
    arrived = import_model(tmp_path / "model.zip", receiver / "model")
    assert arrived.path == receiver / "model" and len(arrived.best_config.members) == 2
    assert _contents(receiver / "model") == _contents(model)
    assert [path.name for path in receiver.iterdir()] == ["model"]
    study = write_study(tmp_path / "BraTS2021_90001")
    masks = [
        Predictor.load(at, device="cpu", mirroring=False, backend="torch").predict(study)
        for at in (model, receiver / "model")
    ]
    assert masks[0].labels.any() and np.array_equal(masks[0].labels, masks[1].labels)


def test_the_same_model_gives_the_same_bytes_and_nothing_else_goes_in(model, tmp_path):
    export_model(model, tmp_path / "first.zip")
    for name in (".DS_Store", "notes about Mueller.txt", "report.html", "weights/old_fold_7.safetensors"):
        (model / name).write_text("not of the model")
    for path in model.rglob("*"):
        os.utime(path, (1e9, 1e9))
        path.chmod(0o700)
    export_model(model, tmp_path / "second.zip")
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "second.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == sorted(archive.namelist())
        assert set(archive.namelist()) == {
            "best_config.json",
            "plan.json",
            WEIGHTS,
            "weights/3d_fullres_fold_1.safetensors",
        }


def test_no_name_of_a_case_leaves_unless_it_is_asked_for(model, receiver, tmp_path):
    export_model(model, tmp_path / "model.zip")
    content = (tmp_path / "model.zip").read_bytes()  # nothing is compressed
    assert b"plan.json" in content and b"Mueller" not in content and b"patient_" not in content
    arrived = import_model(tmp_path / "model.zip", receiver / "model")
    assert arrived.best_config.expected == {"mean_dice": {"n": 4, "mean": 0.8}}
    assert not (receiver / "model" / "metrics.json").exists()
    assert _contents(receiver / "model" / "weights") == _contents(model / "weights")
    export_model(model, tmp_path / "named.zip", with_cases=True)
    assert b"Mueller_3" in (tmp_path / "named.zip").read_bytes()
    export_model(receiver / "model", tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == content, "a model that was imported can be passed on"


def test_a_name_elsewhere_in_the_model_is_found(tmp_path, monkeypatch):
    expected = {"worst": [{"because": "of Mueller_2, whose t2 is blurred"}]}
    model = write_bright_model(tmp_path / "model", monkeypatch, expected=expected, metrics=_metrics())
    with pytest.raises(UserError, match=r"best_config\.json names the case or patient 'Mueller_2' .*--with-cases"):
        export_model(model, tmp_path / "model.zip")
    assert not list(tmp_path.glob("*.zip"))
    export_model(model, tmp_path / "model.zip", with_cases=True)


def test_what_is_there_already_stays(model, receiver, tmp_path):
    archive = tmp_path / "model.zip"
    export_model(model, archive)
    before = archive.read_bytes()
    with pytest.raises(UserError, match="exists already"):
        export_model(model, archive, with_cases=True)
    assert archive.read_bytes() == before
    with pytest.raises(UserError, match=r"must end in \.zip"):
        export_model(model, tmp_path / "model")
    export_model(model, archive, with_cases=True, replace=True)
    import_model(archive, receiver / "model")
    (receiver / "model" / "mark").write_text("the first one")
    with pytest.raises(UserError, match=r"model exists already.*--force"):
        import_model(archive, receiver / "model")
    _pack(tmp_path / "bad.zip", {"best_config.json": b"{}"})
    with pytest.raises(UserError):
        import_model(tmp_path / "bad.zip", receiver / "model", replace=True)
    assert (receiver / "model" / "mark").exists(), "a bad archive does not replace a model"
    import_model(archive, receiver / "model", replace=True)
    assert not (receiver / "model" / "mark").exists()
    (receiver / "thesis").mkdir()
    (receiver / "thesis" / "thesis.tex").write_text("1")
    with pytest.raises(UserError, match="is not a model folder and is not replaced"):
        import_model(archive, receiver / "thesis", replace=True)
    assert [path.name for path in (receiver / "thesis").iterdir()] == ["thesis.tex"]
    assert sorted(path.name for path in receiver.iterdir()) == ["model", "thesis"]


@pytest.mark.parametrize(
    "name",
    [
        "../best_config.json",
        "weights/../../3d_fullres_fold_0.safetensors",
        "weights/../weights/a.safetensors",
        "/tmp/best_config.json",
        "C:\\best_config.json",
        "C:best_config.json",
        "weights\\a.safetensors",
        "..\\a.json",
        "weights/a/b.safetensors",
        "weights/.a.safetensors",
        "weights/a.safetensors\n",
        "weights/",
        "setup.py",
        "weights/a.pkl",
        "weights/a.pt",
        "autobrats/__init__.py",
        "Best_Config.json",
        "readme.json",
    ],
)
def test_a_name_that_no_model_has_is_refused(name, files, receiver, tmp_path):
    archive = _pack(tmp_path / "model.zip", {**files, name: b"x"})
    _refused(archive, receiver, "does not belong to a model")
    assert not (tmp_path / "best_config.json").exists()


def test_a_name_with_a_zero_byte_is_not_cut_short(files, receiver, tmp_path):
    archive = _pack(tmp_path / "model.zip", {**files, "weights/b.safetensors.py.": b"x"})
    archive.write_bytes(archive.read_bytes().replace(b"weights/b.safetensors.py.", b"weights/b.safetensors\0py."))
    _refused(archive, receiver, "does not belong to a model")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFDIR, stat.S_IFSOCK])
def test_links_and_devices_are_refused(kind, files, receiver, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = ((kind if name == WEIGHTS else stat.S_IFREG) | 0o777) << 16
            archive.writestr(entry, str(secret) if name == WEIGHTS else content)
    _refused(tmp_path / "model.zip", receiver, "is a link, a folder or a device")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name_are_refused(files, receiver, tmp_path):
    for again in (WEIGHTS, WEIGHTS.replace("fullres", "FullRes")):
        archive = _pack(tmp_path / "model.zip", files)
        with zipfile.ZipFile(archive, "a") as opened:
            opened.writestr(again, files[WEIGHTS])
        _refused(archive, receiver, "twice")


def test_bombs_are_refused_before_they_are_unpacked(files, receiver, tmp_path):
    zeros = _pack(tmp_path / "ratio.zip", {**files, WEIGHTS: bytes(16 << 20)})
    assert zeros.stat().st_size < 100_000
    _refused(zeros, receiver, "unpacks to more than 100 times its size")
    _refused(
        _forge(zeros, WEIGHTS, 24, "<I", 3000), receiver, "whole zip file"
    )  # 16 MiB that call themselves 3000 bytes
    rich = b"[" + b"1234567890," * (4 << 20) + b"0]"
    _refused(_pack(tmp_path / "json.zip", {**files, "plan.json": rich}, 0), receiver, r"has 44 MiB, and at most 32 MiB")
    archive = _pack(tmp_path / "size.zip", files)
    _refused(_forge(archive, WEIGHTS, 24, "<I", 0xFFFFFFF0), receiver, "unpacks to more than 100 times")
    _refused(_forge(archive, WEIGHTS, 20, "<I", 0xFFFFFFF0), receiver, "overlap, or say that they are larger")
    many = {**files, **{f"weights/{number}.safetensors": b"" for number in range(MOST_ENTRIES)}}
    _refused(
        _pack(tmp_path / "many.zip", many), receiver, rf"has {len(many)} entries, and a model at most {MOST_ENTRIES}"
    )
    many = {f"weights/{'a' * 150}{number}.safetensors": b"" for number in range(6000)}
    _refused(_pack(tmp_path / "directory.zip", many), receiver, "its directory is too large")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("change", [-8, 8])
def test_sizes_that_are_not_true_are_refused(change, method, files, receiver, tmp_path):
    archive = _pack(tmp_path / "model.zip", files, method)
    _forge(archive, "plan.json", 24, "<I", len(files["plan.json"]) + change)
    _refused(archive, receiver, "not a whole zip file")


def test_encrypted_and_oddly_compressed_entries_are_refused(files, receiver, tmp_path):
    archive = _pack(tmp_path / "model.zip", files)
    _refused(_forge(archive, WEIGHTS, 8, "<H", 0x1), receiver, "is encrypted")
    _refused(_pack(tmp_path / "model.zip", files, zipfile.ZIP_LZMA), receiver, "is compressed by method 14")


def test_what_is_not_a_whole_zip_file_is_refused(files, receiver, tmp_path):
    archive = _pack(tmp_path / "model.zip", files, zipfile.ZIP_STORED)
    content = archive.read_bytes()
    for broken in (b"", b"not a zip file", content[: len(content) // 2], content[:-10]):
        archive.write_bytes(broken)
        _refused(archive, receiver, "not a whole zip file")
    at = content.index(files[WEIGHTS][-4:])
    archive.write_bytes(content[:at] + b"\x01" + content[at + 1 :])
    _refused(archive, receiver, r"not a whole zip file \(Bad CRC-32.*copy it again")
    _refused(tmp_path / "nowhere.zip", receiver, "is not a file")
    _refused(tmp_path, receiver, "is not a file")


def test_any_single_changed_byte_is_refused_or_means_nothing(files, receiver, tmp_path):
    archive = _pack(tmp_path / "model.zip", files)
    content, rng = archive.read_bytes(), np.random.default_rng(4)
    directory = content.index(b"PK\x01\x02")
    places = [*rng.integers(0, directory, 30), *rng.integers(directory, len(content), 60)]
    refused = 0
    for place in places:
        changed = bytearray(content)
        changed[place] ^= 1 << int(rng.integers(8))
        archive.write_bytes(changed)
        try:
            import_model(archive, receiver / "model", replace=True)
        except UserError:
            refused += 1
            continue
        assert _contents(receiver / "model") == files  # a time stamp or a permission was hit
    assert refused > len(places) / 3
    assert {path.name for path in receiver.iterdir()} <= {"model"}


class _Dangerous:
    def __reduce__(self):
        return Path.touch, (Path("executed"),)


def test_pickled_weights_are_never_loaded(files, receiver, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for content in (pickle.dumps(_Dangerous()), b"PK\x03\x04" + pickle.dumps(_Dangerous())):
        archive = _pack(tmp_path / "model.zip", _replaced(files, WEIGHTS, content))
        _refused(archive, receiver, "weights/3d_fullres_fold_0.safetensors does not hold safetensors weights")
    assert not (tmp_path / "executed").exists()


def test_weights_must_be_described_in_full(files, receiver, tmp_path):
    sound = save({"threshold": np.zeros(4, np.float32)})
    header = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    for content in (
        sound + b"hidden",
        sound[:-4],
        b"",
        struct.pack("<Q", 1 << 30) + sound[8:],
        struct.pack("<Q", len(header)) + header.replace(b"[2]", b"[4611686018427387904,8]") + bytes(8),
        struct.pack("<Q", len(header)) + header.replace(b"[0,8]", b"[8,16]") + bytes(16),
    ):
        archive = _pack(tmp_path / "model.zip", _replaced(files, WEIGHTS, content))
        _refused(archive, receiver, "does not hold safetensors weights")


def test_files_must_be_those_that_the_model_names(files, receiver, tmp_path):
    def refused(changed, match):
        _refused(_pack(tmp_path / "model.zip", changed), receiver, match)

    other = save({"threshold": np.array(2.0, np.float32)})
    refused({**files, WEIGHTS: other}, f"{WEIGHTS} is not the file that belongs to this model")
    refused({**files, "plan.json": files["plan.json"] + b" "}, "plan.json is not the file that belongs to this model")
    refused({**files, "weights/more.safetensors": other}, "weights/more.safetensors does not belong to this model")
    refused({n: c for n, c in files.items() if n != WEIGHTS}, f"{WEIGHTS} is missing")
    refused({n: c for n, c in files.items() if n != "best_config.json"}, "best_config.json is missing")
    refused({n: c for n, c in files.items() if n != "plan.json"}, "plan.json is missing")
    refused(_best_config(files, sha256={"../../../etc/passwd": "0"}), "is missing")
    members = json.loads(files["best_config.json"])["members"]
    refused(
        _best_config(files, members=[{**members[0], "weights": "../fold_0.safetensors"}]), "inside the model folder"
    )
    refused(_best_config(files, members=[{**members[0], "configuration": "4d"}, members[1]]), "no configuration '4d'")


def test_json_files_must_be_sound(files, receiver, tmp_path):
    def refused(changed, match):
        _refused(_pack(tmp_path / "model.zip", changed, zipfile.ZIP_STORED), receiver, match)

    for content in (b"{", b"\xff\xfe", b"[" * 200_000, b'{"a": NaN}', b"1" * 5000, b'{"a": 1} {}'):
        refused(_replaced(files, "plan.json", content), "plan.json is not valid JSON")
        refused({**files, "best_config.json": content}, "best_config.json is not valid JSON")
    refused({**files, "best_config.json": b"[]"}, "has no format_version")
    refused(_best_config(files, install="pip install evil"), "unknown key 'install'")
    refused(_replaced(files, "metrics.json", b'{"cases": {}}'), "metrics.json: the key 'configuration' is missing")
    refused(_replaced(files, "plan.json", b'{"dataset": "x"}'), "plan.json: the key 'modalities' is missing")
    hashes = json.loads(files["best_config.json"])["sha256"]
    int8 = b'{"ranges": {}}'
    named = _best_config(files, sha256={**hashes, "int8.json": hashlib.sha256(int8).hexdigest()})
    refused({**named, "int8.json": int8}, "int8.json: the key 'check' is missing")
    refused(_best_config(files, dataset="\x1b]0;owned\x07"), "control characters")
    refused(_best_config(files, expected={"\x1b[2J": 1}), "control characters")


def test_a_newer_format_asks_for_a_newer_autobrats(files, receiver, tmp_path):
    newer = _best_config(files, format_version=2, autobrats_version="7.0", something="new")
    told = _refused(_pack(tmp_path / "model.zip", newer), receiver, r"has format 2.*update autobrats to 7\.0")
    assert told.startswith(f"{tmp_path / 'model.zip'} is refused: best_config.json has format 2")


def test_a_part_of_a_package_that_is_not_here_is_named(files, receiver, tmp_path):
    def refused(changed, match):
        _refused(_pack(tmp_path / "model.zip", changed), receiver, match)

    refused(_plan_part(files, network={"name": "their_unet"}), r"needs the network 'their_unet'.*autobrats\.network")
    refused(_plan_part(files, postprocessing=[{"name": "theirs"}]), r"needs the postprocessing 'theirs'")
    refused(_best_config(files, postprocessing=[{"name": "theirs"}]), r"needs the postprocessing 'theirs'")
    training_only = _plan_part(files, loss={"name": "their_loss"}, trainer={"name": "their_trainer"})
    import_model(_pack(tmp_path / "model.zip", training_only), receiver / "model")


def test_export_packs_only_what_can_be_imported(tmp_path, monkeypatch):
    model = write_bright_model(tmp_path / "model", monkeypatch, postprocessing=[Part(name="components")])
    best_config = model / "best_config.json"
    content = json.loads(best_config.read_text())
    odd = "weights/3d fullres.safetensors"
    (model / WEIGHTS).rename(model / odd)
    content["members"][0]["weights"] = odd
    best_config.write_text(json.dumps(content))
    with pytest.raises(UserError, match="does not belong to a model"):
        export_model(model, tmp_path / "model.zip")
    assert not list(tmp_path.glob("*.zip"))


INTERRUPTED_OFTEN = """
import signal, sys
from pathlib import Path
from autobrats import registry
from autobrats.inference.model_archive import export_model, import_model

registry._OUR_PARTS["network"]["bright"] = "bright_model:Bright"
model, receiver, sound = map(Path, sys.argv[1:])
whole, interrupted = sound.read_bytes(), 0
signal.signal(signal.SIGALRM, signal.default_int_handler)
for step in range(40):
    for action, result in (
        (lambda: import_model(sound, receiver / "model"), receiver / "model"),
        (lambda: export_model(model, receiver / "model.zip"), receiver / "model.zip"),
    ):
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0005 * (step + 1))
            action()
            signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            interrupted += 1
        left = {path.name for path in receiver.iterdir()}
        assert left <= {result.name}, (step, left)
        if result.is_dir():
            assert len([path for path in result.rglob("*") if path.is_file()]) == 4
            for path in sorted(result.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            result.rmdir()
        elif result.exists():
            assert result.read_bytes() == whole
            result.unlink()
assert interrupted > 3, interrupted
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer that interrupts")
def test_ctrl_c_at_any_moment_leaves_a_whole_model_or_nothing(model, receiver, tmp_path):
    # In a process of its own: with OpenVINO's threads, which other tests start, CPython crashes on so many signals.
    export_model(model, tmp_path / "sound.zip")
    run = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_OFTEN, model, receiver, tmp_path / "sound.zip"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert run.returncode == 0, run.stderr
