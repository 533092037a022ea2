"""Networks that users make, and ports."""
import time

from test_2_network import fetch, serve


def resolve(env, instance, name):
    """What the name server says, without the C library in between: busybox is linked statically."""
    return env.daemon.isle("exec", instance, "--", "nslookup", "-type=a", f"{name}.isle", check=False).out


def page(env, instance, address):
    """A page as an instance gets it; empty if there is no answer within 2 seconds."""
    script = f"printf 'GET /index.html HTTP/1.0\\r\\n\\r\\n' | nc -w 2 {address} 80"
    return env.daemon.isle("exec", instance, "--", "sh", "-c", script, check=False).out


def test_internal_network_with_aliases_and_static_address(env):
    isle = env.daemon.isle
    isle("network", "create", "my_long_network_name", "internal=true", "user.a=b")
    try:
        network = env.daemon.json("network", "show", "my_long_network_name")
        assert network["config"]["internal"] == "true" and network["config"]["user.a"] == "b", network
        gateway, length = network["config"]["ipv4.address"].split("/")
        address = gateway.rsplit(".", 1)[0] + ".77"
        for name in ("one", "two"):
            serve(env, name, "--network", "my_long_network_name", "--network-alias", "web", *(["--ip", address] if name == "one" else []))
        found = isle("run", "--rm", "--network", "my_long_network_name", "busybox", "nslookup", "web.isle").out
        assert found.count("Address") >= 3 and address in found, found
        pages = {isle("run", "--rm", "--network", "my_long_network_name", "busybox", "wget", "-qO-", f"http://{name}/index.html").out
                 for name in ("one", "two")}
        assert pages == {"page of one\n", "page of two\n"}
        # Nothing leads out: no default route, and no names of the outside.
        assert "default" not in isle("exec", "one", "ip", "route").out
    finally:
        env.clear()
        isle("network", "delete", "my_long_network_name")


def test_two_networks_are_apart_and_an_instance_can_be_on_both(env):
    isle = env.daemon.isle
    isle("network", "create", "front")
    isle("network", "create", "back")
    try:
        serve(env, "db", "--network", "back")
        serve(env, "web", "--network", "front")
        address = [i for i in env.daemon.json("list") if i["name"] == "db"][0]["addresses"][0]
        assert "page" not in page(env, "web", address)
        assert address not in resolve(env, "web", "db")
        # Connected while it runs, the names of both are known.
        isle("config", "device", "add", "web", "eth1", "nic", "network=back", "name=eth1", "aliases=shop")
        assert address in resolve(env, "web", "db")
        assert "page of db" in page(env, "web", address)
        own = [a for a in [i for i in env.daemon.json("list") if i["name"] == "web"][0]["addresses"] if a.startswith(address.rsplit(".", 1)[0])]
        assert own and own[0] in resolve(env, "db", "shop"), own
        assert isle("exec", "web", "ip", "route").out.count("default") == 1
        # The same after a restart of the daemon.
        env.daemon.kill()
        env.daemon.start()
        assert address in resolve(env, "web", "db")
        isle("config", "device", "remove", "web", "eth1")
        # The kernel takes links away in the background.
        end = time.monotonic() + 5
        while "eth1" in isle("exec", "web", "ip", "-o", "link").out:
            assert time.monotonic() < end, "eth1 is still there"
            time.sleep(0.05)
        assert address not in resolve(env, "web", "db")
    finally:
        env.clear()
        isle("network", "delete", "front", "back")


def test_ports_that_isle_chooses_and_ranges(env):
    isle = env.daemon.isle
    serve(env, "auto", "-p", "80")
    port = [i for i in env.daemon.json("list") if i["name"] == "auto"][0]["ports"][0]["host_port"]
    assert port > 1000 and "page of auto" in fetch(env, "127.0.0.1", port)
    isle("launch", "-D", "p,type=proxy,listen=tcp:127.0.0.1:18300-18302,connect=tcp:127.0.0.1:80-82", "busybox", "many", "--", "sleep", "1000")
    ports = [i for i in env.daemon.json("list") if i["name"] == "many"][0]["ports"]
    assert [(p["host_port"], p["guest_port"]) for p in ports] == [(18300, 80), (18301, 81), (18302, 82)], ports


def test_a_shared_port_goes_to_the_healthy(env):
    isle = env.daemon.isle
    device = "p,type=proxy,listen=tcp:0.0.0.0:18400,connect=tcp:127.0.0.1:80,service=shop"
    for name in ("shop-1", "shop-2"):
        serve(env, name, "-D", device, "--health-cmd", "test ! -e /tmp/sick", "--health-interval", "100ms", "--health-retries", "1")
    seen = set()
    for _ in range(100):
        page = fetch(env, "127.0.0.1", 18400)
        seen |= {name for name in ("shop-1", "shop-2") if f"page of {name}" in page}
        if len(seen) == 2:
            break
    assert seen == {"shop-1", "shop-2"}, seen
    isle("exec", "shop-1", "touch", "/tmp/sick")
    for _ in range(100):
        if [i["health"]["status"] for i in env.daemon.json("list") if i["name"] == "shop-1"] == ["unhealthy"]:
            break
    for _ in range(6):
        assert "page of shop-2" in fetch(env, "127.0.0.1", 18400)
    taken = isle("run", "--rm", "-p", "0.0.0.0:18400:80", "busybox", "true", check=False)
    assert taken.code == 125 and "18400" in taken.err, taken


def test_an_address_used_again_is_reached_at_once(env):
    """Neighbours remember the hardware address of who had it before, and must be told."""
    isle = env.daemon.isle
    isle("network", "create", "again")
    try:
        gateway = env.daemon.json("network", "show", "again")["config"]["ipv4.address"].split("/")[0]
        address = gateway.rsplit(".", 1)[0] + ".66"
        serve(env, "asker", "--network", "again")
        for number in range(4):
            serve(env, f"web{number}", "--network", "again", "--ip", address)
            time.sleep(1.2)  # an entry younger than a second is not changed (arp(7), locktime)
            assert f"page of web{number}" in page(env, "asker", address), number
            isle("delete", "--force", f"web{number}")
    finally:
        env.clear()
        isle("network", "delete", "again")
