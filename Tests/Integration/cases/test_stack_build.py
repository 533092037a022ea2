"""Projects whose images are built, with `isle stack` and with Compose: up, healthy, scaled, updated while somebody asks, down."""
import json
import pathlib
import shutil
import threading
import time

from isletest.compose import Compose
from isletest.docker import docker
from isletest.runner import Skip
from test_2_network import fetch

PORT = 18510
WEB = """
FROM busybox
ARG WORD=none
RUN mkdir /www && echo "$WORD" >/www/index.html
HEALTHCHECK --interval=200ms --retries=50 CMD wget -qO- http://127.0.0.1/index.html
CMD ["httpd", "-f", "-p", "80", "-h", "/www"]
"""
PROJECT = """
services:
  prepare:
    image: busybox
    command: sh -c "cat /run/secrets/key /settings > /data/f"
    volumes: [data:/data]
    secrets: [key]
    configs: [settings]
  db:
    image: busybox
    command: sh -c "touch /tmp/ok; trap exit TERM; while :; do sleep 0.1; done"
    healthcheck: {test: "test -e /tmp/ok", interval: 200ms, retries: 50}
    volumes: ["data:/data"]
    depends_on: {prepare: {condition: service_completed_successfully}}
    networks: {back: {aliases: [store]}}
  web:
    build: {context: web, args: {WORD: "${WORD:-first}"}}
    init: true
    depends_on: {db: {condition: service_healthy}}
    networks: [front, back]
    ports: ["PORT"]
    stop_grace_period: 5s
    deploy: {update_config: {order: start-first}}
  debug:
    image: busybox
    profiles: [debug]
    command: sleep 1000
    stop_grace_period: 0s
networks: {front: , back: {internal: true}}
volumes: {data: {labels: {x: y}}}
secrets: {key: {file: ./key}}
configs: {settings: {content: "content\\n"}}
"""


def project(env, name, port):
    if not shutil.which("buildah"):
        raise Skip("no buildah")
    folder = env.folder / name
    (folder / "web").mkdir(parents=True, exist_ok=True)
    (folder / "web/Dockerfile").write_text(WEB)
    (folder / "key").write_text("secret\n")
    (folder / "compose.yaml").write_text(PROJECT.replace("PORT", port))
    return folder


class Asker:
    """Asks for a page all the time; what was no page is a failure."""

    def __init__(self, env, port):
        self.pages, self.failures, self.done = [], [], threading.Event()
        self.thread = threading.Thread(target=self.run, args=(env, port))

    def run(self, env, port):
        while not self.done.is_set():
            page = fetch(env, "127.0.0.1", port)
            words = page.split("\r\n\r\n")[-1].split()
            (self.pages if " 200 " in page.split("\r\n")[0] and words else self.failures).append(words[0] if words else page)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        time.sleep(0.3)
        self.done.set()
        self.thread.join()


def wait(env, port, word):
    end = time.monotonic() + 30
    while word not in (page := fetch(env, "127.0.0.1", port)):
        assert time.monotonic() < end, page
        time.sleep(0.1)


# Others may have left some.
TEMPORARY = set(pathlib.Path("/tmp").glob("isle-build-*"))


def nothing_left(env, name):
    assert env.daemon.names() == []
    assert not [n for n in env.daemon.json("network", "list") if n["name"].startswith(name)]
    assert not [v for v in env.daemon.json("volume", "list") if v["name"].startswith(name)]
    assert set(pathlib.Path("/tmp").glob("isle-build-*")) <= TEMPORARY


def test_stack(env):
    folder = project(env, "builtstack", f"{PORT}:80")
    variables = {"XDG_STATE_HOME": str(env.folder / "xdg")}

    def stack(verb, *arguments, check=True, **more):
        return env.daemon.isle("stack", verb, folder, *arguments, check=check, timeout=180, env={**variables, **more})

    def webs():
        return {i["name"] for i in env.daemon.json("list") if "-web-" in i["name"]}

    try:
        stack("up")
        assert env.daemon.isle("exec", "builtstack-db-1", "cat", "/data/f").out == "secret\ncontent\n"
        wait(env, PORT, "first")
        before = {i["name"]: i["id"] for i in env.daemon.json("list")}
        stack("up", "--build")  # from the cache: the same image, so nothing is replaced
        assert {i["name"]: i["id"] for i in env.daemon.json("list")} == before
        stack("scale", "web=3")
        assert len(webs()) == 3, webs()
        with Asker(env, PORT) as asker:
            stack("up", "--build", "--scale", "web=3", WORD="second")
        assert not asker.failures, asker.failures[:3]
        assert {"first", "second"} == set(asker.pages), set(asker.pages)
        assert len(webs()) == 3 and "second" in fetch(env, "127.0.0.1", PORT)
        (folder / "web/Dockerfile").write_text("FROM busybox\nRUN exit 5\n")
        failed = stack("up", "--build", check=False)
        assert failed.code != 0 and "service 'web'" in failed.err and "non-zero code: 5" in failed.err, failed
        assert len(webs()) == 3
    finally:
        stack("down", "-v", check=False)
    nothing_left(env, "builtstack")
    env.daemon.isle("image", "rm", "builtstack-web")


def run_compose(env, compose, name):
    """Everything that is done to a project; `compose` is a program of either generation."""
    folder = project(env, name, "80")
    second = compose.generation == 2

    def call(*arguments, **more):
        return compose(folder, name, *arguments, **more)

    def services():
        out = docker(env, "ps", "--format", "{{.Label \"com.docker.compose.service\"}} {{.Status}}").out
        return sorted(line for line in out.split("\n") if line)

    try:
        if not second:
            # The older one knows no configs with content.
            text = (folder / "compose.yaml").read_text().replace('{content: "content\\n"}', "{file: ./settings}")
            (folder / "compose.yaml").write_text("version: '3.9'\n" + text.replace("configs: [settings]", "volumes: [./settings:/settings, data:/data]", 1)
                                                 .replace("    volumes: [data:/data]\n", "", 1).replace("configs: {settings: {file: ./settings}}\n", ""))
            (folder / "settings").write_text("content\n")
        assert "web" in call("config")
        call("up", "-d", "--build", *(["--wait"] if second else []))
        assert call("exec", "-T", "db", "cat", "/data/f") == "secret\ncontent\n"
        assert call("exec", "-T", "db", "wget", "-qO-", "http://web/").strip() == "first"
        port = int(call("port", "web", "80").strip().rsplit(":", 1)[1])
        wait(env, port, "first")
        call("up", "-d", "--scale", "web=3", *(["--wait"] if second else []))
        assert len([line for line in services() if line.startswith("web")]) == 3, services()
        assert "httpd" in call("top", "web")
        if second:
            call("--profile", "debug", "up", "-d")
            assert [line for line in services() if line.startswith("debug")], services()
            call("pause", "db")
            call("unpause", "db")
            assert call("run", "--rm", "-T", "debug", "echo", "one-off").endswith("one-off\n")
            call("logs", "web")
            call("cp", "web:/www/index.html", str(folder / "copied"))
            assert (folder / "copied").read_text() == "first\n"
            assert "builtcompose" in call("ls") and "web" in call("images")
            assert all(json.loads(line)["State"] == "running" for line in call("ps", "--format", "json").splitlines())
        call("up", "-d", "--build", WORD="second")
        assert call("exec", "-T", "db", "wget", "-qO-", "http://web/").strip() == "second"
        if second:
            for verb in ("restart", "stop", "start"):
                call(verb, "db")
    finally:
        call("--profile", "debug", "down", "-v", check=False)
    nothing_left(env, name)
    docker(env, "rmi", f"{name}-web" if second else f"{name}_web", check=False)


def test_compose_1(env):
    run_compose(env, Compose.first(env), "builtcompose1")


def test_compose_2(env):
    run_compose(env, Compose.second(env), "builtcompose2")


def test_buildkit_is_refused_clearly(env):
    compose = Compose.second(env)
    folder = project(env, "nobuildkit", "80")
    said = compose(folder, "nobuildkit", "build", check=False, output="err", DOCKER_BUILDKIT="1")
    assert "DOCKER_BUILDKIT=0" in said, said
