"""The docker client against the daemon under test."""
import fcntl
import http.client
import json
import os
import pty
import select
import shutil
import socket
import struct
import subprocess
import termios
import time

from .daemon import Result
from .runner import Skip


def socket_path(env):
    return str(env.daemon.run_dir / "docker.sock")


def environment(env):
    folder = env.folder / "docker-config"
    folder.mkdir(exist_ok=True)
    variables = {**os.environ, "DOCKER_HOST": f"unix://{socket_path(env)}", "DOCKER_CONFIG": str(folder),
                 "DOCKER_CLI_HINTS": "false"}
    for name in ("DOCKER_CONTEXT", "DOCKER_API_VERSION", "DOCKER_BUILDKIT"):
        variables.pop(name, None)
    return variables


def docker(env, *arguments, check=True, timeout=60, input=b"", **more):
    """Runs the client; with `check` any exit code but 0 is a failure."""
    if not shutil.which("docker"):
        raise Skip("no docker client")
    command = ["docker", *map(str, arguments)]
    start = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout, env={**environment(env), **more}, input=input)
    except subprocess.TimeoutExpired as expired:
        raise AssertionError(f"`{' '.join(command)}` took over {timeout} s\n{expired.stdout}\n{expired.stderr}\n"
                             f"{env.daemon.log_tail(12)}")
    result = Result(done, time.monotonic() - start)
    if check and result.code != 0:
        raise AssertionError(f"`{' '.join(command)}`: {result!r}")
    return result


def background(env, *arguments, **options):
    return subprocess.Popen(["docker", *map(str, arguments)], env=environment(env), stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


class Connection(http.client.HTTPConnection):
    def __init__(self, path, timeout=30):
        super().__init__("docker", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def request(env, method, path, body=None, headers=None, raw=False):
    """One request without the client: status, headers, and the body, decoded if it is JSON."""
    connection = Connection(socket_path(env))
    try:
        data = body if raw or body is None else json.dumps(body).encode()
        connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        text = answer.read()
        try:
            decoded = json.loads(text) if text else None
        except ValueError:
            decoded = text
        return answer.status, dict(answer.getheaders()), decoded
    finally:
        connection.close()


def dialog(env, arguments, steps, seconds=20):
    """The client on a terminal: waits for each text in turn and types the answer; gives exit code and what was shown."""
    if not shutil.which("docker"):
        raise Skip("no docker client")
    pid, master = pty.fork()
    if pid == 0:
        time.sleep(0.1)
        os.execvpe("docker", ["docker", *arguments], {**environment(env), "TERM": "xterm"})
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    shown, seen, end = b"", 0, time.monotonic() + seconds
    waiting = list(steps)
    while time.monotonic() < end:
        if waiting and waiting[0][0] in shown[seen:]:
            seen = len(shown)
            os.write(master, waiting.pop(0)[1])
        ready, _, _ = select.select([master], [], [], 0.1)
        if ready:
            try:
                data = os.read(master, 65536)
            except OSError:
                break
            if not data:
                break
            shown += data
    else:
        os.kill(pid, 9)
    _, status = os.waitpid(pid, 0)
    os.close(master)
    return os.waitstatus_to_exitcode(status), shown


def remove_all(env, kept):
    """Removes what other people's tests left: containers, networks, volumes, and every image but the one with the id `kept`."""
    for container in docker(env, "ps", "-aq").out.split():
        docker(env, "rm", "-fv", container)
    docker(env, "network", "prune", "-f")
    docker(env, "volume", "prune", "-af")
    for image in set(docker(env, "images", "-aq", "--no-trunc").out.split()) - {kept}:
        docker(env, "rmi", "-f", image)
