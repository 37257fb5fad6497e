"""The Slurm script and the Kubernetes Job of docs/search-cluster.md start what they say."""

import argparse
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tuning import __main__ as tuning

PAGE = (Path(__file__).parents[2] / "docs" / "search-cluster.md").read_text("utf-8")
SRUN = """
while [ "${1#--}" != "$1" ]; do shift; done
for number in 0 1 2; do SLURM_PROCID=$number "$@" || exit; done
"""
"""Starts three tasks one after the other, as `srun` starts them at once."""
PYTHON = 'echo "$KERASTUNER_ORACLE_IP:$KERASTUNER_ORACLE_PORT $*" >> "$HOME/started"'


def block(heading: str, language: str) -> str:
    found = re.search(rf"^## {heading}\n.*?^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def parsed(words: list[str]) -> argparse.Namespace:
    assert words[:3] == ["-m", "tuning", "search"]
    return tuning.parser().parse_args(words[2:])


@pytest.mark.skipif(os.name == "nt", reason="Slurm runs a script of Bash")
def test_the_first_task_of_the_slurm_script_is_the_chief_and_the_others_find_it(tmp_path: Path):
    for name, content in {"srun": SRUN, "python": PYTHON, "hostname": "echo 10.0.0.5 fe80::1"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{content}\n", "utf-8")
        (tmp_path / name).chmod(0o755)
    script = tmp_path / "search.sh"
    script.write_text(block("Slurm", "bash"), "utf-8")
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    subprocess.run(["bash", script], check=True, env=environment)
    tasks = [line.split() for line in (tmp_path / "started").read_text("utf-8").splitlines()]
    assert {address for address, *_ in tasks} == {"10.0.0.5:8790"}
    options = [parsed(words) for _, *words in tasks]
    assert [one.role for one in options] == ["chief", "worker", "worker"]
    assert {(one.data, one.out) for one in options} == {(f"{tmp_path}/runs/audit", f"{tmp_path}/runs/search")}
    hours, minutes, _ = map(int, re.findall(r"--time=(\d+):(\d+):(\d+)", script.read_text("utf-8"))[0])
    assert 0 < options[0].hours < hours + minutes / 60  # it stops before the scheduler ends it


def test_the_kubernetes_workers_find_the_chief_that_they_alone_may_reach():
    kinds: dict[str, list[Any]] = {}
    for document in yaml.safe_load_all(block("Kubernetes", "yaml")):
        kinds.setdefault(document["kind"], []).append(document)
    (service,), (policy,), (chief, workers) = kinds["Service"], kinds["NetworkPolicy"], kinds["Job"]
    pods = [job["spec"]["template"] for job in (chief, workers)]
    labels = [pod["metadata"]["labels"] for pod in pods]
    (rule,) = policy["spec"]["ingress"]
    assert service["spec"]["selector"] == policy["spec"]["podSelector"]["matchLabels"] == labels[0]
    assert [source["podSelector"]["matchLabels"] for source in rule["from"]] == [labels[1]]
    assert service["spec"]["ports"] == rule["ports"] == [{"port": 8790}]
    containers = [pod["spec"]["containers"][0] for pod in pods]
    options = [parsed(container["command"][1:]) for container in containers]
    assert [one.role for one in options] == ["chief", "worker"]
    assert [one.address for one in options] == ["0.0.0.0:8790", f"{service['metadata']['name']}:8790"]
    assert options[0].out == options[1].out
    for pod, container in zip(pods, containers, strict=True):
        (mount,), (volume,) = container["volumeMounts"], pod["spec"]["volumes"]
        assert mount["name"] == volume["name"]
        assert options[0].out.startswith(f"{mount['mountPath']}/")
        assert pod["spec"]["restartPolicy"] == "OnFailure"
    assert workers["spec"]["completionMode"] == "Indexed"  # its number names a worker again after a restart
    assert workers["spec"]["completions"] == workers["spec"]["parallelism"]
