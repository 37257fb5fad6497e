"""The page docs/hub-faults.md is made here: python -m tests.support.hub_faults > docs/hub-faults.md

Each row makes the fault happen to the real client and shows the outcome.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from . import hub_fault_acts as acts
from .bundles import make_bundle
from .hub_people import Person
from .hub_scene import ONE, RIGHT, Scene, first_push
from .hub_server import HubServer

HEAD = """# Faults between you and a Hub

The tests write this table. They cause each fault for the unmodified client, against a strict Hub on this machine
(`python -m tests.support.hub_faults > docs/hub-faults.md`). *Right model* means that every byte is as published. An
error is one of [the package's own](errors.md), shown with its class and its message.

| fault | expected | observed |
|---|---|---|
"""


@dataclass(frozen=True)
class Row:
    """A row of the table has a fault, the act that meets it, and `expected`, the beginning of the observed text."""

    fault: str
    expected: str
    act: acts.Act


ROWS = (
    Row("a server that does not answer, and no limit was set", "HubUnreachable", acts.silent_by_default),
    Row("a file: 503 once", RIGHT, acts.pulled_through("fail", "GET", "model.onnx")),
    Row(
        "the repo's metadata: 503 once, nothing pulled before", RIGHT, acts.pulled_through("fail", "GET", "/revision/")
    ),
    Row(
        "503 every time, then healthy again", f"HubUnreachable; {RIGHT}", acts.pulled_after("fail", "GET", "model.onnx")
    ),
    Row("connection closed in the middle of a file", RIGHT, acts.pulled_through("cut", "GET", "model.onnx")),
    Row("TCP reset in the middle of a file", RIGHT, acts.pulled_through("reset", "GET", "model.onnx")),
    Row("reset every time, then healthy again", f"HubUnreachable; {RIGHT}", acts.pulled_after("reset", "GET", "/cdn/")),
    Row(
        "connection closed in the middle every time, then healthy again",
        f"HubUnreachable; {RIGHT}",
        acts.pulled_after("cut", "GET", "/cdn/"),
    ),
    Row("one byte changed on the way, once", RIGHT, acts.pulled_through("flip", "GET", "model.onnx")),
    Row(
        "one byte changed every time, then healthy again",
        f"BundleChanged; {RIGHT}",
        acts.pulled_after("flip", "GET", "model.onnx"),
    ),
    Row(
        "a file changed in the cache: without network, then with", f"BundleChanged; {RIGHT}", acts.changed_in_the_cache
    ),
    Row("a slow server", RIGHT, acts.pulled_through("slow", "GET", "/cdn/")),
    Row(
        "a busy server that asks to wait an hour: metadata",
        f"HubUnreachable; {RIGHT}",
        acts.pulled_after("busy", "GET", "/revision/"),
    ),
    Row(
        "a busy server that asks to wait an hour: a file's head",
        f"HubUnreachable; {RIGHT}",
        acts.pulled_after("busy", "HEAD", "/resolve/"),
    ),
    Row(
        "a busy server that asks to wait a second: metadata", RIGHT, acts.pulled_through("busy 1", "GET", "/revision/")
    ),
    Row(
        "a Hub that names a path for an ETag",
        f"HubError; {RIGHT}",
        acts.pulled_after('header ETag: "/srv/x"', "HEAD", "/resolve/"),
    ),
    Row(
        "a Hub that names a path for a commit",
        f"HubError; {RIGHT}",
        acts.pulled_after("header X-Repo-Commit: ../../x", "HEAD", "/resolve/"),
    ),
    Row(
        "a Hub that packs a file",
        f"HubError; {RIGHT}",
        acts.pulled_after("header Content-Encoding: gzip", "GET", "/resolve/"),
    ),
    Row("a model card of 3 MB, and a tag without it", f"HubError; {RIGHT}", acts.long_card),
    Row(
        "a server that sends a few bytes a second",
        f"HubUnreachable; {RIGHT}",
        acts.pulled_after("drip", "GET", "/cdn/"),
    ),
    Row(
        "a server that sends the head of its answer byte by byte: metadata",
        f"HubUnreachable; {RIGHT}",
        acts.pulled_after("drip head", "GET", "/revision/"),
    ),
    Row(
        "a server that does not answer: metadata",
        f"HubUnreachable; {RIGHT}",
        acts.pulled_after("hang", "GET", "/revision/"),
    ),
    Row(
        "a server that does not answer: a file's head",
        f"HubUnreachable; {RIGHT}",
        acts.pulled_after("hang", "HEAD", "/resolve/"),
    ),
    Row(
        "a server that stops in the middle of a file",
        f"HubUnreachable; {RIGHT}",
        acts.pulled_after("stall", "GET", "/cdn/"),
    ),
    Row("a server that does not answer: Xet's chunks", f"HubUnreachable; {RIGHT}", acts.chunks_that_never_come),
    Row("a server that does not answer: push", "HubUnreachable", acts.push_given_up),
    Row(
        "a server that does not answer: push of Xet's chunks, then without Xet",
        f"HubUnreachable; {ONE}",
        acts.chunks_that_are_never_taken,
    ),
    Row(
        "the network's log-in page in place of the Hub",
        f"HubUnreachable; {RIGHT}",
        acts.pulled_after("portal", "GET", "/"),
    ),
    Row("server down, nothing pulled before", "HubUnreachable", acts.down_and_empty),
    Row("server down, part of the model pulled before", "HubUnreachable", acts.down_with_a_part),
    Row(
        "a server that answers JSON but is not a Hub",
        f"HubUnreachable; {RIGHT}",
        acts.pulled_after("says {}", "GET", "/api/models/"),
    ),
    Row("server down, the model pulled before", RIGHT, acts.down_with_a_copy),
    Row("server down at a push", "HubUnreachable", acts.down_at_a_push),
    Row("HF_HUB_OFFLINE, the tag pulled before", RIGHT, acts.offline),
    Row("HF_HUB_OFFLINE, the tag never pulled", "HubUnreachable", acts.offline_never_pulled),
    Row("full disk, then space", f"OutputError; {RIGHT}", acts.disk_full),
    Row("a cache that can't be written", "OutputError", acts.cache_not_writable),
    Row("a cache that only others may write, with the model in it", RIGHT, acts.guest_with_a_copy),
    Row("a cache that only others may write, without it", "OutputError", acts.guest_without_a_copy),
    Row("a file of code in the repo, and a tag without it", f"BundleChanged; {RIGHT}", acts.code_beside_it),
    Row("two processes pull at once", f"{RIGHT} and {RIGHT}", acts.two_at_once),
    Row(
        "another process that was stopped in the middle of a pull, then killed",
        f"HubUnreachable; {RIGHT}",
        acts.stopped_in_a_pull,
    ),
    Row("killed in the middle of a pull, then again", RIGHT, acts.killed_in_a_pull),
    Row("killed in the middle of a push, then again", ONE, acts.killed_in_a_push),
    Row("push: whoami: 503 once", ONE, acts.pushed_through("fail", "GET", "/whoami")),
    *(
        Row(f"push: {name}: 503 once", ONE, acts.pushed_through("fail", "POST", path))
        for name, path in (
            ("create_repo", "/api/repos/create"),
            ("validate-yaml", "/api/validate-yaml"),
            ("preupload", "/preupload/"),
            ("commit", "/commit/"),
            ("tag", "/tag/"),
        )
    ),
    Row("push: a large file: 503 once", ONE, acts.pushed_through("fail", "PUT", "/lfs/")),
    Row("push: a large file: connection cut, once", ONE, acts.pushed_through("cut", "PUT", "/lfs/")),
    Row(
        "push: a large file: no answer, then healthy again",
        f"HubUnreachable; {ONE}",
        acts.pushed_after("hang", "PUT", "/lfs/"),
    ),
    Row(
        "push: a large file: a busy server that asks to wait an hour, then healthy again",
        f"HubUnreachable; {ONE}",
        acts.pushed_after("busy", "PUT", "/lfs/"),
    ),
    Row("push: cut after the commit was made", ONE, acts.pushed_through("cut", "POST", "/commit/")),
    Row("push: cut after the tag was made", ONE, acts.pushed_through("cut", "POST", "/tag/")),
    Row("expired token", "HubDenied", acts.expired),
    Row("private repo, no token", "HubDenied", acts.private),
    Row("gated repo", "HubDenied", acts.gated),
    Row("renamed repo", RIGHT, acts.renamed),
    Row("renamed repo, redirected to another host", "HubUnreachable", acts.renamed_elsewhere),
    Row("a Hub that wants the token sent to another host", "HubError", acts.token_wanted_elsewhere),
    Row("files that lie on another host", f"{RIGHT}, and no token was sent there", acts.elsewhere),
)


def observe_all() -> dict[str, str]:
    """Return the outcome of every row, by its fault. Several run at a time, since most of each is waiting."""

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
