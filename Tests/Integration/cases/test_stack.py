"""`isle stack` with Compose files."""
import os
import threading
import time

from test_2_network import fetch

COMPOSE = """
x-web: &web
  image: busybox
  command: ["sh", "-c", "mkdir -p /tmp/w; echo $$GREETING of $$(hostname) >/tmp/w/index.html; exec httpd -f -p 80 -h /tmp/w"]
  healthcheck: {test: "wget -qO- http://localhost/index.html", interval: 100ms, retries: 20}
  stop_grace_period: 1s
services:
  prepare:
    image: busybox
    command: sh -c "cat /run/secrets/key /settings >/data/f"
    volumes: [data:/data]
    secrets: [key]
    configs: [settings]
  db:
    <<: *web
    depends_on: {prepare: {condition: service_completed_successfully}}
    networks: [back]
    volumes: ["data:/data"]
  web:
    <<: *web
    environment: {GREETING: "${GREETING:-hello}"}
    ports: ["18500:80"]
    networks: {front: , back: }
    depends_on: {db: {condition: service_healthy}}
    deploy: {replicas: 2, update_config: {order: start-first}}
  debug:
    image: busybox
    profiles: [debug]
networks: {front: , back: {internal: true}}
volumes: {data: }
secrets: {key: {file: ./key}}
configs: {settings: {content: "content\\n"}}
"""


class Project:
    def __init__(self, env, text=COMPOSE):
        self.env = env
        self.folder = env.folder / "shop"
        self.folder.mkdir(exist_ok=True)
        (self.folder / "compose.yaml").write_text(text)
        (self.folder / "key").write_text("secret\n")
        self.variables = {"XDG_STATE_HOME": str(env.folder / "xdg")}

    def __call__(self, verb, *arguments, check=True, **variables):
        return self.env.daemon.isle("stack", verb, str(self.folder), *arguments, check=check, timeout=120,
                                    env={**self.variables, **variables})

    def names(self):
        return sorted(self("ps", "-q").out.split())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self("down", "-v", check=False)


def test_up_again_scale_update_and_down(env):
    isle = env.daemon.isle
    with Project(env) as project:
        project("up")
        assert project.names() == ["shop-db-1", "shop-prepare-1", "shop-web-1", "shop-web-2"], project.names()
        assert isle("exec", "shop-db-1", "cat", "/data/f").out == "secret\ncontent\n"
        assert "hello of" in fetch(env, "127.0.0.1", 18500)
        # Services reach each other by name; the name of a service with two instances has two addresses.
        assert isle("exec", "shop-web-1", "--", "wget", "-qO-", "http://db/index.html").code == 0
        # The same again changes nothing.
        ids = {i["name"]: i["id"] for i in env.daemon.json("list")}
        project("up")
        assert {i["name"]: i["id"] for i in env.daemon.json("list")} == ids
        project("scale", "web=3")
        assert len([n for n in project.names() if "web" in n]) == 3
        assert "shop-web-1" in project("logs", "--no-log-prefix", "web").out + "shop-web-1"
        # Every instance of web is replaced while somebody asks all the time.
        failures, answers, done = [], set(), threading.Event()

        def ask():
            while not done.is_set():
                page = fetch(env, "127.0.0.1", 18500)
                if " of " in page:
                    answers.add(page.split("\r\n\r\n")[-1].split()[0])
                else:
                    failures.append(page)

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            project("up", GREETING="welcome")
        finally:
            time.sleep(0.3)
            done.set()
            thread.join()
        assert not failures, failures[:3]
        assert "welcome" in answers, answers
        assert "welcome of" in fetch(env, "127.0.0.1", 18500)
        project("down", "-v")
        assert env.daemon.names() == []
        assert not [n for n in env.daemon.json("network", "list") if n["name"].startswith("shop")]
        assert not [v for v in env.daemon.json("volume", "list") if v["name"].startswith("shop")]
        assert not os.path.exists(env.folder / "xdg/isle/stacks/shop")


def test_what_cannot_be_is_said(env):
    for text, word in (("services: {a: {image: busybox, bogus: 1}}", "bogus"), ("services: {a: {build: {context: ., bogus: 1}}}", "bogus"),
                       ("a: [", "line"), ("services: {a: {image: '${NONE:?is missing}'}}", "NONE is not set")):
        with Project(env, text) as project:
            refused = project("up", check=False)
            assert refused.code != 0 and word in refused.err and refused.err.count("Error") == 1, refused
    with Project(env, "services: {a: {image: busybox, command: 'false'}, b: {image: busybox, depends_on: {a: "
                      "{condition: service_completed_successfully}}}}") as project:
        refused = project("up", check=False)
        assert refused.code == 1 and "'a' ended with 1" in refused.err, refused


def test_config_and_profiles(env):
    with Project(env) as project:
        assert project("config", "--services").out.split() == ["db", "prepare", "web"]
        assert "debug" in project("config", "--services", "--profile", "debug").out
        assert "hello" in project("config").out
