"""Each function causes one fault between a person and a Hub, for the real client, and returns the outcome."""

import signal
import time
from collections.abc import Callable
from typing import Any

from .hub_people import REPO, said
from .hub_scene import Scene
from .waiting import until

Act = Callable[[Scene], str]


def pulled_through(kind: str, method: str, path: str, times: int = 1) -> Act:
    def act(scene: Scene) -> str:
        scene.server.fault(kind, method, path, times)
        return scene.pull()

    return act


def pulled_after(kind: str, method: str, path: str) -> Act:
    """Return the outcomes of a pull that fails and of the next one, when the fault has gone."""
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
    """Return the outcomes of a push that fails and of the next one, when the fault has gone."""
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
    scene.stranger.environment["KNEEOA_TIMEOUT"] = "60"  # a busy machine makes no progress for seconds
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
