"""podman's own tests of Docker's API by docker-py (test/python/docker of its source, 4.3.1), with Isle in podman's place."""
import os
import pathlib
import re
import shutil
import subprocess

from isletest.docker import docker, remove_all
from isletest.runner import Skip
from test_docker_py_own import python

# By part of their names.
LEFT_OUT = {
    "podman answers 500 where Docker and Isle answer 409": ["pause_stopped_container", "remove_container_without_force"],
    "podman shows mounts among the binds; Docker and Isle do not": ["mount_rw_by_default"],
    "podman's ids have no prefix; those of Docker and Isle begin with sha256:": ["image_history"],
    "an error of the archive is the status with podman, and in the stream with Docker and Isle": ["load_corrupt_image"],
    "podman lists registries.conf in /info; Docker and Isle list what is insecure for all": ["TestSystem and test_info and not details"],
    "short names lead to any registry with podman, to Docker Hub with Docker and Isle, so that the image has a second name": ["remove_image"],
    "asks a public registry": ["search_image"],
}
# Who plays podman: the service is a port that leads to the socket, and images of the public registry are loaded.
PROGRAM = """#!/bin/sh
while :; do case $1 in --*) shift;; *) break;; esac; done
verb=$1; shift
case $verb in
    system) exec {socat} TCP-LISTEN:8080,bind=127.0.0.1,fork,reuseaddr UNIX-CONNECT:{socket};;
    load) exec docker -H unix://{socket} load -i {archive};;
esac
echo "not played: $verb" >&2; exit 1
"""
# The names of images, each with one of its own, as they are expected to be.
NAMES = {"alpine": ["quay.io/libpod/alpine:latest", "alpine:latest"], "busybox": ["quay.io/libpod/busybox:latest"]}


def tests_folder():
    folder = pathlib.Path(os.environ.get("ISLE_TEST_PODMAN", "/nonexistent")) / "test/python/docker"
    if not folder.is_dir():
        raise Skip("no tests of podman (ISLE_TEST_PODMAN names the folder of its source: apt source libpod)")
    return folder


def test_chosen(env):
    folder, program, socat = tests_folder(), python(), shutil.which("socat")
    if not socat:
        raise Skip("no socat")
    work = env.folder / "podman-py"
    (work / "test/python").mkdir(parents=True)
    for part in ("test", "test/python"):
        (work / part / "__init__.py").touch()
    shutil.copytree(folder, work / "test/python/docker")
    (work / "pytest.ini").write_text("[pytest]\n")
    # Nothing is pulled: what the registry would give is loaded or here.
    start = work / "test/python/docker/__init__.py"
    start.write_text(start.read_text().replace("img = client.images.pull(constant.ALPINE)", 'self.run("load", "-i", path, check=True); return'))
    images = work / "test/python/docker/compat/test_images.py"
    images.write_text(images.read_text().replace("self.docker.images.pull(constant.BB)", "self.busybox()").replace(
        "class TestImages(common.DockerTestCase):", "class TestImages(common.DockerTestCase):\n"
        "    def busybox(self):\n"
        f"        self.docker.images.load(open('{work}/busybox.tar', 'rb'))\n"
        "        return self.docker.images.get(constant.BB)\n", 1))
    before = docker(env, "images", "-aq", "--no-trunc").out.split()
    own = docker(env, "images", "-q", "--no-trunc", "busybox").out.split()[0]
    try:
        for kind, names in NAMES.items():
            container = docker(env, "create", "busybox", "sh").out.strip()
            docker(env, "commit", "-c", 'CMD ["/bin/sh"]', "-c", f"LABEL kind={kind}", container, names[0])
            docker(env, "rm", container)
            for name in names[1:]:
                docker(env, "tag", names[0], name)
            docker(env, "save", "-o", work / f"{kind}.tar", *names)
            docker(env, "rmi", *names)
        # Tests count the images that are there.
        docker(env, "save", "-o", work / "own.tar", "busybox")
        for image in before:
            docker(env, "rmi", "-f", image)
        stand_in = work / "podman"
        stand_in.write_text(PROGRAM.format(socat=socat, socket=env.daemon.run_dir / "docker.sock", archive=work / "alpine.tar"))
        stand_in.chmod(0o755)
        chosen = " and ".join(f"not ({name})" for names in LEFT_OUT.values() for name in names)
        done = subprocess.run(
            env.namespace.command(program, "-m", "pytest", "-q", "--tb=short", "--timeout", "60", "-W", "ignore", "-p", "no:cacheprovider", "-k",
                                  chosen, "test/python/docker"),
            cwd=work, env={**os.environ, "PODMAN": str(stand_in), "PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, text=True, timeout=600)
    finally:
        remove_all(env, own)
        if (work / "own.tar").exists():
            docker(env, "load", "-i", work / "own.tar")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-500:]
    passed = int(re.search(r"(\d+) passed", done.stdout).group(1))
    assert passed > 22, done.stdout[-300:]
