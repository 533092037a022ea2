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
    docker(env, "commit", "-c", "EXPOSE 8000", "-c", 'CMD ["echo", "changed"]', "-c", "ENV A=b", "source", "changed:1")
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
