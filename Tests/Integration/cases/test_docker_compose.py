"""Compose, the old one in Python and the new one in Go, with a project of two services."""
import os
import pathlib
import shutil
import subprocess

from isletest.docker import docker, environment
from isletest.runner import Skip

PROJECT = """
version: "3.7"
services:
  web:
    image: busybox
    command: sh -c "mkdir -p /www; echo served > /www/index.html; exec httpd -f -p 80 -h /www"
    networks: [front]
    volumes: ["data:/data"]
    stop_grace_period: 1s
  client:
    image: busybox
    command: sh -c "trap exit TERM; while :; do sleep 0.2; done"
    depends_on: [web]
    networks: [front]
    environment: {GREETING: hello}
    labels: {purpose: test}
    stop_grace_period: 1s
networks:
  front: {}
volumes:
  data: {}
"""


def run_project(env, compose):
    folder = env.folder / "compose-project"
    folder.mkdir(exist_ok=True)
    (folder / "docker-compose.yml").write_text(PROJECT)

    def call(*arguments, check=True):
        done = subprocess.run([*compose, "-p", "demo", *arguments], cwd=folder, env=environment(env), capture_output=True,
                              timeout=120, stdin=subprocess.DEVNULL)
        if check and done.returncode != 0:
            raise AssertionError(f"{arguments}: {done.stdout.decode()}\n{done.stderr.decode()}\n{env.daemon.log_tail(8)}")
        return done.stdout.decode()

    try:
        call("up", "-d")
        assert docker(env, "ps", "-q", "--filter", "label=com.docker.compose.project=demo").out.count("\n") == 2
        assert "web" in call("ps")
        assert call("exec", "-T", "client", "sh", "-c", "echo $GREETING").strip() == "hello"
        fetched = call("exec", "-T", "client", "wget", "-qO-", "http://web/")
        assert fetched.strip() == "served", fetched
        call("up", "-d", "--scale", "client=3")
        assert docker(env, "ps", "-q", "--filter", "label=com.docker.compose.service=client").out.count("\n") == 3
        call("logs", "web")
        call("up", "-d")
        call("restart", "web")
        call("down", "-v")
    finally:
        call("down", "-v", check=False)
    assert docker(env, "ps", "-aq").out == "" and "demo" not in docker(env, "network", "ls").out + docker(env, "volume", "ls").out


def test_compose_1(env):
    program = shutil.which("docker-compose")
    if not program or b"1." not in subprocess.run([program, "version", "--short"], capture_output=True).stdout[:3]:
        raise Skip("no docker-compose 1 (apt install docker-compose)")
    run_project(env, [program])


def test_compose_2(env):
    places = [os.environ.get("ISLE_TEST_COMPOSE", ""), "/usr/libexec/docker/cli-plugins/docker-compose",
              "/usr/lib/docker/cli-plugins/docker-compose", "/usr/local/lib/docker/cli-plugins/docker-compose"]
    program = next((place for place in places if place and pathlib.Path(place).exists()), None)
    if not program:
        raise Skip("no Compose 2 plug-in (ISLE_TEST_COMPOSE names its program)")
    run_project(env, [program])
