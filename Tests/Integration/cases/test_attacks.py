"""Hostile names, programs and moments: a clear error or a bounded effect, nothing left, the daemon still serving."""
import os
import time

from isletest import host, waiting


def fine(env):
    assert env.daemon.isle("run", "--rm", "--net", "none", "busybox", "echo", "fine").out == "fine\n"


def test_names_that_mean_something_else(env):
    isle = env.daemon.isle
    for name in ("a\nb", "-rf", "../../etc", "a/b", ".", "..", "a" * 300, "wеb", "a b", "$(id)", "a;b", "a\x1b[31m"):
        result = isle("create", f"--name={name}", "busybox", "true", check=False)
        assert result.code != 0 and result.out == "", (name, result)
        assert result.err.count("\n") == 1 and "\x1b" not in result.err, (name, result)
    for volume in ("-v:/x", "a\nb:/x"):
        assert isle("run", "--rm", "-v", volume, "busybox", "true", check=False).code != 0, volume
    assert env.daemon.names() == [] and env.daemon.json("volume", "list") == []
    fine(env)


def test_bombs_are_bounded(env):
    isle = env.daemon.isle
    memory = isle("run", "--name", "eater", "-m", "32MiB", "busybox", "tail", "/dev/zero", check=False)
    assert memory.code == 137 and "out of memory" in isle("list").out, memory
    shm = isle("run", "--rm", "busybox", "sh", "-c", "dd if=/dev/zero of=/dev/shm/x bs=1M count=100 2>&1", check=False)
    assert shm.code != 0 and "No space left" in shm.out, shm
    forks = isle("run", "--rm", "--pids-limit", "20", "busybox", "sh", "-c",
                 "for i in $(seq 60); do sleep 5 & done; echo survived", check=False, timeout=40)
    assert "fork" in forks.err, forks
    isle("launch", "--pids-limit", "10", "busybox", "full", "--", "sh", "-c", "for i in $(seq 9); do sleep 600 & done; wait")
    waiting.until(lambda: env.daemon.json("info", "full")["state"]["processes"] >= 10)
    refused = isle("exec", "full", "true", check=False)
    assert refused.code != 0 and "limits.processes" in refused.err and "10 processes" in refused.err, refused
    isle("delete", "--force", "full")
    isle("run", "--name", "flood", "-c", "logs.max_size=64KiB", "-c", "logs.files=2", "busybox", "sh", "-c",
         "yes 0123456789012345678901234567890123456789 | head -n 50000")
    logs = [path for path in (env.daemon.state / "instances").glob("*/logs/*") if path.stat().st_size > 60000]
    assert logs and sum(path.stat().st_size for path in logs) < 200 << 10, [(p, p.stat().st_size) for p in logs]
    fine(env)


def test_no_inherited_rights(env):
    status = env.daemon.isle("run", "--rm", "busybox", "cat", "/proc/self/status").out
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(fields["CapInh"], 16) == 0 and int(fields["CapAmb"], 16) == 0, status
    assert fields["NoNewPrivs"] == "1" and fields["Seccomp"] == "2", status
    listing = env.daemon.isle("run", "--rm", "busybox", "ls", "/proc/self/fd").out.split()
    assert set(listing) <= {"0", "1", "2", "3"}, listing


def test_orphans_are_reaped_and_end_with_the_instance(env):
    isle = env.daemon.isle
    isle("launch", "busybox", "parent", "--", "sh", "-c",
         "for i in 1 2 3 4 5; do (sleep 0.2 & exec true); done; (sleep 987 &); exec sleep 1000")
    time.sleep(1)
    sleeping = [pid for pid, line in host.processes("sleep 987")]
    assert len(sleeping) == 1, sleeping
    isle("delete", "--force", "parent")
    assert host.processes("sleep 987") == []


def test_one_name_asked_for_twice(env):
    tries = [env.daemon.background("launch", "busybox", "twin", "--", "sleep", "1000") for _ in range(6)]
    errors = [done.communicate(timeout=60)[1].decode() for done in tries]
    codes = [done.returncode for done in tries]
    assert codes.count(0) == 1, (codes, errors)
    assert all("exists already" in error for code, error in zip(codes, errors) if code), errors
    assert env.daemon.names() == ["twin"]


def test_delete_during_start_and_start_during_delete(env):
    isle = env.daemon.isle
    for delay in (0, 0.02, 0.05, 0.1):
        isle("create", "--name", "torn", "busybox", "sleep", "1000")
        start = env.daemon.background("start", "torn")
        time.sleep(delay)
        delete = env.daemon.background("delete", "--force", "torn")
        again = env.daemon.background("start", "torn")
        for process in (start, delete, again):
            process.communicate(timeout=60)
        isle("delete", "--force", "torn", check=False)
        assert env.daemon.names() == []
    assert [line for line in host.processes(str(env.daemon.run_dir)) if "isle-shim" in line[1]] == []
    fine(env)


def test_hypervisor_killed(env):
    env.need("kernel")
    isle = env.daemon.isle
    isle("launch", "--vm", "busybox", "vm", "--", "sleep", "1000")
    env.daemon.eventually("exec", "vm", "true", seconds=120)
    os.kill(env.daemon.json("info", "vm")["state"]["pid"], 9)
    env.daemon.wait_status("vm", "Stopped", 20)
    isle("start", "vm")
    env.daemon.eventually("exec", "vm", "true", seconds=120)


def test_machine_without_kvm_is_warned_of(env):
    env.need("kernel")
    if env.daemon.isle("doctor", "--format", "json", check=False).out.find('"a guest runs under KVM"') >= 0:
        return
    launched = env.daemon.isle("launch", "--vm", "busybox", "slow", "--", "sleep", "1000")
    assert launched.err.startswith("warning: machine slow runs without KVM, several times slower"), launched
    again = env.daemon.isle("restart", "--force", "slow")
    assert "warning: machine slow runs without KVM" in again.err, again
    wanted = env.daemon.isle("launch", "--vm", "-c", "machine.acceleration=tcg", "busybox", "wanted", "--", "sleep", "1000")
    assert wanted.err == "", wanted


def test_processor_time_of_a_machine_is_bounded(env):
    env.need("kernel")
    isle = env.daemon.isle
    isle("launch", "--vm", "--cpus", "0.2", "busybox", "busy", "--", "sh", "-c", "while :; do :; done")
    pid = env.daemon.json("info", "busy")["state"]["pid"]

    def ticks():
        fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    start, before = time.monotonic(), ticks()
    time.sleep(3)
    share = (ticks() - before) / (time.monotonic() - start)
    assert share < 0.35, share
    refused = isle("config", "set", "busy", "limits.processes=5", check=False)
    assert refused.code != 0 and "limits.processes" in refused.err and "machine" in refused.err, refused


def test_module_that_recurses_or_follows_links(env):
    env.need("wasm")
    isle, guest = env.daemon.isle, str(env.wasm)
    deep = isle("run", "--rm", guest, "recurse", check=False)
    assert deep.code == 134 and "wasm trap" in deep.err, deep
    folder = env.folder / "with-link"
    folder.mkdir(exist_ok=True)
    (env.folder / "outside").write_text("secret\n")
    for name, target in (("up", "../outside"), ("root", "/etc/passwd")):
        (folder / name).symlink_to(target)
        result = isle("run", "--rm", "--dir", f"{folder}::/g", guest, "cat", f"/g/{name}", check=False)
        assert result.code == 2 and result.out == "", result
    fine(env)


def test_module_that_asks_with_malformed_strings_and_flags(env):
    env.need("wasm")
    isle, guest = env.daemon.isle, str(env.wasm)
    folder = env.folder / "for-malformed"
    folder.mkdir(exist_ok=True)
    (folder / "file").write_text("content\n")
    (env.folder / "outside").write_text("secret\n")

    def ask(number):
        return isle("run", "--rm", "--dir", f"{folder}::/g", guest, "malformed", str(number), check=False)

    assert ask(99).code == 3, "what is right is not refused"
    for number in range(14):
        result = ask(number)
        # An error number for the guest, or its end by a trap; never a file, never the end of the process by a signal.
        assert result.code in (2, 134), (number, result)
        assert result.code == 2 or "wasm" in result.err, (number, result)
    assert (folder / "file").read_text() == "content\n" and sorted(os.listdir(folder)) == ["file"]
    fine(env)


def test_module_memory_is_its_own(env):
    env.need("wasm")
    isle, guest = env.daemon.isle, str(env.wasm)
    for _ in range(3):
        # Each fills its memory before it ends.
        assert isle("run", "--rm", guest, "fresh").out == "fresh\n"
    isle("create", "--name", "again", guest, "fresh")
    for _ in range(2):
        isle("start", "again")
        env.daemon.isle("wait", "again", check=False)
    assert isle("logs", "again").out == "fresh\nfresh\n"
    isle("delete", "--force", "again")


def test_many_cycles_leave_nothing(env):
    isle = env.daemon.isle
    before = (host.cgroups("isle"), len(env.namespace.links()))
    for _ in range(20):
        isle("run", "--rm", "busybox", "true")
    time.sleep(1)
    assert host.mounts(str(env.folder)) == [] and list((env.daemon.run_dir / "instances").iterdir()) == []
    assert list((env.daemon.state / "instances").iterdir()) == []
    assert (host.cgroups("isle"), len(env.namespace.links())) <= (before[0], before[1] + 1)
