"""Debian's `lxc` against the daemon: settings, trust, projects, profiles, operations, events, warnings."""
import json
import os
import re
import shutil
import subprocess
import time

from isletest.runner import Skip

HTTPS = "127.0.0.1:18443"


class Lxc:
    """The client with a configuration of its own, in the daemon's network namespace."""

    def __init__(self, env, name="admin"):
        if not shutil.which("lxc"):
            raise Skip("lxc is not installed (apt install lxd-client)")
        self.env = env
        self.folder = env.folder / f"lxc-{name}"
        self.folder.mkdir(exist_ok=True)

    def environment(self):
        return {**os.environ, "LXD_CONF": str(self.folder), "LXD_SOCKET": self.env.daemon.socket,
                "LXD_DIR": str(self.env.daemon.run_dir)}

    def run(self, *arguments, check=True, input="", timeout=60):
        command = self.env.namespace.command("lxc", *map(str, arguments))
        done = subprocess.run(command, input=input, capture_output=True, text=True, timeout=timeout,
                              env=self.environment())
        if check and done.returncode != 0:
            raise AssertionError(f"lxc {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stdout}{done.stderr}"
                                 f"\n{self.env.daemon.log_tail(8)}")
        return done

    def out(self, *arguments, **options):
        return self.run(*arguments, **options).stdout.strip()

    def fails(self, *arguments, **options):
        done = self.run(*arguments, check=False, **options)
        assert done.returncode != 0, f"lxc {arguments} succeeded: {done.stdout}"
        return done.stderr

    def json(self, *arguments):
        return json.loads(self.out(*arguments, "--format", "json"))


def launch(env, name, *options, project="default"):
    env.daemon.isle("--project", project, "launch", *options, "busybox", name, "--", "sleep", "600")


def listening(env):
    lxc = Lxc(env)
    lxc.run("config", "set", "core.https_address", HTTPS)
    return lxc


def quiet(env):
    lxc = Lxc(env)
    lxc.run("config", "unset", "core.https_address", check=False)
    for certificate in lxc.json("config", "trust", "list"):
        lxc.run("config", "trust", "remove", certificate["fingerprint"])


def token(lxc, name, *options):
    return lxc.out("config", "trust", "add", "--name", name, *options).splitlines()[-1]


def test_settings(env):
    lxc = Lxc(env)
    lxc.run("config", "set", "user.note", "hello")
    assert lxc.out("config", "get", "user.note") == "hello"
    assert "user.note: hello" in lxc.out("config", "show")
    lxc.run("config", "unset", "user.note")
    assert lxc.out("config", "get", "user.note") == ""
    assert "core.nonsense" in lxc.fails("config", "set", "core.nonsense", "1")
    assert "core.remote_token_expiry" in lxc.fails("config", "set", "core.remote_token_expiry", "soon")
    holder = subprocess.Popen(env.namespace.command(
        "python3", "-c", "import socket,time;s=socket.socket();s.bind(('127.0.0.1',18555));s.listen();time.sleep(20)"))
    try:
        time.sleep(0.5)
        assert "in use" in lxc.fails("config", "set", "core.https_address", "127.0.0.1:18555")
        assert lxc.out("config", "get", "core.https_address") == ""
    finally:
        holder.kill()
        holder.wait()
    lxc.run("config", "edit", input="config:\n  user.a: b\n")
    assert lxc.out("config", "get", "user.a") == "b"
    lxc.run("config", "unset", "user.a")
    assert "server_name" in lxc.out("info")


def test_join_by_token(env):
    admin = listening(env)
    try:
        remote = Lxc(env, "remote")
        text = token(admin, "laptop")
        assert "laptop" in admin.out("config", "trust", "list-tokens")
        remote.run("remote", "add", "isle", text)
        launch(env, "far")
        assert "far" in remote.out("list", "isle:", "-c", "n", "--format", "csv")
        assert remote.out("exec", "isle:far", "--", "echo", "over tls") == "over tls"
        assert [c["name"] for c in admin.json("config", "trust", "list")] == ["laptop"]
        again = Lxc(env, "thief")
        assert "wrong" in again.fails("remote", "add", "isle", text)
        assert again.run("remote", "add", "isle", f"https://{HTTPS}", "--accept-certificate", "--password", "guess",
                         check=False).returncode != 0
        admin.run("config", "trust", "remove", admin.json("config", "trust", "list")[0]["fingerprint"])
        assert remote.run("list", "isle:", check=False).returncode != 0
        admin.run("config", "unset", "core.https_address")
        assert "refused" in remote.fails("list", "isle:")
    finally:
        quiet(env)
        for name in ("remote", "thief"):
            shutil.rmtree(env.folder / f"lxc-{name}", ignore_errors=True)


def test_revoked_token(env):
    admin = listening(env)
    try:
        text = token(admin, "phone")
        admin.run("config", "trust", "revoke-token", "phone")
        assert "wrong" in Lxc(env, "late").fails("remote", "add", "isle", text)
    finally:
        quiet(env)
        shutil.rmtree(env.folder / "lxc-late", ignore_errors=True)


def test_confined_client(env):
    admin = listening(env)
    admin.run("project", "create", "team")
    try:
        remote = Lxc(env, "confined")
        remote.run("remote", "add", "isle", token(admin, "confined", "--restricted", "--projects", "team"))
        launch(env, "secret")
        assert "may not use the project" in remote.fails("list", "isle:", "--project", "default")
        assert "secret" not in remote.out("list", "isle:", "--all-projects", "--format", "csv")
        assert remote.out("list", "isle:", "--project", "team", "--format", "csv") == ""
        assert remote.run("exec", "isle:secret", "--", "true", check=False).returncode != 0
        assert "confined" in remote.fails("project", "create", "isle:mine")
        assert "confined" in remote.fails("config", "set", "isle:", "user.x", "y")
        names = [p["name"] for p in remote.json("project", "list", "isle:")]
        assert [name.split(" ")[0] for name in names] == ["team"], names
        own = remote.json("config", "trust", "list", "isle:")
        assert [c["name"] for c in own] == ["confined"], own
        text = remote.out("config", "trust", "show", f"isle:{own[0]['fingerprint']}")
        freed = text.replace("restricted: true", "restricted: false")
        assert "not its rights" in remote.fails("config", "trust", "edit", f"isle:{own[0]['fingerprint']}", input=freed)
        launch_options = ["--project", "team", "-s", "default"]
        remote.run("init", "busybox", "isle:ours", *launch_options, check=False)
    finally:
        env.daemon.isle("--project", "team", "delete", "--force", "ours", check=False)
        quiet(env)
        admin.run("project", "delete", "team")
        shutil.rmtree(env.folder / "lxc-confined", ignore_errors=True)


def test_projects(env):
    lxc = Lxc(env)
    lxc.run("project", "create", "lab", "-c", "limits.instances=1")
    try:
        assert "lab" in lxc.out("project", "list")
        assert lxc.out("project", "get", "lab", "features.profiles") == "true"
        assert lxc.json("profile", "list", "--project", "lab")[0]["name"] == "default"
        env.daemon.isle("--project", "lab", "launch", "busybox", "one", "--", "sleep", "600")
        assert "one" not in env.daemon.names()
        full = env.daemon.isle("--project", "lab", "launch", "busybox", "two", "--", "sleep", "600", check=False)
        assert full.code != 0 and "limits.instances" in full.err, full
        assert re.search(r"INSTANCES\s*\|\s*1\s*\|\s*1", lxc.out("project", "info", "lab")), lxc.out("project", "info", "lab")
        assert "not empty" in lxc.fails("project", "delete", "lab")
        lxc.run("project", "set", "lab", "restricted", "true")
        refused = env.daemon.isle("--project", "lab", "config", "set", "one", "security.nesting=true", check=False)
        assert refused.code != 0 and "restricted.containers.nesting" in refused.err, refused
        assert "one" in lxc.out("list", "--all-projects", "--format", "csv", "-c", "n")
        assert "lab_x" in lxc.fails("project", "create", "lab_x")
        assert "unknown project key" in lxc.fails("project", "set", "lab", "limits.wishes", "3")
    finally:
        env.daemon.isle("--project", "lab", "delete", "--force", "one", check=False)
        lxc.run("project", "rename", "lab", "lab2")
        lxc.run("project", "delete", "lab2")


def test_images_of_the_default_project(env):
    lxc = Lxc(env)
    lxc.run("project", "create", "own")
    lxc.run("project", "create", "shared", "-c", "features.images=false")
    try:
        lxc.run("image", "alias", "create", "everyone", lxc.json("image", "list", "busybox")[0]["fingerprint"])
        assert lxc.json("image", "list", "--project", "own") == []
        assert "everyone" in lxc.out("image", "alias", "list", "--project", "shared")
        assert {image["fingerprint"] for image in lxc.json("image", "list", "--project", "shared")} == {
            image["fingerprint"] for image in lxc.json("image", "list")}
        assert "everyone" in lxc.fails("init", "everyone", "x", "--project", "own")
        lxc.run("init", "everyone", "x", "--project", "shared", "-c", 'oci.cmd=["sleep", "1"]')
        lxc.run("image", "alias", "create", "more", "everyone", "--project", "shared")
        assert "more" in lxc.out("image", "alias", "list")
        lxc.run("delete", "x", "--project", "shared")
    finally:
        for alias in ("everyone", "more"):
            lxc.run("image", "alias", "delete", alias, check=False)
        for project in ("own", "shared"):
            lxc.run("project", "delete", project, check=False)


def test_profiles(env):
    lxc = Lxc(env)
    lxc.run("profile", "create", "small")
    lxc.run("profile", "set", "small", "limits.memory", "64MiB")
    launch(env, "live", "--profile", "default", "--profile", "small")
    try:
        assert "/1.0/instances/live" in lxc.out("profile", "show", "small")
        lxc.run("profile", "set", "small", "limits.processes", "50")
        assert lxc.out("profile", "get", "small", "limits.processes") == "50"
        lxc.run("profile", "rename", "small", "tiny")
        assert "tiny" in lxc.out("config", "show", "live")
        lxc.run("profile", "copy", "tiny", "tiny2")
        assert lxc.out("profile", "get", "tiny2", "limits.memory") == "64MiB"
        lxc.run("profile", "device", "add", "tiny2", "data", "disk", "source=/tmp", "path=/data")
        assert "data" in lxc.out("profile", "device", "list", "tiny2")
        # A key with an empty value is none.
        lxc.run("profile", "set", "tiny2", "user.note", "x")
        lxc.run("profile", "unset", "tiny2", "user.note")
        lxc.run("profile", "device", "set", "tiny2", "data", "readonly", "true")
        lxc.run("profile", "device", "unset", "tiny2", "data", "readonly")
        shown = lxc.out("profile", "show", "tiny2")
        assert "user.note" not in shown and "readonly" not in shown, shown
        assert "nowhere" in lxc.fails("profile", "device", "add", "tiny2", "eth9", "nic", "network=nowhere")
        assert "used by" in lxc.fails("profile", "delete", "tiny")
        assert "nonsense" in lxc.fails("profile", "set", "tiny", "nonsense.key", "1")
    finally:
        env.daemon.isle("delete", "--force", "live")
        for name in ("tiny", "tiny2", "small"):
            lxc.run("profile", "delete", name, check=False)


def test_operations_and_events(env):
    lxc = Lxc(env)
    process = subprocess.Popen(env.namespace.command("lxc", "monitor", "--format", "json"), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env=lxc.environment())
    try:
        time.sleep(1)
        env.daemon.isle("launch", "busybox", "seen", "--", "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done")
        lxc.run("exec", "seen", "--", "true")
        lxc.run("file", "push", __file__, "seen/root/pushed")
        lxc.run("file", "pull", "seen/root/pushed", "-")
        lxc.run("file", "delete", "seen/root/pushed")
        lxc.run("console", "seen", "--show-log")
        lxc.run("restart", "seen")
        lxc.run("export", "seen", str(env.folder / "seen.tar.gz"))
        env.daemon.isle("delete", "--force", "seen")
        time.sleep(1)
    finally:
        process.terminate()
    events = [json.loads(line) for line in process.communicate(timeout=10)[0].splitlines() if line.startswith("{")]
    actions = {e["metadata"]["action"]: e["metadata"] for e in events if e["type"] == "lifecycle"}
    wanted = {"created", "started", "deleted", "exec", "file-pushed", "file-retrieved", "file-deleted", "console-retrieved",
              "stopped", "shutdown", "restarted", "backup-created", "backup-retrieved", "backup-deleted"}
    assert {f"instance-{action}" for action in wanted} <= actions.keys(), actions.keys()
    assert actions["instance-exec"]["context"]["command"] == ["true"] and actions["instance-exec"]["name"] == "seen"
    assert actions["instance-exec"]["requestor"]["username"] == "root", actions["instance-exec"]
    assert actions["instance-file-pushed"]["context"]["path"] == "/root/pushed", actions["instance-file-pushed"]
    assert actions["instance-created"]["requestor"]["protocol"] == "unix", actions["instance-created"]
    assert any(e["type"] == "operation" for e in events)
    assert any(e["type"] == "logging" for e in events)
    lxc.run("operation", "list")


def test_warnings(env):
    lxc = Lxc(env)
    # Its exit code tells whether something that is needed does not work.
    report = json.loads(env.daemon.isle("doctor", "--format", "json", check=False).out)
    wrong = [check["name"] for check in report["checks"] if check["level"] != "ok"]
    warnings = lxc.json("warning", "list", "--all")
    assert {f"Host check: {name}" for name in wrong} <= {warning["type"] for warning in warnings}, warnings
    for warning in warnings[:1]:
        lxc.run("warning", "acknowledge", warning["uuid"])
        assert "acknowledged" in lxc.out("warning", "show", warning["uuid"])
        lxc.run("warning", "delete", warning["uuid"])
        assert warning["uuid"] not in [w["uuid"] for w in lxc.json("warning", "list", "--all")]
