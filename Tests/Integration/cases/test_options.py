"""What docker run can ask of a container."""
import time


def run(env, *arguments, command, check=True):
    return env.daemon.isle("run", "--rm", *arguments, "busybox", "sh", "-c", command, check=check)


def test_limits_of_the_kernel_and_sysctls(env):
    result = run(env, "--ulimit", "nofile=100:200", "--ulimit", "nproc=64", "--sysctl", "net.core.somaxconn=77",
                 command="ulimit -Sn; ulimit -Hn; ulimit -u; cat /proc/sys/net/core/somaxconn")
    assert result.out.split() == ["100", "200", "64", "77"], result
    refused = run(env, "--sysctl", "kernel.panic=1", command="true", check=False)
    assert refused.code == 125 and "kernel.panic" in refused.err, refused
    refused = run(env, "--ulimit", "bogus=1", command="true", check=False)
    assert refused.code == 125 and "bogus" in refused.err, refused


def test_memory_filesystems(env):
    result = run(env, "--tmpfs", "/data:size=1m,mode=750", "--shm-size", "2m", "--read-only", command=
                 "mount | grep -E ' /data | /dev/shm '; stat -c %a /data; echo x >/data/f && cat /data/f; echo y >/file", check=False)
    assert "size=1024k" in result.out and "size=2048k" in result.out, result
    assert "noexec" in result.out and "750\nx\n" in result.out, result
    assert "Read-only" in result.err, result


def test_names_and_resolver(env):
    result = run(env, "--add-host", "db:10.1.2.3", "--add-host", "gw:host-gateway", "--dns", "9.9.9.9", "--dns-search", "corp.test",
                 "--dns-option", "ndots:3", "--domainname", "nis.test", command=
                 "cat /etc/hosts /etc/resolv.conf; cat /proc/sys/kernel/domainname")
    for line in ("10.1.2.3\tdb", "search corp.test", "nameserver 9.9.9.9", "options ndots:3", "nis.test"):
        assert line in result.out.splitlines(), (line, result)
    assert any(line.endswith("\tgw") for line in result.out.splitlines()), result


def test_init_reaps_passes_signals_and_codes(env):
    isle = env.daemon.isle
    # An orphan that ends is reaped: no zombie stays.
    result = run(env, "--init", command="(sleep 0.05 &) ; sleep 0.4; cat /proc/1/cmdline | tr '\\0' ' '; echo; ps -o stat | grep -c Z; exit 5",
                 check=False)
    assert result.code == 5, result
    assert result.out.splitlines()[0].startswith("/dev/isle-init sh -c"), result
    assert result.out.splitlines()[-1] == "0", result
    assert run(env, "--init", command="kill -9 $$", check=False).code == 137
    missing = isle("run", "--rm", "--init", "busybox", "no-such-program", check=False)
    assert missing.code == 127, missing
    isle("launch", "--init", "busybox", "initful", "--", "sh", "-c", "trap 'echo got; exit 0' TERM; while :; do sleep 0.05; done")
    time.sleep(0.3)
    start = time.monotonic()
    isle("stop", "initful")
    assert time.monotonic() - start < 5
    assert "got" in isle("logs", "initful").out


def test_devices(env):
    result = run(env, "--device", "/dev/zero:/dev/nought", command="head -c 4 /dev/nought | od -An -tx1; ls -ln /dev/nought")
    assert "00 00 00 00" in result.out and result.out.strip().endswith("/dev/nought"), result
    refused = run(env, "--device", "/dev/no-such-device", command="true", check=False)
    assert refused.code == 125 and "/dev/no-such-device" in refused.err, refused
    result = run(env, "--device", "/dev/kmsg:/dev/k:r", command="echo hello >/dev/k && echo written", check=False)
    assert "written" not in result.out, result


def test_groups_and_score(env):
    result = run(env, "--group-add", "extra", "--group-add", "4242", "--oom-score-adj", "300", command="id -G; cat /proc/self/oom_score_adj")
    assert result.out.split("\n")[0].split()[-2:] == ["2000", "4242"] and result.out.split()[-1] == "300", result


def test_shared_namespaces(env):
    isle = env.daemon.isle
    isle("launch", "--ipc", "shareable", "--hostname", "firsthost", "busybox", "first", "--", "sh", "-c", "echo secret >/dev/shm/f; sleep 1000")
    address = env.daemon.json("list")[0]["addresses"][0]
    result = run(env, "--network", "container:first", command="ip -4 addr show eth0; cat /etc/hosts")
    assert address in result.out and "firsthost" in result.out, result
    result = run(env, "--pid", "container:first", command="ps")
    assert "sleep 1000" in result.out, result
    result = run(env, "--ipc", "container:first", command="cat /dev/shm/f")
    assert result.out == "secret\n", result
    isle("launch", "--network", "container:first", "busybox", "second", "--", "sleep", "1000")
    assert address in isle("exec", "second", "--", "ip", "-4", "addr").out
    # As with Docker, the second goes on when the first ends.
    isle("stop", "--force", "first")
    assert env.daemon.status("second") == "Running"
    refused = run(env, "--network", "container:first", command="true", check=False)
    assert refused.code == 125 and "first" in refused.err, refused


def test_namespaces_of_the_host(env):
    result = run(env, "--pid", "host", command="ls -d /proc/[0-9]* | wc -l; readlink /proc/self/ns/pid")
    import os
    assert int(result.out.split()[0]) > 5 and result.out.split()[1] == os.readlink("/proc/self/ns/pid"), result
    result = run(env, "--ipc", "host", "--uts", "host", command="readlink /proc/self/ns/ipc; readlink /proc/self/ns/uts")
    assert result.out.split() == [os.readlink("/proc/self/ns/ipc"), os.readlink("/proc/self/ns/uts")], result
    result = run(env, "--userns", "host", command="cat /proc/self/uid_map; grep CapEff /proc/self/status; mknod /tmp/sda b 8 0 || echo refused")
    assert "4294967295" in result.out and "refused" in result.out, result


def test_memory_and_processor(env):
    isle = env.daemon.isle
    isle("launch", "-m", "64m", "--memory-swap", "96m", "--memory-reservation", "32m", "--cpu-shares", "512", "--cpuset-cpus", "0",
         "--cpu-quota", "20000", "--cpu-period", "50000", "busybox", "limited", "--", "sleep", "1000")
    config = env.daemon.json("info", "limited")["config"]
    assert config["limits.memory.swap"] == "33554432B" and config["limits.cpu"] == "0-0", config
    assert "Cpus_allowed_list:\t0\n" in isle("exec", "limited", "--", "cat", "/proc/self/status").out


def test_logs_none_and_refusals(env):
    isle = env.daemon.isle
    isle("launch", "--log-driver", "none", "busybox", "mute", "--", "sh", "-c", "echo hidden; sleep 1000")
    result = isle("logs", "mute", check=False)
    assert result.code == 1 and "logs.driver" in result.err, result
    for arguments in (["--cgroup-parent", "x"], ["--security-opt", "apparmor=x"], ["--add-host", "nonsense"], ["--memory-swap", "1g"]):
        refused = isle("run", "--rm", *arguments, "busybox", "true", check=False)
        assert refused.code != 0 and refused.err.count("Error") == 1, (arguments, refused)
