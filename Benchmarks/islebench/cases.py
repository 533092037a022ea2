"""What is measured. Every case takes the environment and hands its rows in; targets are milliseconds or kilobytes."""
import statistics
import subprocess
import time

from . import peers
from .barequemu import BareQEMU
from .measure import Failure, memory, ratio, side_by_side, timed

# Ends at once when it is asked to, which PID 1 does only with a handler of its own.
POLITE = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done"]


def compare(bench, results, case, label, count, ours, others=None, target=None, factor=None, warm_up=2):
    """Measures, and adds a row for Isle and one for every peer. `count` is for a full and for a quick run."""
    samples, theirs, dropped = side_by_side(count[bench.quick], warm_up, ours, others or {})
    results.dropped.update(dropped)
    ratios = {name: ratio(samples, values) for name, values in theirs.items()}
    results.add(case, label, samples, target=target, factor=factor,
                ratio=next(iter(ratios.values()), None) if factor else None)
    for name, values in theirs.items():
        results.add(case, name, values, ratio=ratios[name], is_peer=True)


def spawn(bench, results):
    compare(bench, results, "spawn", "starting a process (in every row below)", (50, 10),
            lambda: timed(["/bin/busybox", "true"]))


def run(bench, results):
    others = {f"{name} run, bridge": start for name, start in peers.engines(bench).items()}
    compare(bench, results, "run", "run --rm busybox true, bridge", (40, 8),
            lambda: bench.isle("run", "--rm", "busybox", "true"), others, target=60)


def run_none(bench, results):
    others = {}
    crun = peers.crun(bench)
    if crun:
        others["crun run, user namespace, no seccomp"] = crun.run(True)
        others["crun run, no user namespace, no seccomp"] = crun.run(False)
    for name, start in peers.engines(bench).items():
        others[f"{name} run, no network"] = lambda start=start: start("--network", "none")
    compare(bench, results, "run-none", "run --rm --net none busybox true", (40, 8),
            lambda: bench.isle("run", "--rm", "--net", "none", "busybox", "true"), others, target=45)


def exec_true(bench, results):
    bench.isle("launch", "busybox", "target", "--", "sleep", "100000")
    crun = peers.crun(bench)
    others = {"crun exec": crun.exec(bench)} if crun else {}
    compare(bench, results, "exec", "exec C true", (40, 8), lambda: bench.isle("exec", "target", "true"), others,
            target=30)


def stop(bench, results):
    parts = {"launch": [], "stop": [], "delete": []}
    for _ in range((20, 4)[bench.quick] + 1):
        parts["launch"].append(bench.isle("launch", "busybox", "ending", "--", *POLITE))
        bench.isle("exec", "ending", "true")
        time.sleep(0.05)
        parts["stop"].append(bench.isle("stop", "ending"))
        parts["delete"].append(bench.isle("delete", "ending"))
    values = {name: samples[1:] for name, samples in parts.items()}
    results.add("stop", "launch of an application returns", values["launch"])
    results.add("stop", "stop + delete of an application", [a + b for a, b in zip(values["stop"], values["delete"])],
                target=50, note=f"stop {1000 * statistics.median(values['stop']):.0f}, "
                                f"delete {1000 * statistics.median(values['delete']):.0f}")


def system(bench, results):
    returned, running = [], []
    for turn in range((8, 2)[bench.quick] + 1):
        start = time.perf_counter()
        seconds = bench.isle("launch", "--system", bench.debian, "box")
        while True:
            # --wait waits for the end of the boot, but fails while systemd does not listen yet.
            try:
                bench.isle("exec", "box", "--", "systemctl", "is-system-running", "--wait", "--quiet")
                break
            except Failure as failure:
                if time.perf_counter() - start > 60:
                    raise Failure(f"systemd does not get to running within 60 s: {failure}") from failure
                time.sleep(0.01)
        if turn:
            returned.append(seconds)
            running.append(time.perf_counter() - start)
        bench.isle("delete", "--force", "box")
    results.add("system", "launch of a Debian system container returns", returned, target=120)
    results.add("system", "… systemctl is-system-running", running, target=1200)


def machine(bench, results):
    boot(bench, results, "busybox", ["--", "sleep", "100000"], "vm-program", (5, 1))
    if bench.debian:
        boot(bench, results, bench.debian, [], "vm-debian", (3, 1))


def boot(bench, results, image, program, name, count):
    def launch():
        start = time.perf_counter()
        bench.isle("launch", "--vm", image, name, *program)
        bench.isle("exec", name, "true", timeout=240)
        return time.perf_counter() - start

    def once():
        seconds = launch()
        bench.isle("delete", "--force", name)
        return seconds

    launch()  # Makes the base disk, and shows how QEMU is started.
    bare = BareQEMU(bench, name)
    bench.isle("delete", "--force", name)
    what = "busybox" if image == "busybox" else "Debian"
    compare(bench, results, "machine", f"machine of {what} until exec works", count, once,
            {f"bare QEMU of {what} until its agent answers": bare.once}, factor=1.3, warm_up=0)


def module(bench, results):
    compare(bench, results, "module", "run --rm hello.wasm, compiled before", (40, 8),
            lambda: bench.isle("run", "--rm", bench.wasm), peers.modules(bench), target=25)


def listing(bench, results):
    compare(bench, results, "list", "list of 0 instances", (40, 10), lambda: bench.isle("list"), target=10)
    names = [f"many-{number}" for number in range(200)]
    for name in names:
        bench.isle("create", "--name", name, "busybox", "true")
    compare(bench, results, "list", "list of 200 instances", (40, 10), lambda: bench.isle("list"), target=30)
    bench.isle("delete", "--force", *names)


def sequential(bench, results):
    count = (50, 20)[bench.quick]
    launches, deletes = [], []
    bench.isle("run", "--rm", "busybox", "true")
    for number in range(count):
        launches.append(bench.isle("launch", "busybox", f"one-{number}", "--", "sleep", "100000"))
        deletes.append(bench.isle("delete", "--force", f"one-{number}"))
    for label, samples in (("launch", launches), ("delete --force", deletes)):
        first, last = samples[:10], samples[-10:]
        results.add("sequential", f"{count} one after another: {label}, first ten", first)
        results.add("sequential", f"{count} one after another: {label}, last ten", last, factor=1.2,
                    ratio=statistics.median(last) / statistics.median(first), note="ratio to the first ten")


def parallel(bench, results):
    count = (50, 20)[bench.quick]
    names = [f"both-{number}" for number in range(count)]
    start = time.perf_counter()
    clients = [bench.daemon.background("launch", "busybox", name, "--", "sleep", "100000") for name in names]
    try:
        errors = [client.communicate(timeout=180)[1].decode().strip() for client in clients]
    except subprocess.TimeoutExpired as expired:
        raise Failure(f"{count} parallel launches take over 180 s") from expired
    finally:
        for client in clients:
            if client.poll() is None:
                client.kill()
                client.wait()
    seconds = time.perf_counter() - start
    failed = [error for client, error in zip(clients, errors) if client.returncode != 0]
    if failed:
        raise Failure(f"{len(failed)} of {count} parallel launches failed: {failed[0]}")
    shims(bench, results, "memory of a shim, private (application)", "parallel")
    deletion = bench.isle("delete", "--force", *names)
    results.add("parallel", f"{count} parallel launches, all of them", [seconds],
                note=f"{1000 * seconds / count:.0f} ms each; all succeeded")
    results.add("parallel", f"delete --force of {count} in one command", [deletion])


def shims(bench, results, label, case="memory"):
    values = [memory(pid)["private"] for pid in bench.shims()]
    if not values:
        raise Failure("no shim runs")
    results.add(case, label, values, unit="KiB", target=1024)


def idle(bench, results):
    """The daemon after a restart, and what it has after work."""
    pid = bench.daemon.process.pid
    after = memory(pid)
    bench.daemon.stop()
    bench.daemon.start()
    time.sleep(2)
    fresh = memory(bench.daemon.process.pid)
    results.add("memory", "memory of the daemon, RSS, just started", [fresh["rss"]], unit="KiB", target=50 * 1024,
                note=f"private {fresh['private']}")
    results.add("memory", "memory of the daemon, RSS, after all of this", [after["rss"]], unit="KiB",
                note=f"private {after['private']}")
    bench.isle("launch", "busybox", "program", "--", "sleep", "100000")
    shims(bench, results, "memory of a shim, private (application)")
    bench.isle("delete", "--force", "program")
    if bench.debian:
        bench.isle("launch", "--system", bench.debian, "box")
        shims(bench, results, "memory of a shim, private (system container)")


CASES = {"spawn": spawn, "run": run, "run-none": run_none, "exec": exec_true, "stop": stop, "module": module,
         "list": listing, "system": system, "sequential": sequential, "parallel": parallel, "machine": machine,
         "memory": idle}
