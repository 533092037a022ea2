"""Compose, the old one in Python and the new one in Go, with a project of two services."""
from isletest.compose import Compose
from isletest.docker import docker

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
        return compose(folder, "demo", *arguments, check=check)

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
    run_project(env, Compose.first(env))


def test_compose_2(env):
    run_project(env, Compose.second(env))
