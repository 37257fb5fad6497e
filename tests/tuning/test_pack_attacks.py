"""Packs, jobs and trained members come from another machine: what is wrong with one is a clear error, and no file."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kneeoa_hub.bundle import parse_config
from kneeoa_hub.errors import BundleError, DataError, SettingsError
from kneeoa_hub.files import is_file_name
from kneeoa_hub.hub.pull_push import pull
from kneeoa_hub.imaging.phantom import knee_film
from tuning.run.arrays import read_arrays
from tuning.training.pack import FILMS, Teacher, keep_teacher, main, starts, teachers_of, unpack, write

FILMS_PACKED = 4
BOMB_BYTES = 64 * 2**20
LEADING_ELSEWHERE = ("../x", "/srv/x", "a/b", "..", "", "a\\b", "c:x", ".x", "x\n", "x" * 101)


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A pack of four synthetic films."""
    pictures = [knee_film(grade, grade).pixels.astype(np.uint8) for grade in range(FILMS_PACKED)]
    rows = [(n, "ward", "train" if n else "val", f"{n}.png", str(n)) for n in range(FILMS_PACKED)]
    write(tmp_path / "pack" / FILMS, pictures, np.array([[112.0, 112.0, 224.0]] * FILMS_PACKED), rows)
    return tmp_path / "pack"


def changed(path: Path, **arrays: Any) -> None:
    """Write a file of arrays anew, with some of them changed; None leaves one out."""
    kept = read_arrays(path) | arrays
    np.savez(path, allow_pickle=True, **{name: array for name, array in kept.items() if array is not None})


@pytest.mark.parametrize(
    ("array", "value"),
    [
        ("lengths", np.array([10, -10, 10, 10])),
        ("lengths", np.array([10**12] * FILMS_PACKED)),
        ("lengths", np.array([10])),
        ("joints", np.zeros((FILMS_PACKED, 3), np.float32)),
        ("joints", np.full((FILMS_PACKED, 3), np.nan, np.float32)),
        ("joints", np.ones((10**6, 3), np.float32)),
        ("grades", np.array([0, 1, 2, 7])),
        ("grades", np.array([0.5, 1, 2, 3])),
        ("splits", np.array(["train", "train", "val", "test"])),
        ("names", np.array([1, 2, 3, 4])),
        ("groups", None),
        ("groups", np.array([{}, {}, {}, {}])),
        ("bytes", np.zeros(40, np.uint8)),
    ],
)
def test_a_pack_that_lies_about_its_films_is_one_clear_error(packed: Path, array: str, value: Any) -> None:
    assert unpack(packed / FILMS).grades.tolist() == [0, 1, 2, 3]
    changed(packed / FILMS, **{array: value})
    with pytest.raises(DataError, match=r"films\.npz"):
        unpack(packed / FILMS)


@pytest.mark.keras
@pytest.mark.parametrize(
    ("splits", "said"),
    [
        (["train", "val", "val", "val"], "has 1 training films of 1 grades"),
        (["train", "train", "val", "val"], "has 0 validation films of ward, its first dataset, of 0 grades"),
    ],
)
def test_a_search_on_a_pack_without_films_to_learn_from_or_to_measure_on_ends_before_any_trial(
    packed: Path, monkeypatch: pytest.MonkeyPatch, splits: list[str], said: str
) -> None:
    import keras

    pytest.importorskip("jax")
    from tuning.searching.on_pack import PackTrainer
    from tuning.searching.settings import SearchSettings

    changed(packed / FILMS, splits=np.array(splits), collections=np.array(["ward", "ward", "clinic", "clinic"]))
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(DataError, match=said):
        PackTrainer(packed, packed, SearchSettings(accelerated=True))


@pytest.mark.parametrize("damage", ["cut", "empty", "missing", "pickle", "bomb", "no ZIP", "too many pixels"])
def test_a_pack_that_is_damaged_or_unpacks_to_much_more_is_one_clear_error(packed: Path, damage: str) -> None:
    path = packed / FILMS
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "missing":
        path.unlink()
    elif damage == "pickle":
        path.write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    elif damage == "bomb":
        np.savez_compressed(
            path, allow_pickle=True, **(read_arrays(path) | {"joints": np.zeros(BOMB_BYTES // 4, np.float32)})
        )
        assert path.stat().st_size < BOMB_BYTES / 100
    elif damage == "no ZIP":
        path.write_bytes(b"PK\3\4" + bytes(1000))
    else:
        stream = io.BytesIO()
        Image.new("L", (8000, 8000)).save(stream, "WEBP", lossless=True, method=0)
        film = np.frombuffer(stream.getvalue(), np.uint8)
        kept = {name: array[:1] for name, array in read_arrays(path).items() if name not in ("bytes", "fingerprint")}
        changed(path, **kept | {"bytes": film, "lengths": np.array([film.size])})
    with pytest.raises(DataError, match=r"films\.npz"):
        unpack(path)


@pytest.mark.parametrize("answers", ["other films", "no probabilities", "not floats", "no count", "a count below 0"])
def test_a_teacher_whose_answers_are_none_is_one_clear_error(packed: Path, answers: str) -> None:
    right = np.full((FILMS_PACKED, 1, 5), 0.2, np.float32)
    keep_teacher(packed, Teacher("ward", right))
    path = packed / "answers-ward.npz"
    assert teachers_of(packed)["ward"].answers.shape == right.shape
    wrong: dict[str, Any] = {
        "other films": {"answers": right[..., :4]},
        "no probabilities": {"answers": 9 * right},
        "not floats": {"answers": np.ones((FILMS_PACKED, 1, 5), int)},
        "no count": {"test_evaluations": None},
        "a count below 0": {"test_evaluations": np.array(-1)},
    }[answers]
    changed(path, **wrong)
    with pytest.raises(DataError, match="answers-ward"):
        teachers_of(packed)


@pytest.mark.parametrize("name", LEADING_ELSEWHERE)
def test_a_name_that_leads_out_of_the_folder_is_refused_wherever_it_comes_from(packed: Path, name: str) -> None:
    assert not is_file_name(name)
    with pytest.raises(DataError):
        keep_teacher(packed, Teacher(f"x/../../{name}", np.full((1, 1, 5), 0.2, np.float32)))
    with pytest.raises(DataError):
        starts(packed, name)
    config = json.loads((pull() / "bundle.json").read_text("utf-8"))
    config["members"][0]["name"] = name
    with pytest.raises(BundleError, match="name a file"):
        parse_config(json.dumps(config).encode(), "bundle.json")
    assert sorted(path.name for path in packed.parent.rglob("*")) == [FILMS, "pack"]


@pytest.mark.keras
@pytest.mark.parametrize(
    "change",
    [
        *({"name": name} for name in LEADING_ELSEWHERE[:3]),
        {"name": 3},
        {"batch": 0},
        {"batch": "8"},
        {"share": 0},
        {"share": float("nan")},
        {"seed": -1},
        {"teachers": "ward"},
        {"architecture": None},
        {"architecture": {"size": 10**6}},
        {"architecture": {"widths": "a-b"}},
        {"architecture": {"depth": 9}},
    ],
)
def test_a_job_that_can_not_be_trained_is_one_clear_error(change: dict[str, Any]) -> None:
    from tuning.training.jobs import jobs_from

    job = {"name": "one", "architecture": {"size": 32, "widths": "8-16"}}
    assert jobs_from([job])[0].architecture.crop == "frame"
    with pytest.raises((SettingsError, DataError)):
        jobs_from([job | change])
    for rows in ({}, None, [], [1], [job, job]):
        with pytest.raises(SettingsError):
            jobs_from(rows)


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A member as an accelerator leaves it."""
    from tuning.networks.architecture import Architecture, build
    from tuning.run import steps
    from tuning.training.jobs import Job, Outcome

    architecture = Architecture(size=32, widths="8-16", crop="frame")
    network = build(architecture, published=False, protocols=("ward",))
    variables = [*network.trainable_variables, *network.non_trainable_variables]
    weights = {f"{number}": variable.numpy().astype(np.float32) for number, variable in enumerate(variables)}
    outcome = Outcome(Job("one-0", architecture), 1, 1.0, (), ("ward",), "0" * 64)
    path = tmp_path_factory.mktemp("member") / "one-0.npz"
    np.savez(path, outcome=np.array(steps.as_json(outcome)), **weights)
    return path


@pytest.mark.keras
@pytest.mark.parametrize(
    "damage",
    [
        "another name",
        "no JSON",
        "no outcome",
        "no protocol",
        "NaN",
        "another shape",
        "fewer",
        "objects",
        "cut",
        "history",
    ],
)
def test_a_member_that_is_damaged_or_names_another_place_does_not_join(
    member: Path, tmp_path: Path, damage: str
) -> None:
    from tuning.training.jobs import read_kept
    from tuning.training.joining import joining_members

    path = tmp_path / "one-0.npz"
    path.write_bytes(member.read_bytes())
    outcome = json.loads(str(read_arrays(path)["outcome"]))
    assert read_kept(path)[0].protocols == ("ward",)
    first = read_arrays(path)["0"]

    def with_outcome(**fields: Any) -> dict[str, Any]:
        return {"outcome": np.array(json.dumps(outcome | fields))}

    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-300])
    else:
        wrong: dict[str, dict[str, Any]] = {
            "another name": with_outcome(job=outcome["job"] | {"name": "../../stolen"}),
            "no JSON": {"outcome": np.array("{")},
            "no outcome": {"outcome": None},
            "no protocol": with_outcome(protocols=[]),
            "NaN": {"0": np.full_like(first, np.nan)},
            "another shape": {"0": first[..., :-1]},
            "fewer": {"0": None},
            "objects": {"0": np.array([{}])},
            "history": with_outcome(history=[[{"protocol": "ward"}]]),
        }
        changed(path, **wrong[damage])
    with pytest.raises(DataError, match=r"one-0\.npz"):
        joining_members((str(path),), (), tmp_path / "audit")
    assert [one.name for one in tmp_path.iterdir()] == ["one-0.npz"]


@pytest.mark.keras
@pytest.mark.parametrize("content", ["[]", '{"a": 1}', "{"])
def test_a_list_of_seen_films_that_is_none_is_one_clear_error(tmp_path: Path, content: str) -> None:
    from tuning.training.joining import seen_films

    (tmp_path / "seen.json").write_text(content, "utf-8")
    with pytest.raises(DataError, match=r"seen\.json"):
        seen_films(tmp_path, tmp_path, {"a"})


@pytest.mark.keras
@pytest.mark.parametrize("damage", ["probabilities", "grades", "cut", "shape"])
def test_answers_of_a_trial_that_are_none_are_one_clear_error(tmp_path: Path, damage: str) -> None:
    from tuning.searching.predictions import PREDICTIONS, finite, keep_predictions, read_predictions

    with pytest.raises(FloatingPointError, match="values that are not numbers"):
        finite(np.full((4, 5), np.nan))
    keep_predictions(tmp_path, finite(np.full((4, 5), 0.2)), np.arange(4))
    read_predictions(tmp_path)
    path = tmp_path / PREDICTIONS
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "grades":
        changed(path, grades=np.array([0, 1, 2, 9]))
    else:
        changed(path, probabilities=np.full((4, 5) if damage == "probabilities" else (3, 5), np.nan, np.float32))
    with pytest.raises(DataError, match=PREDICTIONS):
        read_predictions(tmp_path)


@pytest.mark.keras
def test_commands_of_packs_fail_with_one_line(packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("jax")
    from tuning.training import accelerated

    jobs, out = tmp_path / "jobs.json", tmp_path / "out"
    assert main(["--audit", str(tmp_path / "none"), "--out", str(out)]) == 1
    given = ["--pack", str(packed), "--jobs", str(jobs), "--out", str(out)]
    assert accelerated.main(given) == 2  # Keras does not run on JAX here
    with pytest.raises(SystemExit):
        accelerated.main([*given, "--minutes", "nan"])
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert said.count("error: ") == 3
    assert not out.exists()
