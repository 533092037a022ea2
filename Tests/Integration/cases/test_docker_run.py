import json
import os
import time

from isletest.docker import background, dialog, docker, request


def test_version_and_ping(env):
    assert "1.50" in docker(env, "version").out
    for path in ("/_ping", "/v1.24/_ping", "/v1.50/_ping"):
        status, headers, body = request(env, "GET", path)
        assert (status, body, headers["Api-Version"], headers["Ostype"]) == (200, b"OK", "1.50", "linux"), (headers, body)
    assert request(env, "HEAD", "/_ping")[0] == 200
    assert request(env, "GET", "/v1.99/info")[0] == 400 and request(env, "GET", "/v1.12/info")[0] == 400
    info = json.loads(docker(env, "info", "--format", "{{json .}}").out)
    assert info["OSType"] == "linux" and info["Swarm"]["LocalNodeState"] == "inactive", info
    assert "not a swarm manager" in docker(env, "service", "ls", check=False).err


def test_run_output_and_exit_codes(env):
    result = docker(env, "run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7", check=False)
    assert (result.code, result.out, result.err) == (7, "out\n", "err\n"), result
    missing = docker(env, "run", "--rm", "busybox", "no-such-program", check=False)
    assert missing.code == 127, missing
    folder = docker(env, "run", "--rm", "busybox", "/etc", check=False)
    assert folder.code == 126, folder
    unknown = docker(env, "run", "--rm", "--pull", "never", "none-such", "true", check=False)
    assert unknown.code == 125 and "No such image" in unknown.err, unknown
    assert docker(env, "ps", "-aq").out == ""


def test_run_input_and_options(env):
    result = docker(env, "run", "--rm", "-i", "-e", "A=b c", "-u", "bob", "-w", "/home", "--hostname", "inside", "busybox",
                    "sh", "-c", "echo $A; id -un; pwd; hostname; cat", input=b"typed\n")
    assert result.out == "b c\nbob\n/home\ninside\ntyped\n", result
    options = docker(env, "run", "--rm", "--ulimit", "nofile=99:100", "--tmpfs", "/scratch:size=1m", "--shm-size", "32m",
                     "--add-host", "there:10.9.8.7", "--dns", "10.9.9.9", "--sysctl", "net.ipv4.ip_forward=1", "--init",
                     "--read-only", "--cap-drop", "ALL", "busybox", "sh", "-c",
                     "ulimit -n; grep scratch /proc/mounts; df -m /dev/shm | tail -1; grep there /etc/hosts; "
                     "cat /etc/resolv.conf /proc/sys/net/ipv4/ip_forward; touch /x || echo refused")
    for part in ("99\n", "tmpfs /scratch", "10.9.8.7", "nameserver 10.9.9.9", "refused"):
        assert part in options.out, (part, options)


def test_terminal(env):
    code, shown = dialog(env, ["run", "-it", "--name", "term", "busybox", "sh"],
                         [(b"#", b"tty; stty size\n"), (b"24 80", b"exit 5\n")])
    assert code == 5 and b"/dev/" in shown, (code, shown)
    assert docker(env, "inspect", "-f", "{{.State.ExitCode}} {{.Config.Tty}}", "term").out == "5 true\n"
    docker(env, "rm", "term")


def test_life(env):
    name = "life_of.one"
    identity = docker(env, "run", "-d", "--name", name, "--label", "a=b", "busybox", "sh", "-c",
                      "trap 'exit 3' TERM; while :; do sleep 0.1; done").out.strip()
    assert len(identity) == 64
    for reference in (identity, identity[:12], identity[:5], name):
        assert docker(env, "inspect", "-f", "{{.Id}}", reference).out.strip() == identity
    line = docker(env, "ps", "--format", "{{.Names}} {{.State}} {{.Image}} {{.ID}}").out.strip()
    assert line == f"{name} running busybox {identity[:12]}", line
    assert docker(env, "ps", "-q", "--filter", "label=a=c").out == ""
    assert docker(env, "ps", "-q", "--filter", "label=a=b", "--filter", "status=running").out.strip() == identity[:12]
    assert "Error" in docker(env, "rm", name, check=False).err
    docker(env, "pause", name)
    assert "(Paused)" in docker(env, "ps", "--format", "{{.Status}}").out
    docker(env, "unpause", name)
    assert "sleep" in docker(env, "top", name).out or "sh" in docker(env, "top", name).out
    stats = docker(env, "stats", "--no-stream", "--format", "{{.PIDs}} {{.MemUsage}}", name).out
    assert "MiB" in stats or "KiB" in stats, stats
    docker(env, "update", "--memory", "64m", "--restart", "no", name)
    assert docker(env, "inspect", "-f", "{{.HostConfig.Memory}}", name).out == "67108864\n"
    waiter = background(env, "wait", name)
    docker(env, "stop", name)
    assert waiter.communicate(timeout=20)[0] == b"3\n"
    assert docker(env, "ps", "-a", "--format", "{{.Status}}").out.startswith("Exited (3)")
    docker(env, "start", name)
    docker(env, "restart", "-t", "1", name)
    docker(env, "kill", "-s", "KILL", name)
    assert docker(env, "wait", name).out == "137\n"
    docker(env, "rename", name, "other")
    conflict = docker(env, "create", "--name", "other", "busybox", check=False)
    assert "is already in use by container" in conflict.err, conflict
    assert docker(env, "container", "prune", "-f").out.count(identity) == 1
    assert docker(env, "ps", "-aq").out == ""


def test_logs(env):
    docker(env, "run", "-d", "--name", "talker", "busybox", "sh", "-c", "echo one; echo two >&2; printf three; sleep 1000")
    time.sleep(0.5)
    result = docker(env, "logs", "talker")
    assert result.out.startswith("one\n") and result.err == "two\n", result
    assert docker(env, "logs", "-n", "1", "--timestamps", "talker").out[:2] in ("20", ""), "timestamps"
    follower = background(env, "logs", "-f", "talker")
    time.sleep(0.3)
    docker(env, "rm", "-f", "talker")
    assert follower.communicate(timeout=20)[0].startswith(b"one\n")


def test_exec(env):
    docker(env, "run", "-d", "--name", "web", "-e", "BASE=1", "busybox", "sleep", "1000")
    assert docker(env, "exec", "web", "sh", "-c", "exit 9", check=False).code == 9
    assert docker(env, "exec", "web", "nope", check=False).code == 127
    assert docker(env, "exec", "-i", "web", "cat", input=b"abc").out == "abc"
    result = docker(env, "exec", "-e", "X=2", "-u", "1000:1000", "-w", "/tmp", "web", "sh", "-c", "echo $BASE $X $(id -u) $PWD; echo e >&2")
    assert (result.out, result.err) == ("1 2 1000 /tmp\n", "e\n"), result
    docker(env, "exec", "-d", "web", "touch", "/made")
    time.sleep(0.3)
    docker(env, "exec", "web", "ls", "/made")
    code, shown = dialog(env, ["exec", "-it", "web", "sh"], [(b"#", b"tty; exit 4\n")])
    assert code == 4 and b"/dev/" in shown, (code, shown)
    docker(env, "rm", "-f", "web")
    assert "No such container" in docker(env, "exec", "web", "true", check=False).err


def test_attach_and_detach(env):
    code, shown = dialog(env, ["run", "-it", "--name", "back", "busybox", "sh"], [(b"#", b"\x10\x11")])
    assert docker(env, "inspect", "-f", "{{.State.Running}}", "back").out == "true\n", (code, shown)
    code, shown = dialog(env, ["attach", "back"], [(b"#", b"echo a''gain\n"), (b"again", b"exit 6\n")])
    assert code == 6, (code, shown)
    docker(env, "rm", "-f", "back")


def test_events(env):
    since = time.time()
    docker(env, "run", "--rm", "--name", "seen", "busybox", "true")
    out = docker(env, "events", "--since", str(since), "--until", str(time.time() + 1), "--filter", "container=seen",
                 "--format", "{{.Action}}").out.split("\n")
    for action in ("create", "start", "die", "destroy"):
        assert action in out, out


def test_ports_and_volumes(env):
    docker(env, "volume", "create", "--label", "x=y", "store")
    docker(env, "run", "--rm", "-v", "store:/data", "busybox", "sh", "-c", "echo kept > /data/file")
    assert docker(env, "run", "--rm", "--mount", "type=volume,src=store,dst=/in,readonly", "busybox", "cat", "/in/file").out == "kept\n"
    assert json.loads(docker(env, "volume", "inspect", "store").out)[0]["Labels"] == {"x": "y"}
    assert docker(env, "volume", "ls", "-q", "--filter", "label=x=y").out == "store\n"
    folder = env.folder / "bound"
    docker(env, "run", "--rm", "-v", f"{folder}:/host", "busybox", "touch", "/host/made")
    assert os.stat(folder / "made").st_uid == 0
    docker(env, "run", "-d", "--name", "server", "-v", "store:/www", "-p", "127.0.0.1::80", "busybox",
           "httpd", "-f", "-h", "/www", "-p", "80")
    port = docker(env, "port", "server", "80").out.strip().rsplit(":", 1)[1]
    import subprocess
    fetch = subprocess.run(env.namespace.command("curl", "-s", "--retry", "5", "--retry-connrefused", f"http://127.0.0.1:{port}/file"),
                           capture_output=True, timeout=30)
    assert fetch.stdout == b"kept\n", fetch
    assert "in use" in docker(env, "volume", "rm", "store", check=False).err
    docker(env, "rm", "-f", "server")
    docker(env, "volume", "rm", "store")
    assert docker(env, "volume", "inspect", "store", check=False).code == 1


def test_networks(env):
    docker(env, "network", "create", "--label", "n=1", "backend")
    assert "already exists" in docker(env, "network", "create", "backend", check=False).err
    docker(env, "run", "-d", "--name", "db", "--network", "backend", "--network-alias", "store", "busybox", "sleep", "1000")
    for name in ("db", "store"):
        assert docker(env, "run", "--rm", "--network", "backend", "busybox", "nslookup", name).out.count("Address") >= 1
    described = json.loads(docker(env, "network", "inspect", "backend").out)[0]
    assert described["Labels"] == {"n": "1"} and len(described["Containers"]) == 1, described
    assert docker(env, "run", "--rm", "--network", "none", "busybox", "ls", "/sys/class/net").out == "lo\n"
    assert docker(env, "run", "--rm", "--network", "container:db", "busybox", "ls", "/sys/class/net").out == "eth0\nlo\n"
    assert "active endpoints" in docker(env, "network", "rm", "backend", check=False).err
    docker(env, "rm", "-f", "db")
    docker(env, "network", "rm", "backend")
    docker(env, "network", "create", "--subnet", "10.77.5.0/24", "--ip-range", "10.77.5.64/30", "--aux-address", "x=10.77.5.65", "ranged")
    docker(env, "run", "-d", "--name", "first", "--network", "ranged", "busybox", "sleep", "1000")
    docker(env, "run", "-d", "--name", "asked", "--network", "ranged", "--ip", "10.77.5.9", "busybox", "sleep", "1000")
    addresses = docker(env, "inspect", "-f", "{{.NetworkSettings.Networks.ranged.IPAddress}}", "first", "asked").out.split()
    assert addresses == ["10.77.5.64", "10.77.5.9"], addresses
    docker(env, "rm", "-f", "first", "asked")
    docker(env, "network", "rm", "ranged")
    refused = docker(env, "network", "create", "--subnet", "10.77.5.0/24", "--ip-range", "10.78.0.0/25", "ranged", check=False)
    assert refused.code != 0 and "range" in refused.err, refused
    assert {"bridge", "host", "none"} <= set(docker(env, "network", "ls", "--format", "{{.Name}}").out.split())
