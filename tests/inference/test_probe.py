"""The choice of an arrangement, from given numbers: no clock is read here."""

from __future__ import annotations

import json

import pytest

from autobrats.inference.backends.arrangements import Arrangement, arrangements
from autobrats.inference.backends.probe import Probe, Timing, fastest

TORCH = Arrangement(backend="torch")
PLAIN, STREAMS, BATCH = (
    Arrangement(backend="openvino", streams=streams, batch=batch) for streams, batch in ((1, 1), (2, 1), (1, 4))
)
SECONDS = {TORCH: 3.0, PLAIN: 1.0, STREAMS: 0.8, BATCH: 1.3}
"""An image."""
MANY = 10**6


def run(probe: Probe, calls: int, ahead: int = MANY, images: int = 4) -> list[Arrangement]:
    """What is given out in so many calls; preparing takes 2 seconds."""
    given = []
    for _ in range(calls):
        arrangement = probe.next(ahead, images)
        probe.report(arrangement, arrangement.images, SECONDS[arrangement] * arrangement.images, 2.0)
        given.append(arrangement)
    return given


def test_the_fastest_is_taken_and_a_hopeless_one_timed_once(tmp_path):
    probe = Probe([TORCH, PLAIN, STREAMS, BATCH], tmp_path / "choice.json", {"window": "64"})
    given = run(probe, 12)
    assert given[:4] == [TORCH, PLAIN, STREAMS, BATCH], "each once, before any is repeated"
    assert given[-1] == STREAMS == probe.chosen and given.count(TORCH) == given.count(BATCH) == 1
    written = json.loads((tmp_path / "choice.json").read_text())
    assert written["chosen"] == {"backend": "openvino", "streams": 2, "batch": 1}
    assert {timing["seconds"] for timing in written["timings"]} == set(SECONDS.values())


def test_a_backend_is_lost_when_all_of_it_was_timed_and_another_is_faster():
    onnx = Arrangement(backend="onnx")
    probe = Probe([TORCH, PLAIN, STREAMS, onnx])
    assert probe.lost() == set()
    given = {onnx: 1.2, **SECONDS}
    for arrangement, lost in [(TORCH, set()), (PLAIN, {"torch"}), (onnx, {"torch"}), (PLAIN, {"torch"}), (onnx, None)]:
        probe.report(arrangement, 1, given[arrangement])
        assert probe.lost() == ({"torch", "onnx"} if lost is None else lost)
    slow = Probe([TORCH, PLAIN, STREAMS])
    slow.report(TORCH, 1, 1.0)
    slow.report(PLAIN, 1, 9.0)
    assert slow.lost() == set(), "two streams may still be faster"
    slow.report(STREAMS, 2, 18.0)
    assert slow.lost() == {"openvino"}


def test_of_nearly_equal_ones_the_smallest_is_taken():
    timings = [Timing(arrangement=a, seconds=s) for a, s in ((BATCH, 0.96), (STREAMS, 0.97), (PLAIN, 1.0))]
    assert fastest(timings) == PLAIN
    assert fastest([*timings, Timing(arrangement=TORCH, seconds=2.0)][:2]) == STREAMS


def test_a_choice_is_read_if_it_is_about_the_same_facts(tmp_path):
    file, candidates = tmp_path / "choice.json", [TORCH, PLAIN, STREAMS]
    run(Probe(candidates, file, {"window": "64"}), 8)
    assert Probe(candidates, file, {"window": "64"}).next(2, 2) == STREAMS
    assert Probe(candidates, file, {"window": "32"}).chosen is None
    assert Probe([TORCH, PLAIN], file, {"window": "64"}).next(1, 1) == PLAIN, "what has no room is not taken"
    file.write_text('{"chosen": "quick"}')
    assert Probe(candidates, file, {"window": "64"}).chosen is None


def test_a_single_small_study_is_left_to_what_is_ready(tmp_path):
    probe = Probe([TORCH, PLAIN], tmp_path / "choice.json")
    assert set(run(probe, 5, ahead=1)) == {TORCH}, "half of its seconds do not pay for a conversion and a comparison"
    assert PLAIN in run(probe, 10, ahead=1), "as many again would"


def test_openvino_s_float32_is_tried_beside_three_products_only_if_much_is_ahead():
    split = Arrangement(backend="bf16x3")
    seconds = {split: 1.0, **SECONDS}
    for ahead, tried in ((70, False), (90, True)):
        probe = Probe([TORCH, split, PLAIN])
        for arrangement in (TORCH, split):
            probe.report(arrangement, 1, seconds[arrangement], 2.0)
        assert (probe.next(ahead, 1) == PLAIN) is tried


def test_an_unfinished_measurement_goes_on(tmp_path):
    file = tmp_path / "choice.json"
    assert run(Probe([TORCH, PLAIN, STREAMS], file), 2, images=1) == [TORCH, PLAIN]
    assert json.loads(file.read_text())["chosen"] is None
    assert run(Probe([TORCH, PLAIN, STREAMS], file), 3) == [STREAMS] * 3
    assert json.loads(file.read_text())["chosen"]["streams"] == 2


def test_an_arrangement_waits_for_enough_images():
    assert set(run(Probe([TORCH, PLAIN, STREAMS]), 8, images=1)) == {TORCH, PLAIN}


def test_a_backend_that_does_not_work_is_left_out():
    probe = Probe([PLAIN, STREAMS])
    run(probe, 8)
    assert probe.chosen == STREAMS
    probe.drop([PLAIN, STREAMS], TORCH)
    assert probe.next(1, 1) == TORCH and probe.most_images() == 1


def test_after_a_failure_nothing_is_written(tmp_path):
    file = tmp_path / "choice.json"
    probe = Probe([TORCH, PLAIN, STREAMS, BATCH], file)
    run(probe, 3)
    before = file.read_text()
    probe.drop([STREAMS], TORCH)
    assert run(probe, 8)[-1] == PLAIN == probe.chosen and file.read_text() == before


def test_too_few_images_for_what_was_chosen_are_computed_plainly():
    probe = Probe([TORCH, PLAIN, STREAMS])
    run(probe, 8)
    assert probe.chosen == STREAMS and probe.next(MANY, 2) == STREAMS and probe.next(1, 1) == PLAIN


def test_a_choice_among_less_than_everything_is_not_kept(tmp_path):
    file = tmp_path / "choice.json"
    probe = Probe([TORCH, PLAIN], file, cut=True)
    run(probe, 8)
    written = json.loads(file.read_text())
    assert probe.chosen == PLAIN and written["chosen"] is None and len(written["timings"]) == 2
    assert run(Probe([TORCH, PLAIN, STREAMS], file), 3) == [STREAMS, STREAMS, STREAMS], "only what was left out"
    assert json.loads(file.read_text())["chosen"]["streams"] == 2


def test_a_finished_choice_is_not_overwritten_by_an_unfinished_one(tmp_path):
    file = tmp_path / "choice.json"
    slow = Probe([TORCH, PLAIN, STREAMS], file)
    run(Probe([TORCH, PLAIN, STREAMS], file), 8)
    finished = file.read_text()
    run(slow, 2)
    assert file.read_text() == finished


@pytest.mark.parametrize(
    ("side", "cores", "room", "expected"),
    [
        (128, 2, 9, ["torch, 1 x 1", "openvino, 1 x 1"]),
        (96, 2, 9, ["torch, 1 x 1", "openvino, 1 x 1", "openvino, 1 x 2", "openvino, 2 x 1"]),
        (96, 2, 1, ["torch, 1 x 1", "openvino, 1 x 1"]),
        (64, 1, 9, ["torch, 1 x 1", "openvino, 1 x 1", "openvino, 1 x 2", "openvino, 1 x 4"]),
        (32, 2, 2, ["torch, 1 x 8", "openvino, 1 x 1", "openvino, 1 x 2", "openvino, 2 x 1"]),
    ],
)
def test_what_is_tried_depends_on_window_cores_and_memory(side, cores, room, expected):
    found = arrangements(["torch", "openvino"], (4, side, side, side), cores, lambda images: images <= room)
    assert [str(arrangement) for arrangement in found] == expected
