"""Building images by Dockerfiles, by the real buildah."""
import os
import shutil
import signal
import subprocess
import time

from isletest import host
from isletest.runner import Skip


def need(env):
    if not shutil.which("buildah"):
        raise Skip("no buildah")


def context(env, name, dockerfile, **files):
    folder = env.folder / f"build-{name}"
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(dockerfile)
    for path, text in files.items():  # __ stands for a dot
        (folder / path.replace("__", ".")).write_text(text)
    return folder


def test_stages_arguments_and_metadata(env):
    need(env)
    folder = context(env, "stages", """
ARG BASE=busybox
FROM $BASE AS made
ARG WORD=none
RUN echo "$WORD from $(id -u)" >/word && test ! -e /left_out.txt
COPY --chown=1000:2000 --chmod=640 data /data

FROM busybox
ENV A=b
LABEL kind=test
HEALTHCHECK --interval=5s CMD true
COPY --from=made /word /data /
USER bob
CMD ["/bin/sh", "-c", "cat /word; echo $A"]
""", data="data\n", left_out__txt="x", __dockerignore="left_out.txt\n")
    result = env.daemon.isle("build", "-t", "staged:1", "--build-arg", "WORD=hello", "--label", "more=yes", folder,
                             timeout=120)
    lines = result.out.splitlines()
    assert lines[0] == "Step 1/11 : FROM busybox AS made", lines[:3]
    assert any(line.startswith(" ---> Running in ") for line in lines), lines
    assert lines[-1] == "Successfully tagged localhost/staged:1" and lines[-2].startswith("Successfully built "), lines[-3:]
    assert env.daemon.isle("run", "--rm", "staged:1").out == "hello from 0\nb\n"
    image = env.daemon.json("image", "inspect", "staged:1")
    assert image["config"]["user"] == "bob" and image["config"]["labels"] == {"kind": "test", "more": "yes"}, image["config"]
    again = env.daemon.isle("build", "-t", "staged:1", "--build-arg", "WORD=hello", "--label", "more=yes", folder,
                            timeout=120)
    assert " ---> Using cache" in again.out, again
    env.daemon.isle("image", "rm", "staged:1")


def test_what_goes_wrong_is_said(env):
    need(env)
    for name, dockerfile, words in [
        ("fails", "FROM busybox\nRUN exit 7\n", "non-zero code: 7"),
        ("unknown", "FROM busybox\nNOTHING x\n", "NOTHING"),
        ("nobase", "RUN x\n", "no FROM"),
        ("heredoc", "FROM busybox\nRUN <<EOF\ntrue\nEOF\n", "here-document"),
    ]:
        result = env.daemon.isle("build", context(env, name, dockerfile), check=False, timeout=60)
        assert result.code == 1 and words.lower() in (result.err + result.out).lower(), (name, result)
    assert "no Nothing" in env.daemon.isle("build", "-f", "Nothing", context(env, "x", "FROM busybox"), check=False,
                                           timeout=60).err.replace("'", "")


def test_secrets_stay_out_of_the_image(env):
    need(env)
    folder = context(env, "secret", """
FROM busybox
RUN --mount=type=secret,id=token cp /run/secrets/token /used && wc -c </used >/size && rm /used
""")
    os.environ["ISLE_TEST_TOKEN"] = "very-secret"
    env.daemon.isle("build", "-t", "secret:1", "--secret", "id=token,env=ISLE_TEST_TOKEN", folder, timeout=120)
    assert env.daemon.isle("run", "--rm", "secret:1", "cat", "/size").out.strip() == "11"
    assert env.daemon.isle("run", "--rm", "secret:1", "ls", "/run", check=False).out.strip() in ("", "secrets")
    env.daemon.isle("image", "rm", "secret:1")


def test_a_client_that_goes_ends_its_build(env):
    need(env)
    folder = context(env, "slow", "FROM busybox\nRUN sleep 987\n")
    build = env.daemon.background("build", folder)
    deadline = time.monotonic() + 60
    while not host.processes("sleep 987"):
        assert time.monotonic() < deadline, "the step does not run"
        time.sleep(0.1)
    build.send_signal(signal.SIGKILL)
    build.wait()
    while host.processes("sleep 987"):
        assert time.monotonic() < deadline, "the build goes on"
        time.sleep(0.1)
    while [path for path in (env.daemon.state / "build").iterdir() if len(path.name) == 12]:
        assert time.monotonic() < deadline, list((env.daemon.state / "build").iterdir())
        time.sleep(0.1)


def test_builds_beside_each_other(env):
    need(env)
    folders = [context(env, f"many{n}", f"FROM busybox\nRUN echo {n} >/n\n") for n in range(3)]
    builds = [env.daemon.background("build", "-t", f"many:{n}", folder) for n, folder in enumerate(folders)]
    for build in builds:
        assert build.wait(120) == 0, build.stderr.read()
    for n in range(3):
        assert env.daemon.isle("run", "--rm", f"many:{n}", "cat", "/n").out == f"{n}\n"
        env.daemon.isle("image", "rm", f"many:{n}")


def test_commit(env):
    env.daemon.isle("run", "-d", "--name", "com", "busybox", "sleep", "1000")
    env.daemon.isle("exec", "com", "--", "sh", "-c", "echo made >/made; rm /etc/group")
    env.daemon.isle("commit", "com", "committed:1", "-m", "by a test", "-a", "me")
    assert env.daemon.status("com") == "Running"
    assert env.daemon.isle("run", "--rm", "committed:1", "cat", "/made").out == "made\n"
    assert env.daemon.isle("run", "--rm", "committed:1", "cat", "/etc/group", check=False).code == 1
    changes = env.daemon.isle("diff", "com").out.split("\n")
    assert changes[:-1] == ["C /etc", "D /etc/group", "A /made"], changes
    env.daemon.isle("delete", "-f", "com")
    env.daemon.isle("image", "rm", "committed:1")


def test_docker_builds_and_commits(env):
    need(env)
    if not shutil.which("docker"):
        raise Skip("no docker client")
    sockets = list(env.daemon.run_dir.glob("docker*.sock*"))
    if not sockets:
        raise Skip("the daemon under test has no socket for Docker clients")
    folder = context(env, "docker", "ARG X=1\nFROM busybox\nARG X\nRUN echo $X >/x\nLABEL a=b\n")

    def docker(*arguments, check=True):
        done = subprocess.run(["docker", "-H", f"unix://{sockets[0]}", *arguments], capture_output=True, text=True,
                              env={**os.environ, "DOCKER_BUILDKIT": "0"}, timeout=120)
        assert not check or done.returncode == 0, done
        return done

    built = docker("build", "-t", "fromdocker:1", "--build-arg", "X=7", str(folder)).stdout
    assert "Successfully built " in built and "Successfully tagged " in built and "Step 1/4 : FROM busybox" in built, built
    assert docker("run", "--rm", "fromdocker:1", "cat", "/x").stdout == "7\n"
    failed = docker("build", str(context(env, "docker2", "FROM busybox\nRUN exit 3\n")), check=False)
    assert failed.returncode == 3 and "The command '/bin/sh -c exit 3' returned a non-zero code: 3" in failed.stderr, failed
    # A value that no command uses makes another image, too.
    valued = str(context(env, "docker5", "FROM busybox\nARG V=none\nENV V=$V\nLABEL v=$V\nCMD env\n"))
    for value in ("one", "two", "one"):
        docker("build", "-t", "valued", "--build-arg", f"V={value}", valued)
        assert f"V={value}\n" in docker("run", "--rm", "valued").stdout, value
    docker("build", "-t", "valued", valued)
    assert "V=none\n" in docker("run", "--rm", "valued").stdout
    docker("rmi", "valued")
    bare = context(env, "docker3", 'FROM scratch\nLABEL a=b\nCMD ["/box/echo", "bare"]\n')
    docker("build", "-t", "bare", str(bare))
    assert docker("image", "inspect", "-f", "{{.RootFS.Layers}} {{.Config.Labels.a}}", "bare").stdout == "[] b\n"
    docker("create", "--name", "whole", "busybox", "true")
    docker("cp", "whole:/bin", str(bare))
    docker("rm", "whole")
    assert docker("run", "--rm", "-v", f"{bare}/bin:/box", "bare").stdout == "bare\n"
    docker("build", "-t", "bare", str(context(env, "docker4", "FROM bare\nCOPY Dockerfile /\n")))
    docker("rmi", "bare")
    docker("run", "-d", "--name", "dc", "busybox", "sleep", "1000")
    docker("exec", "dc", "touch", "/new")
    assert docker("diff", "dc").stdout == "A /new\n"
    docker("commit", "-m", "m", "dc", "committed:2")
    assert docker("run", "--rm", "committed:2", "ls", "/new").stdout == "/new\n"
    docker("rm", "-f", "dc")
    docker("rmi", "committed:2", "fromdocker:1")
