"""Debian's `lxc` against the daemon: interfaces on no managed network. Behind the host's `lan0` is another computer."""
import contextlib
import json
import subprocess
import tempfile
import time

from isletest.waiting import until
from test_lxc_access import Lxc, launch
from test_machine_devices import FAST, busybox_system, sh


def ip(env, *arguments, at=None, check=True):
    space = ["nsenter", f"--net=/run/netns/{at}", "--"] if at else env.namespace.command()
    done = subprocess.run([*space, "ip", *arguments], capture_output=True, text=True)
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout


@contextlib.contextmanager
def lan(env):
    """Gives the name of the other computer's namespace: 192.0.2.2, the host is 192.0.2.1."""
    other = env.namespace.name + "-lan"
    subprocess.run(["ip", "netns", "add", other], check=True)
    try:
        ip(env, "link", "add", "lan0", "type", "veth", "peer", "name", "lan0", "netns", other)
        for at, address in ((None, "192.0.2.1/24"), (other, "192.0.2.2/24")):
            ip(env, "addr", "add", address, "dev", "lan0", at=at)
            ip(env, "link", "set", "lan0", "up", at=at)
        yield other
    finally:
        ip(env, "link", "delete", "lan0", check=False)
        subprocess.run(["ip", "netns", "delete", other], check=True)


def reaches(address, at):
    return subprocess.run(["nsenter", f"--net=/run/netns/{at}", "--", "busybox", "ping", "-c", "1", "-W", "1", address],
                          stdout=subprocess.DEVNULL).returncode == 0


def inside(env, name, script, check=True):
    return env.daemon.isle("exec", name, "--", "sh", "-c", script, check=check)


def test_macvlan(env):
    lxc = Lxc(env)
    with lan(env) as other:
        launch(env, "c1", "-c", "security.capabilities.add=CAP_NET_ADMIN")
        lxc.run("config", "device", "add", "c1", "eth1", "nic", "nictype=macvlan", "parent=lan0")
        inside(env, "c1", "ip addr add 192.0.2.50/24 dev eth1 && ip link set eth1 up")
        assert reaches("192.0.2.50", other)
        # What it gave itself is shown, with its traffic.
        assert "192.0.2.50 (eth1)" in lxc.out("list", "-f", "csv", "-c", "4")
        state = json.loads(lxc.out("query", "/1.0/instances/c1/state"))["network"]["eth1"]
        assert state["counters"]["packets_received"] > 0 and state["type"] == "broadcast" and state["mtu"] == 1500, state
        mac = state["hwaddr"]
        assert json.loads(lxc.out("query", "/1.0/instances/c1"))["config"]["volatile.eth1.hwaddr"] == mac
        assert "lo" in json.loads(lxc.out("query", "/1.0/instances/c1/state"))["network"]
        # Other changes leave it alone; the daemon's death as well; then it goes while the container runs.
        lxc.run("config", "set", "c1", "user.note", "x")
        env.daemon.kill()
        env.daemon.start()
        assert reaches("192.0.2.50", other)
        lxc.run("config", "device", "remove", "c1", "eth1")
        assert "eth1" not in inside(env, "c1", "ip link").out
        assert not reaches("192.0.2.50", other)
        # From the start on.
        lxc.run("config", "device", "add", "c1", "eth1", "nic", "nictype=macvlan", "parent=lan0", "mtu=1400",
                "hwaddr=00:16:3e:00:00:99", "name=wan")
        lxc.run("restart", "--force", "c1")
        link = inside(env, "c1", "ip link show wan").out
        assert "mtu 1400" in link and "00:16:3e:00:00:99" in link, link
        lxc.run("stop", "--force", "c1")
        lxc.run("config", "device", "set", "c1", "eth1", "parent", "lan9")
        assert "no interface 'lan9'" in lxc.fails("start", "c1")
        for keys, word in ((("parent=lan0", "vlan=5"), "'vlan'"), ((), "'parent'"), (("parent=lan0", "host_name=x"), "host_name")):
            assert word in lxc.fails("config", "device", "add", "c1", "eth9", "nic", "nictype=macvlan", *keys), keys


def test_p2p(env):
    lxc = Lxc(env)
    launch(env, "c1", "-c", "security.capabilities.add=CAP_NET_ADMIN")
    lxc.run("config", "device", "add", "c1", "wire", "nic", "nictype=p2p", "host_name=wire0", "mtu=1300",
            "ipv4.routes=10.60.0.0/24")
    assert "mtu 1300" in ip(env, "link", "show", "wire0")
    assert "10.60.0.0/24 dev wire0" in ip(env, "route")
    ip(env, "addr", "add", "10.60.1.1/32", "dev", "wire0")
    inside(env, "c1", "ip addr add 10.60.0.2/24 dev wire && ip route add 10.60.1.1 dev wire")
    assert inside(env, "c1", "ping -c 1 -W 2 10.60.1.1", check=False).code == 0
    state = json.loads(lxc.out("query", "/1.0/instances/c1/state"))["network"]["wire"]
    assert state["host_name"] == "wire0" and state["counters"]["bytes_sent"] > 0, state
    listed = lxc.json("list")[0]
    assert listed["state"]["network"]["wire"]["counters"]["bytes_sent"] > 0, listed["state"]
    assert listed["state"]["network"]["eth0"]["host_name"].startswith("isle"), listed["state"]
    lxc.run("config", "device", "set", "c1", "wire", "host_name", "wire1")
    assert "wire0" not in env.namespace.links() and "wire1" in env.namespace.links()
    # A daemon that dies while the container ends takes the rest away when it comes back.
    pid = json.loads(lxc.out("query", "/1.0/instances/c1/state"))["pid"]
    env.daemon.kill()
    subprocess.run(["kill", "-9", str(pid)], check=True)
    env.daemon.start()
    until(lambda: "wire1" not in env.namespace.links())


def test_routed(env):
    lxc = Lxc(env)
    with lan(env) as other:
        env.daemon.isle("create", "--name", "c1", "--net", "none", "busybox", "sleep", "600")
        lxc.run("config", "device", "add", "c1", "wan", "nic", "nictype=routed", "name=eth0", "parent=lan0", "ipv4.address=192.0.2.77,192.0.2.78",
                "host_name=routed0")
        ip(env, "link", "set", "lan0", "up")
        subprocess.run(env.namespace.command("sysctl", "-qw", "net.ipv4.conf.lan0.forwarding=0"), check=True)
        assert "net/ipv4/conf/lan0/forwarding=1" in lxc.fails("start", "c1")
        subprocess.run(env.namespace.command("sysctl", "-qw", "net.ipv4.conf.lan0.forwarding=1"), check=True)
        lxc.run("start", "c1")
        assert reaches("192.0.2.77", other) and reaches("192.0.2.78", other)
        assert inside(env, "c1", "ping -c 1 -W 2 192.0.2.2", check=False).code == 0
        assert "default via 169.254.0.1" in inside(env, "c1", "ip route").out
        assert "192.0.2.77 (eth0)" in lxc.out("list", "-f", "csv", "-c", "4")
        lxc.run("copy", "c1", "c2")
        assert "192.0.2.77 belongs to instance c1" in lxc.fails("start", "c2")
        lxc.run("config", "device", "set", "c2", "wan", "ipv4.address=192.0.2.2", "host_name=routed1")
        assert "is in use on the network of lan0" in lxc.fails("start", "c2")
        lxc.run("config", "device", "set", "c1", "wan", "ipv4.address=192.0.2.79")
        assert reaches("192.0.2.79", other) and not reaches("192.0.2.77", other)
        lxc.run("stop", "--force", "c1")
        assert "routed0" not in env.namespace.links() and "192.0.2.79" not in ip(env, "neigh", "show", "proxy")
        assert not [table for table in env.namespace.tables() if "isle_nic" in table]


def test_projects_restrict_interfaces(env):
    lxc = Lxc(env)
    lxc.run("project", "create", "narrow", "-c", "restricted=true", "-c", "features.images=false", "-c", "features.profiles=false")
    try:
        env.daemon.isle("--project", "narrow", "create", "--name", "c1", "busybox", "sleep", "600")
        add = ("--project", "narrow", "config", "device", "add", "c1", "eth9", "nic")
        for keys in (("nictype=macvlan", "parent=lan0"), ("nictype=p2p",), ("nictype=routed", "parent=lan0", "ipv4.address=192.0.2.7")):
            assert "restricted.devices.nic" in lxc.fails(*add, *keys), keys
        lxc.run("project", "set", "narrow", "restricted.devices.nic", "allow")
        lxc.run("project", "set", "narrow", "restricted.networks.access", env.daemon.bridge)
        assert "restricted.networks.access" in lxc.fails(*add, "nictype=macvlan", "parent=lan0")
        lxc.run(*add, "nictype=p2p")
    finally:
        env.daemon.isle("--project", "narrow", "delete", "--force", "c1", check=False)
        lxc.run("project", "delete", "narrow")


def test_machine(env):
    image = busybox_system(env)
    with lan(env) as other:
        env.daemon.isle("create", "--vm", "--name", "vm", "-m", "256MiB", *FAST, "-D", "wan,type=nic,nictype=macvlan,parent=lan0",
                        "-D", "wire,type=nic,nictype=p2p,host_name=vmwire", image)
        env.daemon.isle("start", "vm", timeout=120)
        until(lambda: len(sh(env, "vm", "ls -d /sys/class/net/e*", check=False).out.split()) == 3)
        mac = json.loads(Lxc(env).out("query", "/1.0/instances/vm"))["config"]["volatile.wan.hwaddr"]
        device = sh(env, "vm", f"grep -l {mac} /sys/class/net/*/address").out.strip().split("/")[4]
        sh(env, "vm", f"ip addr add 192.0.2.60/24 dev {device} && ip link set {device} up")
        until(lambda: reaches("192.0.2.60", other))
        env.daemon.isle("config", "device", "remove", "vm", "wire")
        assert "vmwire" not in env.namespace.links()
        env.daemon.isle("delete", "--force", "vm")


def test_limits(env):
    """Least times alone are asserted: that it is not faster than the limit."""
    lxc = Lxc(env)
    launch(env, "c1")
    inside(env, "c1", "mkdir -p /www && dd if=/dev/zero of=/www/data bs=1M count=4 2>/dev/null && busybox httpd -h /www")
    state = json.loads(lxc.out("query", "/1.0/instances/c1/state"))["network"]["eth0"]
    address = next(found["address"] for found in state["addresses"] if found["family"] == "inet")
    gateway = address.rsplit(".", 1)[0] + ".1"

    def seconds(command):
        start = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
        return time.monotonic() - start

    fetch = [*env.namespace.command(), "busybox", "wget", "-q", "-O", "/dev/null", f"http://{address}/data"]
    until(lambda: subprocess.run(fetch, stderr=subprocess.DEVNULL).returncode == 0)
    lxc.run("config", "device", "override", "c1", "eth0", "limits.egress=8Mbit")
    assert seconds(fetch) > 2
    # The interface stayed as it was.
    assert json.loads(lxc.out("query", "/1.0/instances/c1/state"))["network"]["eth0"]["host_name"] == state["host_name"]
    lxc.run("config", "device", "unset", "c1", "eth0", "limits.egress")
    lxc.run("config", "device", "set", "c1", "eth0", "limits.ingress=8Mbit")
    with tempfile.TemporaryDirectory() as folder:
        with open(folder + "/data", "wb") as file:
            file.write(bytes(4 << 20))
        server = subprocess.Popen([*env.namespace.command(), "busybox", "httpd", "-f", "-p", f"{gateway}:8000", "-h", folder])
        try:
            load = f"busybox wget -q -O /dev/null http://{gateway}:8000/data"
            until(lambda: inside(env, "c1", load, check=False).code == 0)
            start = time.monotonic()
            inside(env, "c1", load)
            assert time.monotonic() - start > 2
        finally:
            server.terminate()
            server.wait()
    # The same after a restart, and refused where it cannot be.
    lxc.run("restart", "-f", "c1")
    until(lambda: json.loads(lxc.out("query", "/1.0/instances/c1/state"))["network"]["eth0"]["host_name"])
    link = json.loads(lxc.out("query", "/1.0/instances/c1/state"))["network"]["eth0"]["host_name"]
    shown = subprocess.run([*env.namespace.command(), "tc", "qdisc", "show", "dev", link], capture_output=True, text=True)
    assert "tbf" in shown.stdout and "8Mbit" in shown.stdout, shown
    for setting, word in (("limits.ingress=fast", "limits.ingress"), ("security.mac_filtering=perhaps", "mac_filtering"),
                          ("limits.sideways=1Mbit", "limits.sideways")):
        refused = lxc.run("config", "device", "set", "c1", "eth0", setting, check=False)
        assert refused.returncode != 0 and word in refused.stderr, refused
    lxc.run("delete", "-f", "c1")


def test_filters_and_isolation(env):
    lxc = Lxc(env)
    admin = ["-c", "security.capabilities.add=CAP_NET_ADMIN"]
    for name in ("c1", "c2"):
        launch(env, name, *admin)
        lxc.run("config", "device", "override", name, "eth0", "security.ipv4_filtering=true", "security.port_isolation=true",
                f"host_name=host-{name}", "mtu=1400")

    def address(name):
        state = json.loads(lxc.out("query", f"/1.0/instances/{name}/state"))["network"]["eth0"]
        assert state["host_name"] == f"host-{name}" and state["mtu"] == 1400, state
        return next(found["address"] for found in state["addresses"] if found["family"] == "inet")

    def pings(name, target, *options):
        return inside(env, name, f"busybox ping -c 1 -W 1 {' '.join(options)} {target}", check=False).code == 0

    one, two = address("c1"), address("c2")
    gateway = one.rsplit(".", 1)[0] + ".1"
    assert pings("c1", gateway) and not pings("c1", two)
    lxc.run("config", "device", "unset", "c2", "eth0", "security.port_isolation")
    assert pings("c1", two)
    inside(env, "c1", f"ip addr add {one.rsplit('.', 1)[0]}.250/24 dev eth0")
    assert not pings("c1", gateway, "-I", one.rsplit(".", 1)[0] + ".250")
    inside(env, "c1", "ip link set eth0 address 00:16:3e:11:22:33")
    assert not pings("c1", gateway)
    lxc.run("delete", "-f", "c1", "c2")
