import os
import re
import shutil
import time

from isletest import host


def pid_of(env, name):
    pid = env.daemon.json("info", name)["state"]["pid"]
    assert pid > 0, name
    return pid


COUNT = "n=0; while :; do echo line $n; n=$((n+1)); sleep 0.02; done"


def counted(env, name):
    """The numbers that a counting instance has in its log; those of a console stand among other lines."""
    numbers = [int(found) for found in re.findall(r"line (\d+)\r?$", env.daemon.isle("logs", name).out, re.M)]
    assert numbers == list(range(len(numbers))), f"the log of {name} has gaps: {numbers[:50]}"
    return len(numbers)


def test_daemon_killed_while_all_kinds_run(env):
    isle = env.daemon.isle
    expected = ["app"]
    isle("launch", "busybox", "app", "--", "sh", "-c", COUNT)
    if "debian" not in env.missing:
        isle("launch", "debian/bookworm", "box")
        env.daemon.eventually("exec", "box", "systemctl", "is-system-running", seconds=30)
        isle("exec", "box", "--", "sh", "-c", f"({COUNT}) >/dev/console 2>&1 </dev/null & exit 0")
        expected.append("box")
    if "kernel" not in env.missing:
        isle("launch", "--vm", "busybox", "vm", "--", "sh", "-c", COUNT)
        env.daemon.eventually("exec", "vm", "true", seconds=120)
        expected.append("vm")
    if "wasm" not in env.missing:
        isle("launch", str(env.wasm), "mod", "--", "count")
        expected.append("mod")
    time.sleep(0.5)
    before = {name: counted(env, name) for name in expected}
    pids = {name: pid_of(env, name) for name in expected}
    shims = sorted(pid for pid, line in host.processes(str(env.daemon.run_dir)) if "isle-shim" in line)
    env.daemon.kill()
    time.sleep(1)
    assert shims == sorted(pid for pid, line in host.processes(str(env.daemon.run_dir)) if "isle-shim" in line)
    env.daemon.start()
    for name in expected:
        assert env.daemon.status(name) == "Running", (name, env.daemon.log_tail())
        assert pid_of(env, name) == pids[name], name
    assert isle("exec", "app", "echo", "again").out == "again\n"
    if "box" in expected:
        isle("exec", "box", "systemctl", "is-system-running")
    if "vm" in expected:
        assert isle("exec", "vm", "echo", "again", timeout=60).out == "again\n"
    # Each went on while nobody looked, and not a line is missing: before, meanwhile, or since.
    for name in expected:
        assert counted(env, name) > before[name] > 0, name
    isle("stop", "--timeout", "1", "app")
    assert counted(env, "app") > 20


def test_exit_while_no_daemon_looks(env):
    isle = env.daemon.isle
    isle("launch", "busybox", "brief", "--", "sh", "-c", "sleep 1; echo done; exit 3")
    isle("launch", "--ephemeral", "busybox", "gone", "--", "sleep", "1")
    env.daemon.kill()
    time.sleep(1.5)
    env.daemon.start()
    assert env.daemon.status("brief") == "Stopped"
    assert isle("wait", "brief", check=False).out.strip() == "3"
    assert "done" in isle("logs", "brief").out
    assert env.daemon.names() == ["brief"]


def test_host_reboot(env):
    isle = env.daemon.isle
    runs, stays = ["comes-back", "autostarted"], ["stays-down", "was-stopped"]
    isle("launch", "--restart", "always", "busybox", "comes-back", "--", "sleep", "1000")
    isle("launch", "--autostart", "busybox", "autostarted", "--", "sleep", "1000")
    isle("launch", "busybox", "stays-down", "--", "sleep", "1000")
    isle("launch", "--restart", "unless-stopped", "busybox", "was-stopped", "--", "sleep", "1000")
    isle("stop", "--timeout", "1", "was-stopped")
    if "debian" not in env.missing:
        isle("launch", "debian/bookworm", "box")
        isle("launch", "debian/bookworm", "box-down", "-c", "boot.autostart=false")
        env.daemon.eventually("exec", "box", "systemctl", "is-system-running", seconds=30)
        isle("exec", "box", "--", "sh", "-c", "echo kept >/root/kept && sync")
        runs.append("box")
        stays.append("box-down")
    if "kernel" not in env.missing:
        isle("launch", "--vm", "busybox", "vm", "--", "sleep", "1000")
        env.daemon.eventually("exec", "vm", "true", seconds=120)
        runs.append("vm")
    if "wasm" not in env.missing:
        isle("launch", "--restart", "unless-stopped", str(env.wasm), "module", "--", "count")
        isle("launch", str(env.wasm), "module-down", "--", "count")
        runs.append("module")
        stays.append("module-down")
    pids = {name: pid_of(env, name) for name in runs}
    env.daemon.kill()
    for pid in host.descendants(pid for pid, _ in host.processes(str(env.daemon.run_dir))):
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            pass
    time.sleep(0.5)
    shutil.rmtree(env.daemon.run_dir)
    env.daemon.start()
    for name in runs:
        env.daemon.wait_status(name, "Running", 30)
        assert pid_of(env, name) != pids[name], name
    assert {name: env.daemon.status(name) for name in stays} == {name: "Stopped" for name in stays}
    if "box" in runs:
        env.daemon.eventually("exec", "box", "systemctl", "is-system-running", seconds=30)
        assert isle("exec", "box", "cat", "/root/kept").out == "kept\n"
    if "vm" in runs:
        env.daemon.eventually("exec", "vm", "true", seconds=120)
    # The network is there again too: names, and what was published.
    assert isle("exec", "comes-back", "--", "ping", "-c", "1", "autostarted").code == 0


def test_shim_killed(env):
    isle = env.daemon.isle
    isle("launch", "busybox", "orphan", "--", "sleep", "1000")
    run = [pid for pid, line in host.processes(str(env.daemon.run_dir)) if "isle-shim" in line]
    assert len(run) == 1
    os.kill(run[0], 9)
    env.daemon.wait_status("orphan", "Stopped", 20)
    isle("start", "orphan")
    assert isle("exec", "orphan", "echo", "back").out == "back\n"


def test_crash_during_launches(env):
    for delay in (0.01, 0.03, 0.06, 0.1, 0.15):
        background = env.daemon.background("launch", "busybox", "torn", "--", "sleep", "1000")
        time.sleep(delay)
        env.daemon.kill()
        background.communicate(timeout=20)
        env.daemon.start()
        for name in env.daemon.names():
            env.daemon.isle("start", name, check=False)
            assert env.daemon.isle("exec", name, "echo", "fine", check=False).out in ("fine\n", ""), name
            env.daemon.isle("delete", "--force", name)
        assert env.daemon.names() == []
    time.sleep(1)
    folders = list((env.daemon.state / "instances").iterdir())
    assert folders == [], folders
    assert host.mounts(str(env.folder)) == []


def test_damaged_database_is_refused(env):
    from isletest.daemon import Daemon
    folder = env.folder / "damaged"
    (folder / "state").mkdir(parents=True)
    os.chmod(folder, 0o711)
    (folder / "state" / "isle.db").write_bytes(b"this is no database" * 1000)
    other = Daemon(env.programs, folder, env.daemon.bridge + "c", env.namespace, "10.211.8.1/24")
    try:
        other.start()
        raise AssertionError("a daemon started on a damaged database")
    except AssertionError as error:
        assert "isle.db" in str(error), error
    assert (folder / "state" / "isle.db").read_bytes().startswith(b"this is no database")


def test_certificates_of_a_host_without_any(env):
    """A host without authorities (no ca-certificates) is served all the same; so is one whose own certificate is damaged."""
    from isletest.daemon import Daemon

    class Bare(Daemon):
        def command(self):
            hide = "mount -t tmpfs none /etc/ssl && exec \"$@\""
            inner = super().command()
            at = inner.index(str(self.programs / "isled"))
            return [*inner[:at], "unshare", "-m", "sh", "-c", hide, "sh", *inner[at:]]

    folder = env.folder / "bare"
    (folder / "state").mkdir(parents=True)
    os.chmod(folder, 0o711)
    certificate, key = folder / "state" / "server.crt", folder / "state" / "server.key"
    daemon = Bare(env.programs, folder, env.daemon.bridge + "d", env.namespace, "10.211.9.1/24").start()
    try:
        daemon.isle("config", "server", "set", "core.https_address=127.0.0.1:18447")
        assert "ca-certificates" in daemon.isle("doctor", check=False).out
        daemon.stop()
        first = key.read_bytes()
        certificate.unlink()
        daemon.start()
        assert certificate.read_bytes() and key.read_bytes() == first
        daemon.isle("config", "server", "unset", "core.https_address")
        daemon.stop()
        certificate.write_text("no certificate")
        daemon.start()
        assert "erver certificate" in daemon.isle("warning", "list").out, (daemon.isle("warning", "list"), daemon.log_tail())
        refused = daemon.isle("config", "server", "set", "core.https_address=127.0.0.1:18447", check=False)
        assert refused.code != 0 and "server.crt" in refused.err, refused
        assert certificate.read_text() == "no certificate"
        daemon.stop()
        certificate.unlink()
        daemon.start()
        assert "erver certificate" not in daemon.isle("warning", "list").out
        daemon.isle("config", "server", "set", "core.https_address=127.0.0.1:18447")
        daemon.isle("config", "server", "unset", "core.https_address")
    finally:
        daemon.stop()
