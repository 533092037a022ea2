"""docker-py's own integration tests, of a source archive that has them (docker 6.1.3), but for those that ask for what Isle does not offer or
for images of Docker's registry."""
import os
import pathlib
import re
import subprocess
import sys

from isletest.docker import docker, environment, remove_all
from isletest.runner import Skip

MODULES = ["api_volume", "api_exec", "api_healthcheck", "api_network", "api_client", "client", "errors", "regression", "models_volumes",
           "models_networks", "api_container", "models_containers", "api_build", "api_image", "models_images", "context_api"]
# By part of their names.
LEFT_OUT = {
    "swarms": ["with_scope", "network_attachable", "network_ingress"],
    "words that dockerd of today does not use any more": ["api_error_parses_json", "create_with_restart_policy"],
    "dockerd of today refuses it too, or answers otherwise": ["check_duplicate", "exec_run_failed"],
    "the websocket library does not take the scheme of the client": ["reading_socket_ws"],
    "images of Docker's registry": ["PullImageTest and test_pull", "get_load_image", "PruneImagesTest", "InspectDistributionTest", "pull_multiple",
                                    "pull_with"],
    "docs/reference/docker-differences.md": [
        "device_cgroup_rules", "TestNetworks and create_with_links", "connect_with_links", "space_in_name",
        "linklocal", "create_with_runtime", "build_stderr_data", "dockerignore", "build_with_extra_hosts", "build_with_network_mode",
        "CommitTest"],
}
# Users and folders that the tests look for in alpine.
IMAGE = r"""
FROM busybox
RUN mkdir -p /var/opt && echo 'postgres:x:70:70::/var:/bin/sh' >>/etc/passwd
"""


def tests_folder():
    """The unpacked source of docker-py with its tests: ISLE_TEST_DOCKERPY."""
    folder = pathlib.Path(os.environ.get("ISLE_TEST_DOCKERPY", "/nonexistent"))
    if not (folder / "tests/integration").is_dir():
        raise Skip("no tests of docker-py (ISLE_TEST_DOCKERPY names the folder of docker-6.1.3.tar.gz, unpacked)")
    return folder


def python():
    """An interpreter with docker, pytest, pytest-timeout and paramiko: ISLE_TEST_PYTHON or this one."""
    program = os.environ.get("ISLE_TEST_PYTHON", sys.executable)
    check = subprocess.run([program, "-c", "import docker, pytest, pytest_timeout, paramiko"], capture_output=True)
    if check.returncode != 0:
        raise Skip("no docker, pytest, pytest-timeout and paramiko for Python (ISLE_TEST_PYTHON names an interpreter that has them)")
    return program


def test_chosen(env):
    folder, program = tests_folder(), python()
    # The tests alone: beside them lies the library of that version, which newer ones of requests do not go with.
    work = env.folder / "docker-py"
    (work / "image").mkdir(parents=True)
    subprocess.run(["cp", "-r", folder / "tests", work / "tests"], check=True)
    (work / "pytest.ini").write_text("[pytest]\n")
    (work / "image/Dockerfile").write_text(IMAGE)
    docker(env, "build", "-t", "alpine:3.10", work / "image", DOCKER_BUILDKIT="0")
    own = docker(env, "images", "-q", "--no-trunc", "busybox").out.split()[0]
    for name in ("alpine:latest", "busybox:latest"):
        docker(env, "tag", "alpine:3.10", name)
    chosen = " and ".join(f"not ({name})" for names in LEFT_OUT.values() for name in names)
    try:
        done = subprocess.run(
            env.namespace.command(program, "-m", "pytest", "-q", "--tb=short", "--timeout", "60", "-W", "ignore", "-p", "no:cacheprovider", "-k",
                                  chosen, *[f"tests/integration/{name}_test.py" for name in MODULES]),
            cwd=work, env={**environment(env), "PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, text=True, timeout=900)
    finally:
        remove_all(env, own)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-500:]
    passed = int(re.search(r"(\d+) passed", done.stdout).group(1))
    assert passed > 215, done.stdout[-300:]
