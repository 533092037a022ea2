import json
import time


def test_output_and_exit_code(env):
    isle = env.daemon.isle
    result = isle("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7", check=False)
    assert (result.code, result.out, result.err) == (7, "out\n", "err\n"), result
    assert env.daemon.names() == []


def test_what_cannot_run(env):
    isle = env.daemon.isle
    missing = isle("run", "--rm", "busybox", "no-such-program", check=False)
    assert missing.code == 127 and "no-such-program" in missing.err, missing
    folder = isle("run", "--rm", "busybox", "/etc", check=False)
    assert folder.code == 126, folder
    unknown = isle("run", "--rm", "localhost:1/none", "true", check=False)
    assert unknown.code == 125 and unknown.err.count("\n") == 1, unknown
    assert env.daemon.names() == []


def test_environment_user_folder_and_input(env):
    isle = env.daemon.isle
    result = isle("run", "--rm", "-i", "-e", "A=b c", "-u", "bob", "-w", "/home", "--hostname", "inside", "busybox", "sh", "-c",
                  "echo $A; id; pwd; hostname; cat", input=b"typed\n")
    assert result.out == "b c\nuid=1000(bob) gid=1000(bob) groups=1000(bob),2000(extra)\n/home\ninside\ntyped\n", result


def test_large_output_is_whole(env):
    result = env.daemon.isle("run", "--rm", "busybox", "seq", "1", "200000")
    assert result.out == "".join(f"{n}\n" for n in range(1, 200001))


def test_exec(env):
    isle = env.daemon.isle
    isle("launch", "busybox", "web", "--", "sleep", "1000")
    assert isle("exec", "web", "--", "sh", "-c", "exit 9", check=False).code == 9
    assert isle("exec", "web", "nope", check=False).code == 127
    assert isle("exec", "-i", "web", "cat", input=b"abc").out == "abc"
    assert isle("exec", "-e", "X=1", "-u", "1000:1000", "-w", "/tmp", "web", "--", "sh", "-c", "echo $X $(id -u) $PWD").out == "1 1000 /tmp\n"
    assert isle("exec", "web", "--", "sh", "-c", "kill -TERM $$", check=False).code == 143
    assert isle("exec", "nobody", "true", check=False).err.startswith("Error: instance 'nobody' does not exist")


def test_logs(env):
    isle = env.daemon.isle
    isle("launch", "busybox", "talker", "--", "sh", "-c", "echo one; echo two >&2; printf three; sleep 1000")
    time.sleep(0.3)
    result = isle("logs", "talker")
    assert result.out.startswith("one\n") and "two" in result.out + result.err, result
    assert isle("logs", "--tail", "1", "talker").out.strip() in ("two", "three"), isle("logs", "--tail", "1", "talker")
    follower = env.daemon.background("logs", "-f", "talker")
    isle("delete", "--force", "talker")
    out, _ = follower.communicate(timeout=20)
    assert b"one" in out


def test_signals_stop_and_restart(env):
    isle = env.daemon.isle
    isle("launch", "busybox", "trap", "--", "sh", "-c", "trap 'echo bye; exit 3' TERM; while :; do sleep 0.1; done")
    time.sleep(0.3)
    start = time.monotonic()
    isle("stop", "trap")
    assert time.monotonic() - start < 5
    assert "bye" in isle("logs", "trap").out
    info = env.daemon.json("list")[0]
    assert info["status"] == "Stopped", info
    isle("start", "trap")
    isle("kill", "-s", "KILL", "trap")
    env.daemon.wait_status("trap", "Stopped")
    isle("start", "trap")
    isle("restart", "--timeout", "1", "trap")
    assert env.daemon.status("trap") == "Running"
    isle("delete", "--force", "trap")


def test_pause(env):
    isle = env.daemon.isle
    isle("launch", "busybox", "ticker", "--", "sh", "-c", "while :; do echo tick; sleep 0.05; done")
    isle("pause", "ticker")
    assert env.daemon.status("ticker") == "Frozen"
    time.sleep(0.2)
    before = isle("logs", "ticker").out
    time.sleep(0.4)
    assert isle("logs", "ticker").out == before
    isle("resume", "ticker")
    time.sleep(0.4)
    assert len(isle("logs", "ticker").out) > len(before)


def test_isolation(env):
    isle = env.daemon.isle
    text = isle("run", "--rm", "busybox", "sh", "-c",
                "cat /proc/self/uid_map; grep -E 'NoNewPrivs|Seccomp:|CapEff|CapInh' /proc/self/status; "
                "cat /proc/kcore 2>&1 | head -c1; echo x > /proc/sys/kernel/hostname; mount -t tmpfs t /tmp; "
                "ls /proc | grep -c '^[0-9]'").out
    assert "       0 " in text and "NoNewPrivs:\t1" in text and "Seccomp:\t2" in text, text
    assert "CapInh:\t0000000000000000" in text and "CapEff:\t00000000a80425fb" in text, text


def test_limits_change_while_running(env):
    isle = env.daemon.isle
    isle("launch", "-m", "64MiB", "--pids-limit", "50", "busybox", "small", "--", "sleep", "1000")
    assert isle("exec", "small", "--", "sh", "-c", "head -c 100000000 /dev/zero | tail >/dev/null", check=False).code != 0
    isle("config", "set", "small", "limits.memory=512MiB")
    isle("exec", "small", "--", "sh", "-c", "head -c 100000000 /dev/zero | tail >/dev/null")


def test_out_of_memory_is_said(env):
    isle = env.daemon.isle
    result = isle("run", "--name", "hungry", "-m", "32MiB", "busybox", "sh", "-c", "head -c 300000000 /dev/zero | tail", check=False)
    assert result.code != 0, result
    assert env.daemon.status("hungry") == "Stopped"


def test_restart_policy(env):
    isle = env.daemon.isle
    isle("launch", "--restart", "on-failure:3", "busybox", "failing", "--", "sh", "-c", "echo run; exit 1")
    end = time.monotonic() + 15
    while time.monotonic() < end and isle("logs", "failing").out.count("run") < 4:
        time.sleep(0.2)
    time.sleep(1.5)
    assert isle("logs", "failing").out.count("run") == 4, isle("logs", "failing")
    assert env.daemon.status("failing") == "Stopped"


def test_volumes_and_binds(env):
    isle = env.daemon.isle
    shared = env.folder / "shared"
    shared.mkdir()
    (shared / "file").write_text("from the host")
    isle("run", "--rm", "-v", "data:/data", "busybox", "sh", "-c", "echo kept > /data/x; chown 1000 /data/x")
    assert isle("run", "--rm", "-v", "data:/data:ro", "busybox", "sh", "-c", "cat /data/x; stat -c %u /data/x; touch /data/y", check=False).out == "kept\n1000\n"
    assert isle("run", "--rm", "-v", f"{shared}:/s:ro", "busybox", "cat", "/s/file").out == "from the host"
    assert isle("volume", "delete", "data").code == 0


def test_bad_input_changes_nothing(env):
    isle = env.daemon.isle
    for name in ("-x", "a b", "ü", "a" * 64, "a/b", "1a", "a-"):
        assert isle("create", f"--name={name}", "busybox", check=False).code != 0, name
    bad = isle("create", "-c", "limits.memroy=1GiB", "busybox", check=False)
    assert bad.code != 0 and "limits.memroy" in bad.err, bad
    bad = isle("create", "-m", "-5", "busybox", check=False)
    assert bad.code != 0
    assert env.daemon.names() == []


def test_rename_and_format(env):
    isle = env.daemon.isle
    isle("create", "--name", "first", "busybox", "true")
    isle("rename", "first", "second")
    assert env.daemon.names() == ["second"]
    assert json.loads(isle("list", "--format", "json").out)[0]["name"] == "second"
    assert "second" in isle("list", "--format", "csv").out and "second" in isle("list", "--format", "yaml").out
    again = isle("create", "--name", "second", "busybox", "true", check=False)
    assert again.code != 0 and "exists already" in again.err, again


def test_terminal(env):
    import pexpect_lite
    code, text = pexpect_lite.dialog(env.daemon, ["run", "--rm", "-it", "busybox", "sh"],
                                     [(b"# ", b"tty; stty size; exit 4\n")], rows=33, columns=101)
    assert code == 4 and b"/dev/pts/0" in text or b"/dev/console" in text, (code, text)
    assert b"33 101" in text, text
