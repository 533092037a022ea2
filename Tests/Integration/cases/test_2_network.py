import subprocess
import time


def fetch(env, address, port, path="/index.html"):
    script = f"printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' | /bin/busybox nc -w 3 {address} {port}"
    done = subprocess.run(env.namespace.command("/bin/busybox", "sh", "-c", script), capture_output=True, timeout=10)
    return done.stdout.decode(errors="replace")


def serve(env, name, *options):
    env.daemon.isle("launch", *options, "busybox", name, "--", "sh", "-c",
                    f"echo page of {name} > /tmp/index.html; exec httpd -f -p 80 -h /tmp")


def test_names(env):
    serve(env, "web")
    assert env.daemon.isle("run", "--rm", "busybox", "wget", "-qO-", "http://web/index.html").out == "page of web\n"
    assert env.daemon.isle("run", "--rm", "busybox", "wget", "-qO-", "http://web.isle/index.html").out == "page of web\n"


def test_published_port(env):
    serve(env, "local", "-p", "18080:80")
    assert "page of local" in fetch(env, "127.0.0.1", 18080)
    taken = env.daemon.isle("run", "--rm", "-p", "18080:80", "busybox", "true", check=False)
    assert taken.code == 125 and "18080" in taken.err, taken
    assert "18080" in env.daemon.isle("network", "list", "--ports").out
    env.daemon.isle("delete", "--force", "local")
    assert "page" not in fetch(env, "127.0.0.1", 18080)


def test_no_network(env):
    out = env.daemon.isle("run", "--rm", "--net", "none", "busybox", "ip", "-o", "link").out
    assert "lo" in out and "eth0" not in out, out


def test_host_network(env):
    out = env.daemon.isle("run", "--rm", "--net", "host", "busybox", "ip", "-o", "link").out
    assert env.daemon.bridge in out or "lo" in out, out


def test_another_daemon_beside_it(env):
    from isletest.daemon import Daemon
    folder = env.folder / "two"
    folder.mkdir(mode=0o711)
    other = Daemon(env.programs, folder, env.daemon.bridge + "b", env.namespace, "10.211.7.1/24")
    refused = subprocess.run(env.daemon.command(), capture_output=True, timeout=20)
    assert refused.returncode != 0 and b"another isled" in refused.stderr, refused
    other.start()
    try:
        other.isle("image", "import", env.folder / "busybox.tar", "--name", "busybox")
        assert "10.211.7." in other.isle("run", "--rm", "busybox", "ip", "-4", "addr").out
        serve(env, "mine")
        assert "page of mine" in env.daemon.isle("run", "--rm", "busybox", "wget", "-qO-", "http://mine/index.html").out
    finally:
        other.stop()


def test_nothing_is_left_on_the_host(env):
    serve(env, "brief")
    assert any(link.startswith(env.daemon.bridge) for link in env.namespace.links())
    env.daemon.isle("delete", "--force", "brief")
    end = time.monotonic() + 60
    while time.monotonic() < end and (env.namespace.tables() or env.namespace.links() != ["lo"]):
        time.sleep(0.5)
    assert env.namespace.tables() == [] and env.namespace.links() == ["lo"], (env.namespace.tables(), env.namespace.links())
