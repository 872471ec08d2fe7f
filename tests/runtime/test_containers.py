"""What containers are made and run by.

The chart is rendered by Helm's own engine, all objects are held against Kubernetes' published schemas, and what they hand
to Shotover is checked by Shotover itself.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from shotover.cli import find_files, main, run_parser

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "configs/docker"
KUBERNETES = ROOT / "configs/kubernetes"
VERSIONS = ("1.29", kubernetes_validate.latest_version())
"""The oldest that knows all that is used here, and the newest whose schemas there are."""
NO_SCHEMA = {"PodMonitor"}
"""Of the Prometheus operator, not of Kubernetes."""
TOPOLOGY = {
    "sources": [
        {
            "Redis": {
                "name": "a",
                "listen_addr": "0.0.0.0:7000",
                "chain": [{"RedisSinkSingle": {"name": "b", "remote_address": "redis:6379"}}],
            }
        }
    ]
}
EVERYTHING: dict[str, Any] = {
    "topology": TOPOLOGY,
    "ports": [{"name": "a", "port": 7000}],
    "config": {"drain_timeout_seconds": 60},
    "adminToken": {"secret": "token"},
    "image": {"tag": "9.9", "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "registry"}],
    "coreThreads": 4,
    "service": {"type": "LoadBalancer", "annotations": {"a": "b"}},
    "podDisruptionBudget": {"minAvailable": "50%"},
    "podMonitor": {"enabled": True, "labels": {"release": "p"}},
    "env": [{"name": "A", "value": "b"}],
    "volumes": [{"name": "certificates", "secret": {"secretName": "tls"}}],
    "volumeMounts": [{"name": "certificates", "mountPath": "/certificates"}],
    "podAnnotations": {"a": "b"},
    "podLabels": {"team": "c"},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "k", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
}
VALUES = [
    pytest.param({}, id="as it is"),
    pytest.param(EVERYTHING, id="everything"),
    pytest.param(
        {"podDisruptionBudget": {"minAvailable": None}, "preStopSeconds": 0}, id="less than usual"
    ),
]


def rendered(values: dict[str, Any]) -> dict[str, Any]:
    """The chart's objects by kind."""
    helm = pytest.importorskip("helm_python")  # there is one for Linux on x86-64
    chart = helm.Chart.load(str(KUBERNETES / "chart"))
    chart.validate_schema(values)
    pages = chart.render(values, name="try", namespace="space")
    found = [
        tree
        for name, text in pages.items()
        if name.endswith(".yaml")
        for tree in yaml.safe_load_all(text)
        if tree
    ]
    return {tree["kind"]: tree for tree in found}


def validate(tree: dict[str, Any]) -> None:
    for version in VERSIONS if tree["kind"] not in NO_SCHEMA else ():
        kubernetes_validate.validate(tree, version, strict=True)


def check(folder: Path, data: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The files of a ConfigMap, as Shotover reads them; the ports that its sources listen on."""
    monkeypatch.setenv("ADMIN_TOKEN", "0123456789abcdef")
    for name, text in data.items():
        (folder / name).write_text(text)
    files = [str(folder / name) for name in ("topology.yaml", "config.yaml")]
    assert main(["check", "-t", files[0], "-c", files[1]]) == 0
    topology = yaml.safe_load(data["topology.yaml"])
    models = [model for source in topology["sources"] for model in source.values()]
    return [int(model["listen_addr"].rpartition(":")[2]) for model in models]


def understood(container: dict[str, Any]) -> Any:
    """Its arguments, as the command line takes them."""
    options = run_parser("run").parse(container["args"])
    find_files(options)
    return options


@pytest.mark.parametrize("values", VALUES)
def test_what_the_chart_renders_is_what_kubernetes_takes(values: dict[str, Any]) -> None:
    objects = rendered(values)
    assert {"ConfigMap", "Deployment", "Service"} <= set(objects)
    for tree in objects.values():
        validate(tree)
    assert ("PodDisruptionBudget" in objects) == (values.get("preStopSeconds") != 0)
    assert ("PodMonitor" in objects) == ("podMonitor" in values)


@pytest.mark.parametrize("values", VALUES)
def test_shotover_takes_what_the_chart_renders(
    values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = rendered(values)
    ports = check(tmp_path, objects["ConfigMap"]["data"], monkeypatch)
    assert [port["port"] for port in objects["Service"]["spec"]["ports"]] == ports
    pod = objects["Deployment"]["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    names = {port["name"]: port["containerPort"] for port in container["ports"]}
    for port in objects["Service"]["spec"]["ports"]:
        assert names[port["targetPort"]] == port["port"]
    options = understood(container)
    assert options.core_threads == values.get("coreThreads", 1) and options.watch
    selector = objects["Deployment"]["spec"]["selector"]["matchLabels"]
    assert selector.items() <= pod["metadata"]["labels"].items()
    assert objects["Service"]["spec"]["selector"] == selector
    drain = yaml.safe_load(objects["ConfigMap"]["data"]["config.yaml"])["drain_timeout_seconds"]
    assert pod["spec"]["terminationGracePeriodSeconds"] >= drain + 5


def test_the_pod_is_shut_in() -> None:
    pod = rendered({})["Deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize(
    "values",
    [
        {"config": {"admin_token": "in a ConfigMap for all to read"}},
        {"config": {"observability_interface": "0.0.0.0:1"}},
        {"ports": [{"name": "low", "port": 80}]},
        {"ports": []},
        {"topology": {"sources": []}},
        {"replicas": 3},
    ],
)
def test_values_that_make_no_sense_are_refused(values: dict[str, Any]) -> None:
    helm = pytest.importorskip("helm_python")
    with pytest.raises(helm.HelmValuesError):
        rendered(values)


def test_the_sidecar_is_what_kubernetes_and_shotover_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, deployment = yaml.safe_load_all((KUBERNETES / "sidecar.yaml").read_text())
    for tree in (settings, deployment):
        validate(tree)
    assert check(tmp_path, settings["data"], monkeypatch) == [6379]
    (container,) = deployment["spec"]["template"]["spec"]["initContainers"]
    assert understood(container).watch and container["restartPolicy"] == "Always"


def test_a_mistake_in_an_object_would_be_noticed() -> None:
    _settings, deployment = yaml.safe_load_all((KUBERNETES / "sidecar.yaml").read_text())
    deployment["spec"]["template"]["spec"]["terminationGracePeriod"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(deployment)


def instructions() -> list[list[str]]:
    """Of the Dockerfile, in order: [word, the rest]."""
    text = (DOCKER / "Dockerfile").read_text()
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return [line.split(None, 1) for line in text.splitlines() if line.strip()]


def test_the_image_is_of_named_versions_and_not_root() -> None:
    words = instructions()
    images = [rest.split()[0] for word, rest in words if word == "FROM"]
    assert len(images) == 2 and len(set(images)) == 1
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", images[0])
    start = max(index for index, (word, _rest) in enumerate(words) if word == "FROM")
    last = dict(words[start:])
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last["USER"])
    assert "RUN" not in last, "what builds it is left behind"
    assert yaml.safe_load(last["ENTRYPOINT"]) == ["shotover"]
    options = run_parser("run").parse(yaml.safe_load(last["CMD"]))
    assert options.topology_file == "/etc/shotover/topology.yaml"


def test_what_the_image_is_built_from_is_enough(tmp_path: Path) -> None:
    """A folder with what .dockerignore lets through makes a wheel; its compiled part is left out here."""
    rules = [
        line
        for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert rules[0] == "*"
    hidden = [rule.removeprefix("**/") for rule in rules if rule.startswith("**/")]

    def left_out(_folder: str, names: list[str]) -> list[str]:
        return [name for name in names if any(fnmatch(name, rule) for rule in hidden)]

    for name in (rule[1:] for rule in rules if rule.startswith("!")):
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, tmp_path / name, ignore=left_out)
        else:
            shutil.copy(path, tmp_path / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--disable-pip-version-check", "-w", "made", "."],
        cwd=tmp_path,
        env={**os.environ, "SHOTOVER_BUILD": "none"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(list((tmp_path / "made").glob("shotover-*.whl"))) == 1


def test_what_compose_starts_belongs_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    service = tree["services"]["shotover"]
    build = DOCKER / service["build"]["context"]
    assert build.resolve() == ROOT and (build / service["build"]["dockerfile"]).exists()
    mounted = {}
    for volume in service["volumes"]:
        here, there, mode = volume.split(":")
        assert mode == "ro" and Path(there).parent == Path("/etc/shotover")
        mounted[Path(there).name] = (DOCKER / here).read_text()
    ports = check(tmp_path, mounted, monkeypatch)
    assert [int(port.rpartition(":")[2]) for port in service["ports"]] == ports
    settings = yaml.safe_load(mounted["config.yaml"])
    assert int(service["stop_grace_period"].rstrip("s")) > settings["drain_timeout_seconds"]
    server = re.search(r'remote_address: "(\w+):\d+"', mounted["topology.yaml"])
    assert server and server[1] in tree["services"]
    used = {name for each in tree["services"].values() for name in each["networks"]}
    assert used - {"default"} == set(tree["networks"])
