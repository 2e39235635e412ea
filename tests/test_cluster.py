"""Offline checks of the files that start clusters: by Ray's own code, and by the published schemas of Kubernetes."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
LAUNCHER_FILES = [REPOSITORY / "cluster.yaml", *(REPOSITORY / "clusters" / f"{name}.yaml" for name in ("local", "gcp"))]
KUBERAY = REPOSITORY / "clusters" / "kuberay.yaml"
SCRIPTS = sorted((REPOSITORY / "clusters").glob("*.sh"))

launcher_file = pytest.mark.parametrize("path", LAUNCHER_FILES, ids=lambda path: path.name)


@launcher_file
def test_ray_accepts_a_launcher_file(path: Path) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(yaml.safe_load(path.read_text())))


@launcher_file
def test_ray_would_tell_a_misspelt_key(path: Path) -> None:
    from jsonschema import ValidationError
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = yaml.safe_load(path.read_text())
    config["setup_command"] = config.pop("setup_commands")
    with pytest.raises(ValidationError, match="setup_command"):
        validate_config(prepare_config(config))


@launcher_file
def test_a_launcher_file_opens_nothing_and_holds_no_credential(path: Path) -> None:
    text = path.read_text()
    config = yaml.safe_load(text)
    heads = [command for command in config["head_start_ray_commands"] if "--head" in command]
    assert len(heads) == 1
    assert "--dashboard-host=127.0.0.1" in heads[0]
    assert not re.search(r"(?i)AKIA[0-9A-Z]{16}|secret_access_key|password\s*:|PRIVATE KEY", text)


def test_on_aws_the_world_reaches_ssh_alone() -> None:
    from ray.autoscaler._private.aws.config import _create_default_inbound_rules

    group = yaml.safe_load((REPOSITORY / "cluster.yaml").read_text())["provider"]["security_group"]
    rules = _create_default_inbound_rules(["sg-nodes"], group.get("IpPermissions"))
    from_outside = [rule for rule in rules if rule.get("UserIdGroupPairs") != [{"GroupId": "sg-nodes"}]]
    assert [(rule["FromPort"], rule["ToPort"], rule["IpProtocol"]) for rule in from_outside] == [(22, 22, "tcp")]


@launcher_file
def test_a_launcher_file_is_about_no_experiment(path: Path) -> None:
    assert not {"grid", "model", "sharpness"} & set(yaml.safe_load(path.read_text()))


def manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(KUBERAY.read_text()))


@pytest.mark.parametrize("manifest", manifests(), ids=lambda manifest: manifest["kind"])
def test_kubernetes_accepts_a_manifest(manifest: dict[str, Any]) -> None:
    import kubernetes_validate

    if manifest["apiVersion"].startswith("ray.io/"):
        # No package carries KubeRay's schemas; what runs in the end are the pods, which Kubernetes' own cover.
        spec = manifest["spec"]
        groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]] if manifest["kind"] == "RayCluster" else []
        pods = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, **group["template"]} for group in groups]
    else:
        pods = [manifest]
    for pod in pods:
        kubernetes_validate.validate(pod, "1.31", strict=True)


def test_the_ray_job_runs_on_the_cluster_of_the_file_by_its_release() -> None:
    by_kind = {manifest["kind"]: manifest for manifest in manifests()}
    cluster, job = by_kind["RayCluster"], by_kind["RayJob"]
    assert job["spec"]["clusterSelector"] == {"ray.io/cluster": cluster["metadata"]["name"]}
    assert job["spec"]["entrypoint"].startswith("renyi run ")
    assert cluster["spec"]["authOptions"] == {"mode": "token"}
    assert by_kind["Service"]["spec"].get("type", "ClusterIP") == "ClusterIP"
    image = (REPOSITORY / "clusters" / "Dockerfile").read_text()
    assert f"rayproject/ray:{cluster['spec']['rayVersion']}-" in image


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_bash_can_read_a_script(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)


def test_the_documentation_says_of_every_command_whether_it_was_run() -> None:
    text = (REPOSITORY / "docs" / "clusters.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    commands = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    assert len(commands) > 20
    assert [command for command in commands if not re.search("# [●○]", command)] == []
