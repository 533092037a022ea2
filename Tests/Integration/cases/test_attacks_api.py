"""Requests that mean to reach further than they may: 4xx with words, nothing changed, nothing run, the daemon still serving."""
import json
import subprocess

from isletest.lxc import Lxc
from test_attacks import fine


def ask(env, method, path, body=None, door="http://x"):
    """Status and answer, as they are on the wire: nothing in the path is tidied up."""
    content = (body if isinstance(body, str) else json.dumps(body)).encode()
    socket = env.daemon.socket if door == "http://x" else env.daemon.run_dir / "docker.sock"
    done = subprocess.run(
        ["curl", "-sS", "-m", "10", "--path-as-is", "-g", "-o", "-", "-w", "\n%{http_code}", "--unix-socket", str(socket), "-X", method,
         *(["-H", "Content-Type: application/json", "--data-binary", "@-"] if body is not None else []), door + path],
        input=content, capture_output=True, timeout=15)
    text, _, status = done.stdout.decode(errors="replace").rpartition("\n")
    return int(status), text


def refused(env, method, path, body=None, **more):
    status, text = ask(env, method, path, body, **more)
    assert 400 <= status < 500, (method, path, str(body)[:200], status, text[:300])
    return text


def test_ids_that_climb(env):
    env.daemon.isle("launch", "busybox", "box", "--", "sleep", "600")
    for name in ("..", ".", "%2e%2e", "..%2fbox", "box%2f..", "%2fetc%2fpasswd", "box%00", "%0a", "a%2fb", "%ff"):
        for method, path, body in (
            ("GET", "/1.0/instances/{}", None), ("POST", "/1.0/instances/{}/exec", {"command": ["true"]}), ("GET", "/1.0/operations/{}", None),
            ("GET", "/1.0/instances/{}/logs/x", None), ("GET", "/1.0/instances/box/logs/{}", None), ("GET", "/1.0/instances/box/snapshots/{}", None),
            ("GET", "/1.0/instances/box/backups/{}", None), ("GET", "/1.0/images/{}", None), ("GET", "/1.0/images/{}/export", None),
            ("DELETE", "/1.0/storage-pools/default/volumes/custom/{}", None), ("DELETE", "/1.0/instances/box/metadata/templates?path={}", None),
        ):
            status, text = ask(env, method, path.format(name), body)
            # A dot alone is the collection that the path names without it.
            assert 400 <= status < 500 or (status == 200 and "root:" not in text and method == "GET"), (method, path, name, status, text[:200])
        for method, path in (("GET", "/v1.41/exec/{}/json"), ("POST", "/v1.41/exec/{}/start"), ("GET", "/v1.41/containers/{}/json"),
                             ("DELETE", "/v1.41/volumes/{}"), ("GET", "/v1.41/images/{}/get")):
            refused(env, method, path.format(name), {} if method == "POST" else None, door="http://d")
    assert env.daemon.names() == ["box"]
    fine(env)


def test_words_for_other_programs(env):
    mark = env.folder / "ran"
    words = [f"gzip; touch {mark}", f"$(touch {mark})", "-x", "--help", f"|touch {mark}", f"gzip -9 -o {mark}", "../../bin/sh", "zstd\n-f"]
    for word in words:
        refused(env, "PATCH", "/1.0", {"config": {"backups.compression_algorithm": word}})
        refused(env, "PATCH", "/1.0", {"config": {"images.compression_algorithm": word}})
        refused(env, "POST", "/1.0/storage-pools/default/volumes/custom", {"name": "v", "config": {"block.filesystem": word}})
        refused(env, "POST", "/1.0/storage-pools/default/volumes/custom", {"name": "v", "config": {"size": word}})
        refused(env, "POST", "/1.0/storage-pools", {"name": "p", "driver": word, "config": {}})
        refused(env, "POST", "/1.0/storage-pools", {"name": "p", "driver": "btrfs", "config": {"size": word}})
        refused(env, "POST", "/1.0/networks", {"name": "n", "config": {"dns.domain": word}})
        refused(env, "POST", "/1.0/networks", {"name": "n", "config": {"ipv4.dhcp.expiry": word}})
        refused(env, "POST", "/1.0/networks", {"name": word, "config": {}})
    env.daemon.isle("launch", "busybox", "box", "--", "sleep", "600")
    for word in words:
        refused(env, "POST", "/1.0/instances/box/backups", {"name": "b", "compression_algorithm": word})
        status, text = ask(env, "POST", "/1.0/images", {"source": {"type": "instance", "name": "box"}, "compression_algorithm": word})
        assert 400 <= status < 500, (word, status, text)
    assert not mark.exists()
    assert env.daemon.json("volume", "list") == [] and [p["name"] for p in env.daemon.json("storage", "list")] == ["default"]
    fine(env)


def test_bodies_with_two_meanings(env):
    deep = "[" * 100_000 + "]" * 100_000
    for body in ('{"name":"a","name":"b","source":{"type":"none"}}', '{"config":{"a":1},"config":{}}', deep, '{"name":' + deep + "}", "{", "null", "[]",
                 '"x"', '{"name":1}', "{\"name\":\"a\\u0000b\"}", '{"config":{"limits.memory":1}}', '{"devices":[]}', '{"name":"\\ud800"}'):
        refused(env, "POST", "/1.0/instances", body)
    for key, values in {
        "limits.memory": ["9223372036854775808", "-1", "18446744073709551616MiB", "1e400", "0x10", "9" * 4000],
        "limits.cpu": ["-1", "0-99999999", "9223372036854775808", "1,,2", "4-2"], "limits.processes": ["-5", "9223372036854775808", "one"],
        "limits.disk.priority": ["-1", "11", "9223372036854775808"], "boot.autostart.priority": ["x", "9223372036854775808"],
        "limits.kernel.nofile": ["-2:-2", "9" * 30, "5:4"],
    }.items():
        for value in values:
            body = {"name": "limited", "source": {"type": "image", "alias": "busybox"}, "config": {key: value}}
            status, text = ask(env, "POST", "/1.0/instances", body)
            assert status == 400 and key in text, (key, value[:40], status, text[:300])
    assert env.daemon.names() == []
    fine(env)


def test_projects_limits_hold_whatever_the_way(env):
    lxc, isle = Lxc(env), env.daemon.isle
    lxc("project", "create", "small", "-c", "features.images=false", "-c", "limits.memory=128MiB", "-c", "limits.instances=2")
    try:
        isle("create", "--name", "big", "-c", "limits.memory=256MiB", "busybox", "sleep", "600")
        isle("create", "--name", "free", "busybox", "sleep", "600")
        isle("create", "--name", "slim", "-c", "limits.memory=64MiB", "busybox", "sleep", "600")
        for way in (("copy", "big", "big2", "--target-project", "small"), ("move", "big", "big3", "--target-project", "small"),
                    ("copy", "free", "free2", "--target-project", "small")):
            done = lxc(*way, check=False)
            assert done.code != 0 and "limits.memory" in done.err, (way, done)
        lxc("copy", "slim", "inside", "--target-project", "small")
        for way in (("config", "set", "inside", "limits.memory", "1GiB"), ("config", "unset", "inside", "limits.memory"),
                    ("copy", "inside", "twice", "-c", "limits.memory=100MiB")):
            done = lxc(*way, "--project", "small", check=False)
            assert done.code != 0 and "limits.memory" in done.err, (way, done)
        # What a snapshot and a backup bring back counts as well, as do settings of a profile.
        lxc("config", "set", "inside", "limits.memory", "100MiB", "--project", "small")
        lxc("snapshot", "inside", "s0", "--project", "small")
        archive = env.folder / "inside.tar"
        lxc("export", "inside", archive, "--project", "small")
        lxc("config", "set", "inside", "limits.memory", "60MiB", "--project", "small")
        lxc("copy", "slim", "second", "--target-project", "small")
        done = lxc("restore", "inside", "s0", "--project", "small", check=False)
        assert done.code != 0 and "limits.memory" in done.err, done
        assert lxc("config", "get", "inside", "limits.memory", "--project", "small").out.strip() == "60MiB"
        done = lxc("import", archive, "third", "--project", "small", check=False)
        assert done.code != 0 and "limits." in done.err, done
        done = lxc("profile", "set", "default", "limits.memory", "1GiB", "--project", "small", check=False)
        assert done.code == 0 or "limits.memory" in done.err, done
        listed = json.loads(lxc("list", "--project", "small", "--format", "json").out)
        assert sorted(i["name"] for i in listed) == ["inside", "second"], listed
    finally:
        for project, names in (("small", ["inside", "second", "third", "twice", "big2", "big3", "free2"]), ("default", ["big", "free", "slim"])):
            for name in names:
                isle("--project", project, "delete", "--force", name, check=False)
        lxc("project", "delete", "small")
    fine(env)
