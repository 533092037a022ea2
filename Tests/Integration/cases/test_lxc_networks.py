"""Debian's `lxc` against the daemon: networks, their forwards, ACLs and DHCP."""
import json
import re
import subprocess
import sys

from isletest.waiting import until
from test_lxc_access import Lxc


def test_networks(env):
    lxc = Lxc(env)
    lxc.run("network", "create", "lab0", "ipv4.address=10.212.9.1/24", "ipv6.address=none")
    try:
        assert "lab0" in lxc.out("network", "list")
        lxc.run("network", "set", "lab0", "ipv4.nat", "false")
        lxc.run("network", "set", "lab0", "user.note", "hello")
        assert lxc.out("network", "get", "lab0", "ipv4.nat") == "false"
        assert "10.212.9.1" in lxc.out("network", "info", "lab0")
        env.daemon.isle("launch", "--net", "lab0", "busybox", "inlab", "--", "sleep", "600")
        address = re.search(r"10\.212\.9\.\d+", lxc.out("network", "list-leases", "lab0", "--format", "csv"))
        assert address, lxc.out("network", "list-leases", "lab0", "--format", "csv")
        assert "cannot change" in lxc.fails("network", "set", "lab0", "ipv4.address", "10.212.10.1/24")
        lxc.run("network", "set", "lab0", "ipv4.nat", "true")
        lxc.run("network", "forward", "create", "lab0", "192.0.2.7")
        lxc.run("network", "forward", "port", "add", "lab0", "192.0.2.7", "tcp", "8080", address[0], "80")
        assert "8080" in lxc.out("network", "forward", "show", "lab0", "192.0.2.7")
        rules = subprocess.run(env.namespace.command("nft", "list", "ruleset"), capture_output=True, text=True).stdout
        assert re.search(r"ip daddr 192\.0\.2\.7 tcp dport 8080 dnat ip to " + re.escape(address[0]) + ":80", rules), rules
        assert "is not one of network" in lxc.fails("network", "forward", "port", "add", "lab0", "192.0.2.7", "tcp", "81",
                                                    "10.1.1.1")
        lxc.run("network", "forward", "delete", "lab0", "192.0.2.7")
        # Lines of one's own for dnsmasq, at once; those that it does not take change nothing.
        lxc.run("network", "set", "lab0", "raw.dnsmasq", "address=/printer.lan/10.212.9.77")
        assert "10.212.9.77" in env.daemon.isle("exec", "inlab", "--", "nslookup", "printer.lan", check=False).out
        assert "bad option" in lxc.fails("network", "set", "lab0", "raw.dnsmasq", "no-such-option=1")
        assert lxc.out("network", "get", "lab0", "raw.dnsmasq") == "address=/printer.lan/10.212.9.77"
        assert "10.212.9.77" in env.daemon.isle("exec", "inlab", "--", "nslookup", "printer.lan", check=False).out
        lxc.run("network", "unset", "lab0", "raw.dnsmasq")
        assert "10.212.9.77" not in env.daemon.isle("exec", "inlab", "--", "nslookup", "printer.lan", check=False).out
    finally:
        env.daemon.isle("delete", "--force", "inlab", check=False)
        lxc.run("network", "rename", "lab0", "lab1")
        lxc.run("network", "delete", "lab1")


def test_bad_gateways_and_links_that_go_at_once(env):
    lxc = Lxc(env)
    for address in ("10.212.30.0/24", "10.212.30.255/24", "10.212.30.1/31", "127.0.0.1/8", "fd00::1/24"):
        key = "ipv6.address" if ":" in address else "ipv4.address"
        assert "gateway" in lxc.fails("network", "create", "lab3", f"{key}={address}")
    assert "lab3" not in lxc.out("network", "list")
    lxc.run("network", "create", "lab3", "ipv4.address=10.212.30.1/24", "ipv4.nat=")
    try:
        assert lxc.out("network", "get", "lab3", "ipv4.nat") == "true"
        env.daemon.isle("launch", "busybox", "plugged", "--", "sleep", "600")
        links = lambda: sorted(re.findall(r"^\d+: (\w+)", env.daemon.isle("exec", "plugged", "--", "ip", "link").out, re.M))
        for _ in range(3):
            lxc.run("network", "attach", "lab3", "plugged", "eth1")
            lxc.run("config", "device", "add", "plugged", "eth2", "nic", "network=lab3")
            assert links() == ["eth0", "eth1", "eth2", "lo"]
            lxc.run("network", "detach", "lab3", "plugged", "eth1")
            assert links() == ["eth0", "eth2", "lo"]
            lxc.run("config", "device", "remove", "plugged", "eth2")
            assert links() == ["eth0", "lo"]
        lxc.run("config", "device", "add", "plugged", "web", "proxy", "listen=tcp:127.0.0.1:7001", "connect=tcp:127.0.0.1:80")
        assert "listen on" in lxc.fails("config", "device", "add", "plugged", "web2", "proxy", "listen=tcp:127.0.0.1:7001",
                                        "connect=tcp:127.0.0.1:81")
        lxc.run("config", "device", "add", "plugged", "wire", "nic", "network=lab3", "host_name=labwire", "name=eth5")
        lxc.run("config", "device", "set", "plugged", "wire", "name=eth6")
        assert links() == ["eth0", "eth6", "lo"]
        lxc.run("config", "device", "remove", "plugged", "wire")
        assert "have the name" in lxc.fails("config", "device", "add", "plugged", "second", "nic", "network=lab3", "name=eth0")
    finally:
        env.daemon.isle("delete", "--force", "plugged", check=False)
        lxc.run("network", "delete", "lab3")


def test_interfaces_of_the_host(env):
    """They are shown as not managed, and are not changed."""
    lxc = Lxc(env)
    subprocess.run(env.namespace.command("ip", "link", "add", "other0", "type", "bridge"), check=True)
    try:
        listed = {network["name"]: network for network in lxc.json("network", "list")}
        assert listed["other0"]["managed"] is False and listed["lo"]["type"] == "loopback", listed
        assert listed[env.daemon.bridge]["managed"] is True
        assert "MTU" in lxc.out("network", "info", "other0")
        assert "managed: false" in lxc.out("network", "show", "other0")
        for command in (("set", "other0", "user.x", "y"), ("delete", "other0"), ("rename", "other0", "other1")):
            assert "only managed networks" in lxc.fails("network", *command).lower(), command
        assert "other0" not in env.daemon.isle("network", "list").out
    finally:
        subprocess.run(env.namespace.command("ip", "link", "delete", "other0"), check=True)


def test_network_acls(env):
    """The namespace is the host: what it sends to an instance is ingress, what an instance sends to it egress."""
    lxc = Lxc(env)
    lxc.run("network", "create", "walled", "ipv4.address=10.212.8.1/24", "ipv6.address=none",
            "ipv4.dhcp.ranges=10.212.8.50-10.212.8.60")
    lxc.run("network", "acl", "create", "web", "user.team=one")
    listener = subprocess.Popen(
        env.namespace.command(sys.executable, "-m", "http.server", "9000", "--bind", "0.0.0.0", "--directory", str(env.folder)),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        env.daemon.isle("launch", "--net", "walled", "busybox", "inside", "--", "sh", "-c",
                        "mkdir /www; echo page > /www/index.html; httpd -p 80 -h /www; httpd -f -p 81 -h /www")
        address = re.search(r"10\.212\.8\.\d+", lxc.out("network", "list-leases", "walled", "--format", "csv"))[0]
        assert 50 <= int(address.split(".")[3]) <= 60, address

        def into(port):
            return subprocess.run(env.namespace.command("curl", "-s", "--max-time", "3", f"http://{address}:{port}/"),
                                  capture_output=True).stdout == b"page\n"

        def out():
            return env.daemon.isle("exec", "inside", "--", "timeout", "3", "wget", "-q", "-O", "-", "http://10.212.8.1:9000/",
                                   check=False).code == 0

        until(lambda: into(80) and into(81) and out())
        lxc.run("network", "acl", "rule", "add", "web", "ingress", "action=allow", "protocol=tcp",
                "destination_port=80,8000-8010", "source=10.212.8.1,10.212.8.0/24", "description=pages")
        lxc.run("network", "set", "walled", "security.acls", "web")
        assert into(80) and not into(81) and not out()
        # Names are asked of the bridge, whatever the rules.
        assert "10.212.8.1" in env.daemon.isle("exec", "inside", "--", "nslookup", "inside").out
        lxc.run("network", "acl", "rule", "add", "web", "egress", "action=allow", "protocol=tcp", "destination_port=9000",
                "destination=10.212.8.1", "state=logged")
        assert into(80) and not into(81) and out()
        lxc.run("network", "acl", "rule", "add", "web", "egress", "action=drop", "destination=10.212.8.0-10.212.8.4")
        assert not out()
        lxc.run("network", "acl", "rule", "remove", "web", "egress", "action=drop")
        lxc.run("network", "set", "walled", "security.acls.default.ingress.action", "allow")
        assert into(81) and out()
        assert json.loads(lxc.out("query", "/1.0/network-acls/web"))["used_by"] == ["/1.0/networks/walled"]
        assert "is used by network walled" in lxc.fails("network", "acl", "delete", "web")
        assert "does not exist" in lxc.fails("network", "set", "walled", "security.acls", "web,nothing")
        assert "is not an address" in lxc.fails("network", "acl", "rule", "add", "web", "ingress", "action=allow", "source=@internal")
        assert "without the protocol" in lxc.fails("network", "acl", "rule", "add", "web", "ingress", "action=allow",
                                                   "destination_port=80")
        assert "not a list of ports" in lxc.fails("network", "acl", "rule", "add", "web", "ingress", "action=allow",
                                                  "protocol=tcp", "destination_port=99999")
        # A new daemon knows them, and the rules were there all the time.
        env.daemon.kill()
        assert into(80)
        env.daemon.start()
        lxc.run("network", "set", "walled", "security.acls.default.ingress.action", "reject")
        assert into(80) and not into(81)
        assert "web" in lxc.out("network", "acl", "list") and "pages" in lxc.out("network", "acl", "show", "web")
        lxc.run("network", "unset", "walled", "security.acls")
        until(lambda: into(81))
        lxc.run("network", "acl", "rename", "web", "pages")
    finally:
        listener.kill()
        listener.wait()
        env.daemon.isle("delete", "--force", "inside", check=False)
        lxc.run("network", "delete", "walled")
        for name in ("web", "pages"):
            lxc.run("network", "acl", "delete", name, check=False)


def test_dhcp_of_a_network(env):
    lxc = Lxc(env)
    lxc.run("network", "create", "quiet", "ipv4.address=10.212.7.1/24", "ipv6.address=none", "dns.mode=none")
    try:
        lxc.run("network", "set", "quiet", "ipv4.dhcp.expiry", "30m")
        lxc.run("network", "set", "quiet", "ipv4.dhcp.ranges", "10.212.7.9-10.212.7.9")
        env.daemon.isle("launch", "--net", "quiet", "busybox", "one", "--", "sleep", "600")
        assert "10.212.7.9" in env.daemon.isle("exec", "one", "--", "ip", "addr").out
        assert "10.212.7.9" not in env.daemon.isle("exec", "one", "--", "nslookup", "one", check=False).out
        full = env.daemon.isle("launch", "--net", "quiet", "busybox", "two", "--", "sleep", "600", check=False)
        assert full.code != 0 and "no free IPv4 address" in full.err, full
        for key, value, word in (("ipv4.dhcp.ranges", "10.1.1.1-10.1.1.9", "not a range of the network"),
                                 ("ipv4.dhcp.expiry", "soon", "not a time"), ("dns.mode", "dynamic", "not offered"),
                                 ("ipv4.dhcp", "maybe", "not true or false"), ("dns.search", "a b,-", "not a domain"),
                                 ("ipv4.dhcp.gateway", "fd00::1", "not an IPv4 address")):
            assert word in lxc.fails("network", "set", "quiet", key, value), key
        assert lxc.out("network", "get", "quiet", "ipv4.dhcp.expiry") == "30m"
        lxc.run("network", "set", "quiet", "dns.search", "lab.example, example")
        lxc.run("network", "set", "quiet", "ipv4.dhcp.gateway", "10.212.7.254")
        assert lxc.out("network", "get", "quiet", "dns.search") == "lab.example,example"
        lxc.run("network", "unset", "quiet", "dns.search")
        assert lxc.out("network", "get", "quiet", "dns.search") == "" and "10.212.7.254" in lxc.out("network", "show", "quiet")
    finally:
        for name in ("one", "two"):
            env.daemon.isle("delete", "--force", name, check=False)
        lxc.run("network", "delete", "quiet")
