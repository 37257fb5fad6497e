"""Everything that goes wrong between a person and a Hub, as a table: python -m tests.support.hub_faults >
docs/hub-faults.md

Each row makes the fault happen to the real client and tells what came of it.
"""

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .bundles import make_bundle
from .hub_people import REPO, Person, said
from .hub_scene import ONE, RIGHT, Scene, first_push
from .hub_server import HubServer
from .waiting import until

HEAD = """# Faults between you and a Hub

The tests write this table. They cause each fault for the unmodified client, against a strict Hub on this machine
(`python -m tests.support.hub_faults > docs/hub-faults.md`). *Right model* means that every byte is as published. An
error is one of [the package's own](errors.md), shown with its class and its message.

| fault | expected | observed |
|---|---|---|
"""

Act = Callable[[Scene], str]


@dataclass(frozen=True)
class Row:
    """expected: the beginning of the observed text."""

    fault: str
    expected: str
    act: Act


def pulled_through(kind: str, method: str, path: str, times: int = 1) -> Act:
    def act(scene: Scene) -> str:
        scene.server.fault(kind, method, path, times)
        return scene.pull()

    return act


def pulled_after(kind: str, method: str, path: str) -> Act:
    """A pull that fails, and the next one, when the fault has gone."""
    return _tried_after(kind, method, path, Scene.pull)


def _tried_after(kind: str, method: str, path: str, what: Act) -> Act:
    def act(scene: Scene) -> str:
        scene.server.fault(kind, method, path, times=99)
        first = what(scene)
        scene.server.faults.clear()
        return f"{first}; then {what(scene)}"

    return act


def pushed_through(kind: str, method: str, path: str) -> Act:
    def act(scene: Scene) -> str:
        scene.server.fault(kind, method, path)
        return scene.push() or scene.pushed()

    return act


def pushed_after(kind: str, method: str, path: str) -> Act:
    """A push that fails, and the next one, when the fault has gone."""
    return _tried_after(kind, method, path, lambda scene: scene.push() or scene.pushed())


def silent_by_default(scene: Scene) -> str:
    """Without a setting, the client waits for half a minute."""
    for name in ("KNEEOA_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT"):
        del scene.stranger.environment[name]
    scene.server.fault("hang", "HEAD", "/resolve/", times=99)
    began = time.monotonic()
    observed = scene.pull()
    assert time.monotonic() - began > 25
    return observed


def push_given_up(scene: Scene) -> str:
    scene.server.fault("hang", "POST", "/api/repos/create", times=99)
    return scene.push()


def changed_in_the_cache(scene: Scene) -> str:
    blob = (scene.stranger.pulls(f"{REPO}@v1.0") / "model.onnx").resolve()
    blob.write_bytes(blob.read_bytes()[::-1])
    return f"{scene.pull(local_files_only=True)}; then {scene.pull()}"


def down_with_a_part(scene: Scene) -> str:
    (scene.stranger.pulls(REPO) / "evidence.json").unlink()
    scene.server.stop()
    return scene.pull()


def down_with_a_copy(scene: Scene) -> str:
    scene.stranger.pulls(REPO)
    scene.server.stop()
    result = scene.stranger.does("pull", REPO)
    assert "pulled before" in result["log"]
    return scene.outcome(result)


def down_and_empty(scene: Scene) -> str:
    scene.server.stop()
    return scene.pull()


def down_at_a_push(scene: Scene) -> str:
    scene.server.stop()
    return scene.push()


def offline(scene: Scene) -> str:
    scene.stranger.pulls(f"{REPO}@v1.0")
    scene.server.requests.clear()
    scene.stranger.environment["HF_HUB_OFFLINE"] = "1"
    observed = scene.pull()
    assert scene.server.requests == []
    return observed


def offline_never_pulled(scene: Scene) -> str:
    scene.stranger.environment["HF_HUB_OFFLINE"] = "1"
    return scene.pull()


def disk_full(scene: Scene) -> str:
    return f"{scene.pull(room=8192)}; then {scene.pull()}"


def cache_not_writable(scene: Scene) -> str:
    (scene.folder / "file").write_text("mine")
    return scene.pull(cache_dir=scene.folder / "file" / "cache")


def guest_with_a_copy(scene: Scene) -> str:
    """The cache belongs to another user, as in a container image that holds the model."""
    scene.stranger.pulls(f"{REPO}@v1.0")
    _read_only(scene)
    return scene.pull(guest=True)


def guest_without_a_copy(scene: Scene) -> str:
    scene.stranger.cache.mkdir(parents=True)
    _read_only(scene)
    return scene.pull(guest=True)


def _read_only(scene: Scene) -> None:
    home = scene.stranger.cache.parent
    for path in (home, *home.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o555 if path.is_dir() else 0o444)


def chunks_that_never_come(scene: Scene) -> str:
    scene.stranger.environment["HF_HUB_DISABLE_XET"] = "0"
    scene.server.announce((scene.bundle / "model.weights.h5").read_bytes())
    scene.server.store = f"{scene.server.url}/chunks"
    scene.server.fault("hang", "GET", "/chunks/", times=99)
    first = scene.pull()
    scene.server.chunked.clear()
    return f"{first}; then {scene.pull()}"


def chunks_that_are_never_taken(scene: Scene) -> str:
    scene.publisher.environment["HF_HUB_DISABLE_XET"] = "0"
    scene.server.store = f"{scene.server.url}/chunks"
    for method in ("GET", "HEAD", "POST", "PUT"):
        scene.server.fault("hang", method, "/chunks/", times=99)
    first = scene.push()
    scene.publisher.environment["HF_HUB_DISABLE_XET"] = "1"
    return f"{first}; then {scene.push() or scene.pushed()}"


def code_beside_it(scene: Scene) -> str:
    scene.server.commit(REPO, scene.server.files(REPO) | {"setup.py": b"print()"})
    return f"{scene.pull(REPO)}; then {scene.pull()}"


def long_card(scene: Scene) -> str:
    scene.server.commit(REPO, scene.server.files(REPO) | {"README.md": b"x" * 3_000_000})
    return f"{scene.pull(REPO)}; then {scene.pull()}"


def renamed_elsewhere(scene: Scene) -> str:
    scene.server.moved_to = scene.server.cdn
    renamed(scene)
    return _no_stray(scene, scene.pull(token="r"))


def token_wanted_elsewhere(scene: Scene) -> str:
    scene.stranger.environment["HF_HUB_DISABLE_XET"] = "0"
    scene.server.announce((scene.bundle / "model.weights.h5").read_bytes())
    scene.server.token_at = scene.server.cdn
    return _no_stray(scene, scene.pull(token="r"))


def _no_stray(scene: Scene, observed: str) -> str:
    return f"{observed}, and {'no token was' if not scene.server.strays else 'A TOKEN WAS'} sent there"


def two_at_once(scene: Scene) -> str:
    scene.server.fault("slow", "GET", "/cdn/", times=2)
    calls = [scene.stranger.starts("pull", f"{REPO}@v1.0") for _ in range(2)]
    return " and ".join(scene.outcome(said(call)) for call in calls)


def stopped_in_a_pull(scene: Scene) -> str:
    scene.server.fault("hang", "GET", "model.onnx", times=99)
    first = scene.stranger.starts("pull", f"{REPO}@v1.0")
    until(lambda: any(method == "GET" and "model.onnx" in path for method, path in list(scene.server.requests)))
    first.send_signal(signal.SIGSTOP)
    try:
        result = scene.pull()
    finally:
        first.kill()
        first.communicate()
    scene.server.faults.clear()
    return f"{result}; then {scene.pull()}"


def killed_in_a_pull(scene: Scene) -> str:
    scene.server.fault("stall", "GET", "/cdn/")
    _kill(scene, "pull", f"{REPO}@v1.0", at="/cdn/")
    return scene.pull()


def killed_in_a_push(scene: Scene) -> str:
    scene.server.fault("hang", "POST", "/commit/")
    _kill(scene, "push", scene.newer, REPO, tag="v2.0", at="/commit/")
    assert "v2.0" not in scene.server.refs(REPO)
    return scene.push() or scene.pushed()


def _kill(scene: Scene, name: str, *arguments: object, at: str, **options: Any) -> None:
    """Start a call, and kill it when the Hub has been asked for `at`."""
    scene.server.requests.clear()
    call = (scene.publisher if name == "push" else scene.stranger).starts(name, *arguments, **options)
    while not any(at in path for _, path in list(scene.server.requests)):
        assert call.poll() is None, call.communicate()
        time.sleep(0.02)
    call.kill()
    call.communicate()


def expired(scene: Scene) -> str:
    return scene.pull(token="expired")


def gated(scene: Scene) -> str:
    scene.server.repos["models", REPO].gated = True
    return scene.pull()


def private(scene: Scene) -> str:
    scene.server.repos["models", REPO].private = True
    return scene.pull()


def renamed(scene: Scene) -> str:
    scene.server.repos["models", "lab/renamed"] = scene.server.repos.pop(("models", REPO))
    scene.server.renamed[REPO] = "lab/renamed"
    return scene.pull()


def elsewhere(scene: Scene) -> str:
    observed = scene.pull(token="r")
    assert any("/cdn/" in path for _, path in scene.server.requests)
    return _no_stray(scene, observed)


ROWS = (
    Row("a server that does not answer, and no limit was set", "HubUnreachable", silent_by_default),
    Row("a file: 503 once", RIGHT, pulled_through("fail", "GET", "model.onnx")),
    Row("the repo's metadata: 503 once, nothing pulled before", RIGHT, pulled_through("fail", "GET", "/revision/")),
    Row("503 every time, then healthy again", f"HubUnreachable; {RIGHT}", pulled_after("fail", "GET", "model.onnx")),
    Row("connection closed in the middle of a file", RIGHT, pulled_through("cut", "GET", "model.onnx")),
    Row("TCP reset in the middle of a file", RIGHT, pulled_through("reset", "GET", "model.onnx")),
    Row("reset every time, then healthy again", f"HubUnreachable; {RIGHT}", pulled_after("reset", "GET", "/cdn/")),
    Row(
        "connection closed in the middle every time, then healthy again",
        f"HubUnreachable; {RIGHT}",
        pulled_after("cut", "GET", "/cdn/"),
    ),
    Row("one byte changed on the way, once", RIGHT, pulled_through("flip", "GET", "model.onnx")),
    Row(
        "one byte changed every time, then healthy again",
        f"BundleChanged; {RIGHT}",
        pulled_after("flip", "GET", "model.onnx"),
    ),
    Row("a file changed in the cache: without network, then with", f"BundleChanged; {RIGHT}", changed_in_the_cache),
    Row("a slow server", RIGHT, pulled_through("slow", "GET", "/cdn/")),
    Row(
        "a busy server that asks to wait an hour: metadata",
        f"HubUnreachable; {RIGHT}",
        pulled_after("busy", "GET", "/revision/"),
    ),
    Row(
        "a busy server that asks to wait an hour: a file's head",
        f"HubUnreachable; {RIGHT}",
        pulled_after("busy", "HEAD", "/resolve/"),
    ),
    Row("a busy server that asks to wait a second: metadata", RIGHT, pulled_through("busy 1", "GET", "/revision/")),
    Row(
        "a Hub that names a path for an ETag",
        f"HubError; {RIGHT}",
        pulled_after('header ETag: "/srv/x"', "HEAD", "/resolve/"),
    ),
    Row(
        "a Hub that names a path for a commit",
        f"HubError; {RIGHT}",
        pulled_after("header X-Repo-Commit: ../../x", "HEAD", "/resolve/"),
    ),
    Row(
        "a Hub that packs a file",
        f"HubError; {RIGHT}",
        pulled_after("header Content-Encoding: gzip", "GET", "/resolve/"),
    ),
    Row("a model card of 3 MB, and a tag without it", f"HubError; {RIGHT}", long_card),
    Row("a server that sends a few bytes a second", f"HubUnreachable; {RIGHT}", pulled_after("drip", "GET", "/cdn/")),
    Row(
        "a server that does not answer: metadata", f"HubUnreachable; {RIGHT}", pulled_after("hang", "GET", "/revision/")
    ),
    Row(
        "a server that does not answer: a file's head",
        f"HubUnreachable; {RIGHT}",
        pulled_after("hang", "HEAD", "/resolve/"),
    ),
    Row(
        "a server that stops in the middle of a file", f"HubUnreachable; {RIGHT}", pulled_after("stall", "GET", "/cdn/")
    ),
    Row("a server that does not answer: Xet's chunks", f"HubUnreachable; {RIGHT}", chunks_that_never_come),
    Row("a server that does not answer: push", "HubUnreachable", push_given_up),
    Row(
        "a server that does not answer: push of Xet's chunks, then without Xet",
        f"HubUnreachable; {ONE}",
        chunks_that_are_never_taken,
    ),
    Row(
        "the network's log-in page in place of the Hub",
        f"HubUnreachable; {RIGHT}",
        pulled_after("portal", "GET", "/"),
    ),
    Row("server down, nothing pulled before", "HubUnreachable", down_and_empty),
    Row("server down, part of the model pulled before", "HubUnreachable", down_with_a_part),
    Row(
        "a server that answers JSON but is not a Hub",
        f"HubUnreachable; {RIGHT}",
        pulled_after("says {}", "GET", "/api/models/"),
    ),
    Row("server down, the model pulled before", RIGHT, down_with_a_copy),
    Row("server down at a push", "HubUnreachable", down_at_a_push),
    Row("HF_HUB_OFFLINE, the tag pulled before", RIGHT, offline),
    Row("HF_HUB_OFFLINE, the tag never pulled", "HubUnreachable", offline_never_pulled),
    Row("full disk, then space", f"OutputError; {RIGHT}", disk_full),
    Row("a cache that can't be written", "OutputError", cache_not_writable),
    Row("a cache that only others may write, with the model in it", RIGHT, guest_with_a_copy),
    Row("a cache that only others may write, without it", "OutputError", guest_without_a_copy),
    Row("a file of code in the repo, and a tag without it", f"BundleChanged; {RIGHT}", code_beside_it),
    Row("two processes pull at once", f"{RIGHT} and {RIGHT}", two_at_once),
    Row(
        "another process that was stopped in the middle of a pull, then killed",
        f"HubUnreachable; {RIGHT}",
        stopped_in_a_pull,
    ),
    Row("killed in the middle of a pull, then again", RIGHT, killed_in_a_pull),
    Row("killed in the middle of a push, then again", ONE, killed_in_a_push),
    Row("push: whoami: 503 once", ONE, pushed_through("fail", "GET", "/whoami")),
    *(
        Row(f"push: {name}: 503 once", ONE, pushed_through("fail", "POST", path))
        for name, path in (
            ("create_repo", "/api/repos/create"),
            ("validate-yaml", "/api/validate-yaml"),
            ("preupload", "/preupload/"),
            ("commit", "/commit/"),
            ("tag", "/tag/"),
        )
    ),
    Row("push: a large file: 503 once", ONE, pushed_through("fail", "PUT", "/lfs/")),
    Row("push: a large file: connection cut, once", ONE, pushed_through("cut", "PUT", "/lfs/")),
    Row(
        "push: a large file: no answer, then healthy again",
        f"HubUnreachable; {ONE}",
        pushed_after("hang", "PUT", "/lfs/"),
    ),
    Row(
        "push: a large file: a busy server that asks to wait an hour, then healthy again",
        f"HubUnreachable; {ONE}",
        pushed_after("busy", "PUT", "/lfs/"),
    ),
    Row("push: cut after the commit was made", ONE, pushed_through("cut", "POST", "/commit/")),
    Row("push: cut after the tag was made", ONE, pushed_through("cut", "POST", "/tag/")),
    Row("expired token", "HubDenied", expired),
    Row("private repo, no token", "HubDenied", private),
    Row("gated repo", "HubDenied", gated),
    Row("renamed repo", RIGHT, renamed),
    Row("renamed repo, redirected to another host", "HubUnreachable", renamed_elsewhere),
    Row("a Hub that wants the token sent to another host", "HubError", token_wanted_elsewhere),
    Row("files that lie on another host", f"{RIGHT}, and no token was sent there", elsewhere),
)


def observe_all() -> dict[str, str]:
    """The outcome of every row, by its fault. Several run at a time, since most of each is waiting."""

    def observed(row: Row) -> str:
        with TemporaryDirectory() as folder:
            return observe(row, Path(folder))

    first_push()
    with ThreadPoolExecutor(4) as workers:
        return dict(zip((row.fault for row in ROWS), workers.map(observed, ROWS), strict=True))


def observe(row: Row, folder: Path) -> str:
    """Make the fault happen in a new scene, and return the outcome."""
    with HubServer() as server:
        scene = Scene(
            server,
            folder,
            make_bundle(folder / "bundle"),
            Person(folder / "home", server.url, "w"),
            Person(folder / "elsewhere", server.url),
        )
        server.hold(first_push())
        observed = row.act(scene)
        assert any(fault.struck for fault in server.arranged) or not server.arranged, (
            f"{row.fault}: nothing of it happened"
        )
        return observed


def line(row: Row, observed: str) -> str:
    return f"| {row.fault} | {row.expected.replace('; ', ', then ')} | {observed.replace('|', ' ')} |\n"


def main() -> None:
    observed = observe_all()
    print(HEAD + "".join(line(row, observed[row.fault]) for row in ROWS), end="")


if __name__ == "__main__":
    main()
