"""What clients read out of a container after something was done to it, and what they find when they do the next thing at once."""
import json
import subprocess
import time

from isletest.docker import dialog, docker, request
from isletest.runner import Skip
from test_5_registry import HTPASSWD, bcrypt


def test_a_kill_waits_for_the_end(env):
    docker(env, "run", "-d", "--name", "killed", "busybox", "sleep", "1000")
    docker(env, "kill", "killed")
    assert docker(env, "inspect", "-f", "{{.State.Running}} {{.State.ExitCode}}", "killed").out == "false 137\n"
    docker(env, "run", "-d", "--rm", "--name", "goes", "busybox", "sleep", "1000")
    docker(env, "kill", "goes")
    docker(env, "rm", "killed")


def test_why_a_start_failed_is_kept(env):
    assert docker(env, "run", "--name", "bad", "busybox", "no-such-program", check=False).code == 127
    state = json.loads(docker(env, "inspect", "bad").out)[0]["State"]
    assert state["ExitCode"] == 127 and "no-such-program" in state["Error"] and state["Status"] == "created", state
    docker(env, "rm", "bad")


def test_volumes_that_nobody_named(env):
    docker(env, "run", "--name", "anon", "-v", "/vol", "--mount", "type=volume,dst=/other", "busybox", "sh", "-c", "echo x >/vol/f; echo y >/other/f")
    mounts = json.loads(docker(env, "inspect", "anon").out)[0]["Mounts"]
    assert sorted(mount["Destination"] for mount in mounts) == ["/other", "/vol"], mounts
    name = next(mount["Name"] for mount in mounts if mount["Destination"] == "/vol")
    assert docker(env, "run", "--rm", "-v", f"{name}:/in", "busybox", "cat", "/in/f").out == "x\n"
    assert docker(env, "run", "--rm", "--volumes-from", "anon", "busybox", "cat", "/other/f").out == "y\n"
    docker(env, "rm", "anon")
    assert len(docker(env, "volume", "ls", "-q").out.split()) == 2, "without -v they stay"
    docker(env, "volume", "prune", "-f")
    docker(env, "run", "--name", "anon", "-v", "/vol", "busybox", "true")
    docker(env, "rm", "-v", "anon")
    docker(env, "run", "--rm", "-v", "/vol", "busybox", "true")
    end = time.monotonic() + 10
    while (left := docker(env, "volume", "ls", "-q").out) and time.monotonic() < end:
        time.sleep(0.1)
    assert left == "", left
    refused = docker(env, "create", "-v", "/a/../b", "busybox", check=False)
    assert refused.code != 0 or docker(env, "rm", refused.out.strip()), refused


def test_connect_right_after_disconnect(env):
    docker(env, "network", "create", "again")
    docker(env, "run", "-d", "--name", "moved", "--network", "again", "busybox", "sleep", "1000")
    for _ in range(2):
        docker(env, "network", "disconnect", "again", "moved")
        docker(env, "network", "connect", "--alias", "other", "again", "moved")
    assert docker(env, "run", "--rm", "--network", "again", "busybox", "nslookup", "other").code == 0
    docker(env, "rm", "-f", "moved")
    docker(env, "network", "rm", "again")


def test_detach_from_exec(env):
    docker(env, "run", "-d", "--name", "left", "busybox", "sleep", "1000")
    start = time.monotonic()
    _, shown = dialog(env, ["exec", "-it", "left", "sh"], [(b"#", b"\x10\x11")])
    assert time.monotonic() - start < 10, shown
    docker(env, "rm", "-f", "left")


def test_frames_are_as_the_start_says(env):
    docker(env, "run", "-d", "--name", "framed", "busybox", "sleep", "1000")
    for terminal in (False, True):
        _, _, made = request(env, "POST", "/containers/framed/exec",
                             {"Cmd": ["echo", "hello"], "Tty": True, "AttachStdout": True, "AttachStderr": True})
        _, headers, body = request(env, "POST", f"/exec/{made['Id']}/start", {"Detach": False, "Tty": terminal})
        assert body == (b"hello\r\n" if terminal else b"\x01\0\0\0\0\0\0\x07hello\r\n"), body
        assert ("raw" if terminal else "multiplexed") in headers["content-type" if "content-type" in headers else "Content-Type"], headers
    docker(env, "rm", "-f", "framed")


def test_commit_with_changes(env):
    docker(env, "create", "--name", "source", "-e", "NOVALUE", "busybox", "true")
    assert "NOVALUE" in json.loads(docker(env, "inspect", "source").out)[0]["Config"]["Env"]
    docker(env, "commit", "-c", "EXPOSE 8000", "-c", 'CMD ["echo", "changed"]', "-c", "ENV A=b", "-m", "why", "-a", "who", "source", "changed:1")
    assert docker(env, "inspect", "-f", "{{.Comment}} {{.Author}}", "changed:1").out == "why who\n"
    config = json.loads(docker(env, "inspect", "changed:1").out)[0]["Config"]
    assert "8000/tcp" in config["ExposedPorts"] and config["Cmd"] == ["echo", "changed"] and "A=b" in config["Env"], config
    assert docker(env, "run", "--rm", "changed:1").out == "changed\n"
    refused = docker(env, "commit", "-c", "RUN true", "source", check=False)
    assert refused.code != 0 and "RUN" in refused.err, refused
    docker(env, "rm", "source")
    docker(env, "rmi", "changed:1")


def test_builds_without_buildkit(env):
    said = docker(env, "pull", "moby/buildkit:buildx-stable-1", check=False)
    assert said.code != 0 and "DOCKER_BUILDKIT=0" in said.err + said.out, said


def test_the_registry_judges_credentials(env):
    import shutil
    program = shutil.which("docker-registry")
    if not program:
        raise Skip("no docker-registry")
    folder = env.folder / "registry-auth"
    folder.mkdir()
    (folder / "users").write_text(HTPASSWD.format(hash=bcrypt()))
    (folder / "config.yml").write_text(f"""
version: 0.1
storage: {{ filesystem: {{ rootdirectory: {folder}/store }} }}
http: {{ addr: "127.0.0.1:5057" }}
auth: {{ htpasswd: {{ realm: test, path: {folder}/users }} }}
""")
    registry = subprocess.Popen(env.namespace.command(program, "serve", str(folder / "config.yml")),
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(1.5)
        body = {"username": "tester", "password": "secret", "serveraddress": "127.0.0.1:5057"}
        status, _, answer = request(env, "POST", "/auth", body)
        assert status == 200 and answer["Status"] == "Login Succeeded", (status, answer)
        status, _, answer = request(env, "POST", "/auth", {**body, "password": "wrong"})
        assert status == 401 and "127.0.0.1:5057" in answer["message"], (status, answer)
        docker(env, "login", "-u", "tester", "--password-stdin", "127.0.0.1:5057", input=b"secret")
        docker(env, "tag", "busybox", "127.0.0.1:5057/box:1")
        docker(env, "push", "127.0.0.1:5057/box:1")
        import base64
        credentials = base64.urlsafe_b64encode(json.dumps(body).encode()).decode()
        status, _, answer = request(env, "GET", "/distribution/127.0.0.1:5057/box:1/json", headers={"X-Registry-Auth": credentials})
        assert status == 200 and answer["Descriptor"]["digest"].startswith("sha256:"), (status, answer)
        status, _, answer = request(env, "GET", "/distribution/127.0.0.1:5057/none:1/json", headers={"X-Registry-Auth": credentials})
        assert status == 404 and answer["message"], (status, answer)
        docker(env, "rmi", "127.0.0.1:5057/box:1")
        docker(env, "logout", "127.0.0.1:5057")
    finally:
        registry.terminate()
        registry.wait()


def test_wait_right_after_the_start(env):
    """The end of a process is known a little after the process is gone: whoever waits must not be told the state before."""
    for _ in range(12):
        container = docker(env, "run", "-d", "busybox", "sh", "-c", "exit 7").out.strip()
        assert docker(env, "wait", container).out == "7\n"
        docker(env, "rm", container)


def test_rename_while_running(env):
    docker(env, "network", "create", "named")
    docker(env, "run", "-d", "--name", "one", "--network", "named", "busybox", "sleep", "1000")
    docker(env, "rename", "one", "two")
    assert docker(env, "ps", "--format", "{{.Names}}").out == "two\n"
    assert docker(env, "run", "--rm", "--network", "named", "busybox", "ping", "-c1", "-W2", "two").code == 0
    assert docker(env, "run", "--rm", "--network", "named", "busybox", "nslookup", "one", check=False).code != 0
    docker(env, "run", "-d", "--name", "one", "--network", "named", "busybox", "sleep", "1000")
    docker(env, "rm", "-f", "one", "two")
    docker(env, "network", "rm", "named")


def test_the_process_of_an_exec(env):
    docker(env, "run", "-d", "--name", "host", "busybox", "sleep", "1000")
    _, _, made = request(env, "POST", "/containers/host/exec", {"Cmd": ["sleep", "500"]})
    request(env, "POST", f"/exec/{made['Id']}/start", {"Detach": True})
    _, _, shown = request(env, "GET", f"/exec/{made['Id']}/json")
    assert shown["Running"] and open(f"/proc/{shown['Pid']}/cmdline").read() == "sleep\x00500\x00", shown
    docker(env, "rm", "-f", "host")


def test_copies_of_a_container_at_rest_see_its_volumes(env):
    folder = env.folder / "copies"
    folder.mkdir()
    (folder / "in").write_text("from outside")
    docker(env, "run", "--name", "rest", "-v", "/vol", "-v", "kept:/deep/kept", "busybox", "sh", "-c", "echo own >/vol/f; echo x >/deep/kept/g")
    docker(env, "cp", "rest:/vol/f", folder / "f")
    docker(env, "cp", "rest:/deep", folder / "deep")
    assert (folder / "f").read_text() == "own\n" and (folder / "deep/kept/g").read_text() == "x\n"
    docker(env, "cp", folder / "in", "rest:/deep/kept/in")
    assert docker(env, "run", "--rm", "-v", "kept:/k", "busybox", "sh", "-c", "cat /k/in; stat -c %u /k/in").out == "from outside0\n"
    docker(env, "create", "--name", "new", "-v", "/fresh", "busybox", "cat", "/fresh/in")
    docker(env, "cp", folder / "in", "new:/fresh/in")
    assert docker(env, "start", "-a", "new").out == "from outside"
    docker(env, "run", "--name", "bound", "-v", f"{folder}:/host:ro", "busybox", "true")
    assert docker(env, "cp", folder / "in", "bound:/host/other", check=False).code != 0 and not (folder / "other").exists()
    docker(env, "rm", "-v", "rest", "new", "bound")
    docker(env, "volume", "rm", "kept")


def test_volumes_with_options(env):
    folder = env.folder / "of-host"
    folder.mkdir()
    (folder / "f").write_text("hello")
    docker(env, "volume", "create", "-o", "type=none", "-o", "o=bind", "-o", f"device={folder}", "bound")
    docker(env, "volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,uid=5", "memory")
    out = docker(env, "run", "--name", "user", "-v", "bound:/b", "-v", "memory:/m", "busybox", "sh", "-c", "cat /b/f; stat -c ' %u' /m; df -k /m").out
    assert out.startswith("hello 5\n") and " 1024 " in out, out
    mounts = json.loads(docker(env, "inspect", "user").out)[0]["Mounts"]
    assert sorted((mount["Type"], mount["Name"]) for mount in mounts) == [("volume", "bound"), ("volume", "memory")], mounts
    assert docker(env, "volume", "rm", "bound", check=False).code != 0, "it is in use"
    assert json.loads(docker(env, "volume", "inspect", "bound").out)[0]["Options"] == {"type": "none", "o": "bind", "device": str(folder)}
    docker(env, "rm", "user")
    docker(env, "volume", "rm", "bound", "memory")
    assert (folder / "f").exists()
    assert "not offered" in docker(env, "volume", "create", "-o", "type=nfs", "-o", "o=addr=1.2.3.4", "-o", "device=:/x", check=False).err


def test_links(env):
    docker(env, "run", "-d", "--name", "store", "-e", "WORD=secret", "--expose", "99", "busybox", "sleep", "1000")
    out = docker(env, "run", "--rm", "--name", "app", "--link", "store:db", "busybox", "sh", "-c", "env; ping -c1 -W2 db").out
    assert "DB_NAME=/app/db\n" in out and "DB_ENV_WORD=secret\n" in out and "DB_PORT=tcp://" in out and "DB_PORT_99_TCP_PORT=99\n" in out, out
    docker(env, "create", "--name", "app", "--link", "store:db", "busybox", "sh", "-c", "env; grep -w db /etc/hosts")
    docker(env, "rm", "--link", "app/db")
    out = docker(env, "start", "-a", "app", check=False).out
    assert "DB_" not in out and "store" not in out and "PATH=" in out, out
    assert docker(env, "rm", "--link", "app/db", check=False).code != 0
    assert docker(env, "ps", "--format", "{{.Names}}").out == "store\n"
    docker(env, "rm", "app")
    docker(env, "rm", "-f", "store")
    docker(env, "network", "create", "linked")
    docker(env, "run", "-d", "--name", "store", "--network", "linked", "busybox", "sleep", "1000")
    out = docker(env, "run", "--rm", "--network", "linked", "--link", "store:db", "busybox", "sh", "-c", "env; ping -c1 -W2 db").out
    assert "1 packets received" in out and "DB_" not in out, out
    docker(env, "create", "--name", "early", "--network", "linked", "--link", "not-yet:db", "busybox", "true")
    links = json.loads(docker(env, "inspect", "early").out)[0]["NetworkSettings"]["Networks"]["linked"]["Links"]
    assert links == ["not-yet:db"], links
    docker(env, "rm", "early")
    docker(env, "rm", "-f", "store")
    docker(env, "network", "rm", "linked")


def test_the_space_that_prune_frees(env):
    docker(env, "run", "--name", "big", "busybox", "sh", "-c", "dd if=/dev/zero of=/f bs=1M count=3 2>/dev/null")
    assert "3.1" in docker(env, "ps", "-as", "--format", "{{.Size}}").out
    assert "3.1" in docker(env, "container", "prune", "-f").out
