import io
import json
import shutil
import socket
import subprocess
import tarfile
import time

from isletest.docker import docker, request
from isletest.runner import Skip
from isletest.waiting import until

REGISTRY = """
version: 0.1
storage: {{ filesystem: {{ rootdirectory: {folder}/store }} }}
http: {{ addr: "127.0.0.1:{port}" }}
"""


def test_list_inspect_and_tag(env):
    docker(env, "tag", "busybox", "team/box:1")
    names = docker(env, "images", "--format", "{{.Repository}}:{{.Tag}}").out.split()
    assert "busybox:latest" in names and "team/box:1" in names, names
    assert docker(env, "images", "-q", "--filter", "reference=team/*").out.strip()
    described = json.loads(docker(env, "inspect", "team/box:1").out)[0]
    assert described["Os"] == "linux" and described["RootFS"]["Layers"], described
    identity = described["Id"]
    assert json.loads(docker(env, "inspect", identity[7:19]).out)[0]["Id"] == identity
    assert docker(env, "history", "-q", "busybox").code == 0
    removed = docker(env, "rmi", "team/box:1").out
    assert removed == "Untagged: team/box:1\n", removed
    assert "No such image" in docker(env, "inspect", "--type", "image", "team/box:1", check=False).err


def test_save_load_import(env):
    path = env.folder / "saved.tar"
    docker(env, "save", "-o", path, "busybox")
    assert "manifest.json" in tarfile.open(path).getnames()
    docker(env, "tag", "busybox", "again:1")
    docker(env, "save", "-o", path, "again:1")
    docker(env, "rmi", "again:1")
    assert "Loaded image: again:1" in docker(env, "load", "-i", path).out
    assert docker(env, "run", "--rm", "again:1", "echo", "loaded").out == "loaded\n"
    docker(env, "rmi", "again:1")
    source = env.folder / "small.tar"
    with tarfile.open(source, "w") as tar:
        member = tarfile.TarInfo("hello")
        member.size = 5
        tar.addfile(member, io.BytesIO(b"hello"))
    assert docker(env, "import", source, "small:1").out.startswith("sha256:")
    docker(env, "rmi", "small:1")
    bad = env.folder / "bad.tar"
    bad.write_bytes(b"this is no archive" * 1000)
    assert docker(env, "load", "-i", bad, check=False).code != 0


def test_a_load_that_is_cut_off_leaves_nothing(env):
    whole = env.folder / "whole.tar"
    docker(env, "save", "-o", whole, "busybox")
    data = whole.read_bytes()
    before = docker(env, "images", "-aq").out
    for size in (0, 700, len(data) // 2, len(data) - 2000):
        part = env.folder / "part.tar"
        part.write_bytes(data[:size])
        loaded = docker(env, "load", "-i", part, check=False)
        assert loaded.code != 0 or "Loaded image" in loaded.out and size > len(data) // 2, (size, loaded)
    # The client itself goes in the middle.
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(env.daemon.run_dir / "docker.sock"))
        client.sendall(b"POST /v1.41/images/load HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(data) + data[:len(data) // 2])
        time.sleep(0.3)
    assert docker(env, "images", "-aq").out == before
    uploads = list((env.daemon.state / "tmp").glob("upload-*"))
    assert not uploads, uploads
    assert "Loaded image: busybox:latest" in docker(env, "load", "-i", whole).out


def test_push_and_pull(env):
    program = shutil.which("docker-registry") or shutil.which("registry")
    if not program:
        raise Skip("no docker-registry")
    folder = env.folder / "docker-registry"
    folder.mkdir()
    (folder / "config.yml").write_text(REGISTRY.format(folder=folder, port=5056))
    registry = subprocess.Popen(env.namespace.command(program, "serve", str(folder / "config.yml")),
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(1.5)
        target = "127.0.0.1:5056/team/box:1"
        docker(env, "tag", "busybox", target)
        pushed = docker(env, "push", target).out
        assert "The push refers to repository" in pushed and "digest: sha256:" in pushed, pushed
        docker(env, "rmi", target)
        pulled = docker(env, "pull", target).out
        assert "Digest: sha256:" in pulled and "Status: Downloaded newer image for " + target in pulled, pulled
        assert docker(env, "run", "--rm", target, "echo", "pulled").out == "pulled\n"
        docker(env, "rmi", target)
        found = docker(env, "search", "127.0.0.1:5056/ox", "--format", "{{.Name}}").out
        assert found == "127.0.0.1:5056/team/box\n", found
        assert docker(env, "search", "127.0.0.1:5056/nothing", "--format", "{{.Name}}").out == ""
        missing = docker(env, "pull", "127.0.0.1:5056/team/none:1", check=False)
        assert missing.code != 0 and "none" in missing.err, missing
    finally:
        registry.terminate()
        registry.wait()


def test_disk_usage(env):
    docker(env, "volume", "create", "measured")
    out = docker(env, "system", "df").out
    assert "Images" in out and "Local Volumes" in out, out
    docker(env, "volume", "rm", "measured")


def test_swarm_and_plugins(env):
    for path in ("/nodes", "/services", "/tasks", "/secrets", "/configs", "/swarm"):
        status, _, body = request(env, "GET", "/v1.50" + path)
        assert status == 503 and "swarm manager" in body["message"], (path, status, body)
    assert request(env, "GET", "/plugins")[2] == []


def test_an_image_saved_by_its_id_has_no_names(env):
    image = docker(env, "images", "-q", "--no-trunc", "busybox").out.split()[0]
    archive = env.folder / "by-id.tar"
    docker(env, "save", "-o", archive, image)
    docker(env, "tag", "busybox", "one/more:name")
    assert docker(env, "load", "-i", archive).out.startswith("Loaded image ID: sha256:")
    docker(env, "save", "-o", archive, "one/more:name")
    assert docker(env, "load", "-i", archive).out == "Loaded image: one/more:name\n"
    docker(env, "rmi", "one/more:name")
    docker(env, "run", "--name", "tree", "busybox", "true")
    docker(env, "export", "-o", archive, "tree")
    before = docker(env, "images", "-aq", "--no-trunc").out.split()
    docker(env, "import", "-c", 'CMD ["echo", "imported"]', "-c", "ENV A=b", archive, "imported")
    assert docker(env, "run", "--rm", "imported").out == "imported\n"
    docker(env, "rm", "tree")
    docker(env, "rmi", "imported")
    # Not the image without those changes either.
    assert sorted(docker(env, "images", "-aq", "--no-trunc").out.split()) == sorted(before)


def test_an_export_holds_no_volumes(env):
    """Neither at rest nor while it runs; what it shows of the kernel is not there either."""
    archive = env.folder / "export.tar"
    docker(env, "run", "-d", "--name", "tree", "-v", "exported:/data", "busybox", "sh", "-c",
           "echo in a volume > /data/file; echo its own > /own; sleep 600")
    try:
        until(lambda: docker(env, "exec", "tree", "cat", "/own", check=False).out == "its own\n")
        for state in ("running", "at rest"):
            docker(env, "export", "-o", archive, "tree")
            with tarfile.open(archive) as tar:
                names = {name.strip("/") for name in tar.getnames()}
            assert {"own", "data", "bin/busybox"} <= names, (state, sorted(names)[:40])
            assert not [name for name in names if name.startswith(("data/", "proc/", "sys/", "dev/"))], state
            docker(env, "stop", "-t", "0", "tree")
        assert docker(env, "cp", "tree:/data/file", "-").out != ""
    finally:
        docker(env, "rm", "-f", "tree")
        docker(env, "volume", "rm", "exported")
