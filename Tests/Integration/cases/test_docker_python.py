"""docker-py against the socket: what its own integration tests do, with a local image."""
import threading
import time

from isletest.docker import socket_path
from isletest.runner import Skip


def client(env):
    try:
        import docker
    except ImportError:
        raise Skip("docker-py is not installed (pip install docker)")
    return docker.DockerClient(base_url=f"unix://{socket_path(env)}", version="auto", timeout=30)


def test_containers(env):
    import_client = client(env)
    import docker
    containers = import_client.containers
    assert containers.run("busybox", "echo hello world", remove=True) == b"hello world\n"
    assert containers.run("busybox", ["sh", "-c", "echo out; echo err >&2"], stderr=True, remove=True) in (b"out\nerr\n", b"err\nout\n")
    try:
        containers.run("busybox", ["sh", "-c", "exit 3"], remove=True)
        raise AssertionError("no error")
    except docker.errors.ContainerError as error:
        assert error.exit_status == 3
    try:
        containers.run("no-such-image-here", "true")
        raise AssertionError("no error")
    except docker.errors.APIError:
        pass
    box = containers.run("busybox", "sh -c 'while :; do echo tick; sleep 0.1; done'", detach=True, name="py_box", tty=True,
                         labels={"a": "b"}, mem_limit="64m", environment={"X": "1"})
    assert box.status in ("created", "running")
    box.reload()
    assert box.attrs["HostConfig"]["Memory"] == 64 << 20 and box.labels["a"] == "b"
    assert [found.id for found in containers.list(filters={"label": "a=b"})] == [box.id]
    assert containers.get("py_box").id == box.id
    lines = box.logs(stream=True, follow=True)
    assert b"t" in next(lines)
    code, output = box.exec_run(["sh", "-c", "echo $X; exit 4"])
    assert (code, output) == (4, b"1\n")
    code, (out, err) = box.exec_run(["sh", "-c", "echo o; echo e >&2"], demux=True)
    assert (out, err) == (b"o\n", b"e\n")
    assert any("sleep" in " ".join(row) or "sh" in " ".join(row) for row in box.top()["Processes"])
    assert box.stats(stream=False)["memory_stats"]["usage"] > 0
    box.pause()
    box.reload()
    assert box.status == "paused"
    box.unpause()
    box.kill()
    assert box.wait()["StatusCode"] == 137
    box.remove()
    assert containers.list(all=True) == []


def test_attach_socket(env):
    api = client(env).api
    made = api.create_container("busybox", "cat", stdin_open=True, host_config=api.create_host_config())
    stream = api.attach_socket(made, params={"stdin": 1, "stdout": 1, "stream": 1})
    api.start(made)
    stream._sock.sendall(b"abc\n")
    time.sleep(0.3)
    got = stream._sock.recv(100)
    assert got[8:] == b"abc\n" and got[0] == 1, got
    stream._sock.close()
    api.remove_container(made, force=True)


def test_images_volumes_networks(env):
    from docker.types import IPAMConfig, IPAMPool, Mount
    import docker
    api = client(env)
    image = api.images.get("busybox")
    assert image.tag("py/tagged", "1")
    assert "py/tagged:1" in api.images.get("busybox").tags
    api.images.remove("py/tagged:1")
    data = b"".join(image.save(named="busybox:latest"))
    assert api.images.load(data)[0].tags
    volume = api.volumes.create("py_volume", labels={"x": "y"})
    api.containers.run("busybox", "touch /v/file", remove=True, mounts=[Mount("/v", "py_volume")])
    assert api.volumes.list(filters={"label": "x=y"}) == [volume]
    volume.remove()
    network = api.networks.create("py_net", ipam=IPAMConfig(pool_configs=[IPAMPool(subnet="172.29.5.0/24", gateway="172.29.5.1")]))
    box = api.containers.run("busybox", "sleep 1000", detach=True, network="py_net")
    network.reload()
    assert [found.id for found in network.containers] == [box.id]
    box.reload()
    assert box.attrs["NetworkSettings"]["Networks"]["py_net"]["IPAddress"].startswith("172.29.5.")
    box.remove(force=True)
    network.remove()
    try:
        api.networks.get("py_net")
        raise AssertionError("it is still there")
    except docker.errors.NotFound:
        pass


def test_events_and_pings(env):
    api = client(env)
    assert api.ping() and api.version()["ApiVersion"] == "1.50" and api.info()["OSType"] == "linux"
    seen = []
    stream = api.events(decode=True, filters={"type": "container"})
    thread = threading.Thread(target=lambda: seen.extend(event["Action"] for event in stream), daemon=True)
    thread.start()
    time.sleep(0.3)
    api.containers.run("busybox", "true", remove=True)
    time.sleep(0.5)
    stream.close()
    assert {"create", "start", "die", "destroy"} <= set(seen), seen
