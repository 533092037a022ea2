"""Machines that are stopped with their memory kept."""
import re
import time


def ticks(env):
    return [int(number) for number in re.findall(r"tick (\d+)", env.daemon.isle("logs", "clock").out)]


def wait_ticks(env, count, seconds=300):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if len(ticks(env)) >= count:
            return ticks(env)
        time.sleep(0.3)
    raise AssertionError(f"fewer than {count} ticks: {env.daemon.isle('logs', 'clock').out[-1000:]}")


def test_stop_keeps_memory(env):
    env.need("kernel")
    isle = env.daemon.isle
    script = "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.5; done"
    isle("launch", "--vm", "busybox", "clock", "-m", "256MiB", "--", "sh", "-c", script, timeout=300)
    wait_ticks(env, 4)
    isle("stop", "--stateful", "clock", timeout=300)
    env.daemon.wait_status("clock", "Stopped")
    assert any(item["name"] == "clock" and item["stateful"] for item in env.daemon.json("list"))
    state = next((env.daemon.state / "instances").rglob("memory.state"))
    assert state.stat().st_mode & 0o777 == 0o600
    before = len(ticks(env))
    # A daemon that was away meanwhile changes nothing.
    env.daemon.stop()
    env.daemon.start()
    isle("start", "clock", timeout=300)
    after = wait_ticks(env, before + 3)
    assert after == list(range(1, len(after) + 1)), f"it counts on, and does not begin anew: {after}"
    assert not state.exists(), "a state is used once"
    isle("stop", "--stateful", "clock", timeout=300)
    before = len(ticks(env))
    isle("start", "--stateless", "clock", timeout=300)
    again = wait_ticks(env, before + 2)
    assert again.count(1) == 2, f"without its state it begins anew: {again}"
    assert not list((env.daemon.state / "instances").rglob("memory.state"))
    isle("delete", "--force", "clock")
    refused = isle("launch", "busybox", "plain", "--", "sleep", "1000")
    refused = isle("stop", "--stateful", "plain", check=False)
    assert refused.code != 0 and "state" in refused.err, refused
    assert env.daemon.status("plain") == "Running"


def test_snapshot_keeps_memory(env):
    env.need("kernel")
    isle = env.daemon.isle
    script = "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.5; done"
    isle("launch", "--vm", "busybox", "clock", "-m", "256MiB", "--", "sh", "-c", script, timeout=300)
    wait_ticks(env, 4)
    isle("snapshot", "create", "--stateful", "clock", "then", timeout=120)
    kept = len(ticks(env))
    isle("snapshot", "create", "clock", "plain", timeout=120)
    shown = {item["name"]: item["stateful"] for item in env.daemon.json("snapshot", "list", "clock")}
    assert shown == {"then": True, "plain": False}, shown
    states = list((env.daemon.state / "instances").rglob("memory-*.state"))
    assert len(states) == 1 and states[0].stat().st_mode & 0o777 == 0o600, states
    before = wait_ticks(env, kept + 4)
    assert before == list(range(1, len(before) + 1)), f"it went on after the snapshot: {before}"
    refused = isle("snapshot", "restore", "--stateful", "clock", "plain", check=False)
    assert refused.code != 0 and "holds no memory" in refused.err, refused
    assert env.daemon.status("clock") == "Running"
    # Twice: the snapshot is not used up.
    for _ in range(2):
        before = len(ticks(env))
        isle("snapshot", "restore", "--stateful", "clock", "then", timeout=120)
        # Until it is stopped it counts on.
        after = wait_ticks(env, before + 6)[before:]
        back = next((i for i in range(1, len(after)) if after[i] < after[i - 1]), 0)
        assert kept - 1 <= after[back] <= kept + 2, f"it goes on from the snapshot (about {kept}): {after}"
    # A copy has the snapshot without its memory.
    isle("stop", "--force", "clock")
    isle("copy", "clock", "second", timeout=120)
    assert not any(item["stateful"] for item in env.daemon.json("snapshot", "list", "second"))
    isle("snapshot", "delete", "clock", "then")
    assert not list((env.daemon.state / "instances").rglob("memory-*.state"))
    isle("start", "clock", timeout=120)
    refused = isle("snapshot", "create", "--stateful", "second", check=False)
    assert refused.code != 0 and "does not run" in refused.err, refused
    isle("delete", "--force", "clock", "second")
