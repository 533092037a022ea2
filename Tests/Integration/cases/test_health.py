"""Health tests that the daemon runs inside instances."""
import time


def health(env, name):
    for item in env.daemon.json("list"):
        if item["name"] == name:
            return item.get("health")
    return None


def wait_health(env, name, status, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        state = health(env, name)
        if state and state["status"] == status:
            return state
        time.sleep(0.05)
    raise AssertionError(f"{name} is {state}, not {status}\n{env.daemon.log_tail(12)}")


def launch(env, name, command, *options, program="sleep 1000"):
    env.daemon.isle("launch", "--health-cmd", command, "--health-interval", "100ms", *options, "busybox", name, "--", "sh", "-c", program)


def test_it_becomes_healthy_and_unhealthy_and_healthy(env):
    isle = env.daemon.isle
    launch(env, "web", "test -e /tmp/well && echo fine", "--health-retries", "2")
    state = wait_health(env, "web", "unhealthy")
    assert state["failing_streak"] >= 2 and state["log"][-1]["exit_code"] == 1, state
    assert "Running (unhealthy)" in isle("list").out
    isle("exec", "web", "touch", "/tmp/well")
    state = wait_health(env, "web", "healthy")
    assert state["log"][-1]["output"] == "fine\n" and len(state["log"]) <= 5, state
    assert "healthy" in isle("info", "web").out
    # A new daemon goes on where the last one was.
    env.daemon.kill()
    env.daemon.start()
    assert health(env, "web")["status"] == "healthy"
    isle("exec", "web", "rm", "/tmp/well")
    wait_health(env, "web", "unhealthy")
    isle("stop", "--force", "web")
    assert health(env, "web") is None


def test_slow_tests_are_ended_and_never_overlap(env):
    isle = env.daemon.isle
    launch(env, "slow", "echo x >>/tmp/runs; sleep 50", "--health-timeout", "300ms", "--health-retries", "1")
    state = wait_health(env, "slow", "unhealthy")
    assert state["log"][-1]["exit_code"] == -1 and "timeout" in state["log"][-1]["output"], state
    time.sleep(1)
    left = isle("exec", "slow", "--", "sh", "-c", "ps | grep -c 'sleep 5[0]'", check=False)
    assert int(left.out) <= 1, left


def test_start_period_and_actions(env):
    isle = env.daemon.isle
    launch(env, "early", "false", "--health-start-period", "1h", "--health-start-interval", "50ms", "--health-retries", "1")
    time.sleep(1)
    assert health(env, "early")["status"] == "starting" and health(env, "early")["log"], health(env, "early")
    launch(env, "again", "test ! -e /tmp/bad", "--health-retries", "1", "--health-on-failure", "restart", "--stop-timeout", "1")
    wait_health(env, "again", "healthy")
    first = isle("exec", "again", "--", "cat", "/proc/1/stat").out.split()[21]
    isle("exec", "again", "touch", "/tmp/bad")
    end = time.monotonic() + 20
    while time.monotonic() < end:
        now = isle("exec", "again", "--", "cat", "/proc/1/stat", check=False)
        if now.code == 0 and now.out.split()[21] != first:
            break
        time.sleep(0.1)
    else:
        raise AssertionError("it was not restarted")
    launch(env, "ending", "false", "--health-retries", "1", "--health-on-failure", "stop", "--stop-timeout", "1")
    env.daemon.wait_status("ending", "Stopped")


def test_bad_values(env):
    for arguments in (["-c", "health.test=[]"], ["-c", "health.test=nonsense"], ["--health-interval", "soon", "--health-cmd", "true"]):
        refused = env.daemon.isle("create", *arguments, "busybox", check=False)
        assert refused.code == 1 and "health." in refused.err, (arguments, refused)
