import json
import random
import socket
import time

from isletest.docker import background, docker, request, socket_path

ROUTES = [
    ("POST", "/containers/create"), ("POST", "/containers/create?name=a%00b"), ("POST", "/networks/create"),
    ("POST", "/volumes/create"), ("POST", "/containers/none/exec"), ("POST", "/exec/none/start"),
    ("POST", "/containers/none/update"), ("POST", "/networks/none/connect"), ("POST", "/auth"), ("POST", "/images/load"),
    ("POST", "/images/create?fromSrc=-"), ("GET", "/containers/json?filters=%7B"), ("GET", "/events?since=never"),
    ("GET", "/images/json?filters=[]"), ("POST", "/containers/prune?filters=1"), ("GET", "/containers/%ff/json"),
    ("GET", "/containers/json?limit=many"), ("POST", "/containers/none/kill?signal=NOPE"),
    ("DELETE", "/containers/none"), ("DELETE", "/images/none"), ("PUT", "/containers/none/archive"), ("PATCH", "/info"),
]


def alive(env):
    assert request(env, "GET", "/_ping")[0] == 200


def test_malformed_requests_are_refused_in_dockers_shape(env):
    for method, path in ROUTES:
        for body in (b"{", b"[1]", b"\xff\xfe", b'{"Image":1}', b'{"Name":{}}', b'{"a":' * 500, b'{"Image":"a","Image":"b"}'):
            status, _, answer = request(env, method, "/v1.41" + path, body, raw=True)
            if status == 200:
                # A stream that has begun says it in its last message.
                assert b"errorDetail" in (answer if isinstance(answer, bytes) else json.dumps(answer).encode()), (path, answer)
                continue
            if path == "/volumes/create" and status == 201:
                # A field that nobody knows is passed over: a volume with a name of the daemon's choice.
                assert request(env, "DELETE", "/v1.41/volumes/" + answer["Name"])[0] == 204
                continue
            assert 400 <= status < 600 and status != 500, (method, path, body, status, answer)
            assert isinstance(answer, dict) and answer["message"], (method, path, body, answer)
    alive(env)


def test_wrong_types_everywhere(env):
    generator = random.Random(7)
    fields = ["Image", "Cmd", "Env", "Tty", "Labels", "Volumes", "ExposedPorts", "StopTimeout", "Healthcheck", "HostConfig",
              "NetworkingConfig"]
    host = ["Binds", "Memory", "NanoCpus", "PortBindings", "RestartPolicy", "Mounts", "Tmpfs", "Ulimits", "Devices", "CapAdd",
            "LogConfig", "NetworkMode", "SecurityOpt", "Sysctls", "ExtraHosts", "Init", "PidsLimit", "ConsoleSize"]
    values = [None, True, 0, -1, 2 ** 63, 1.5, "", "x" * 70000, [], [1], [[]], {}, {"a": 1}, {"a": []}, ["\x00"], "\x00"]
    for _ in range(150):
        body = {"Image": "busybox", generator.choice(fields): generator.choice(values),
                "HostConfig": {generator.choice(host): generator.choice(values) for _ in range(2)}}
        if generator.random() < 0.2:
            body["HostConfig"] = generator.choice(values)
        status, _, answer = request(env, "POST", "/containers/create", body)
        assert status in (201, 400, 404, 409, 501), (body, status, answer)
        if status == 201:
            assert request(env, "GET", f"/containers/{answer['Id']}/json")[0] == 200, body
            assert request(env, "DELETE", f"/containers/{answer['Id']}?force=1")[0] == 204
    alive(env)


def raw(env, data):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(socket_path(env))
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        got = b""
        try:
            while piece := client.recv(65536):
                got += piece
        except (TimeoutError, ConnectionResetError):
            pass
        return got


def test_oversized_and_broken_http(env):
    for data in (b"GET /info HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
                 b"GET /info HTTP/1.1\r\n" + b"A: b\r\n" * 5000 + b"\r\n", b"\x16\x03\x01\x00", b"GET\r\n\r\n",
                 b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n"):
        answer = raw(env, data)
        assert b" 200 " not in answer.split(b"\r\n")[0], (data[:60], answer[:200])
        alive(env)
    status, _, answer = request(env, "POST", "/containers/create", b" " * (5 << 20), raw=True)
    assert status == 413 and "longer" in answer["message"], (status, answer)


def test_daemon_restart_with_clients(env):
    docker(env, "run", "-d", "--name", "stays", "busybox", "sh", "-c", "while :; do echo tick; sleep 0.1; done")
    clients = [background(env, "logs", "-f", "stays"), background(env, "exec", "stays", "sleep", "100"),
               background(env, "wait", "stays"), background(env, "events"),
               background(env, "run", "--rm", "--name", "goes_on", "busybox", "sleep", "1")]
    time.sleep(1)
    env.daemon.kill()
    env.daemon.start()
    for client in clients:
        client.communicate(timeout=20)
    assert docker(env, "inspect", "-f", "{{.State.Running}}", "stays").out == "true\n"
    assert docker(env, "logs", "-n", "1", "stays").out == "tick\n"
    end = time.monotonic() + 10
    while "goes_on" in docker(env, "ps", "-a", "--format", "{{.Names}}").out:
        assert time.monotonic() < end, "the run with --rm is left"
        time.sleep(0.2)
    docker(env, "rm", "-f", "stays")
