"""Docker Compose, the old one in Python and the new one in Go, against the daemon under test."""
import os
import pathlib
import shutil
import subprocess

from .docker import environment
from .runner import Skip

PLACES = ["/usr/libexec/docker/cli-plugins", "/usr/lib/docker/cli-plugins", "/usr/local/lib/docker/cli-plugins",
          "/usr/local/libexec/docker/cli-plugins"]


def plugin():
    """The program of Compose 2; None if it is not installed."""
    home = pathlib.Path(os.environ.get("DOCKER_CONFIG", pathlib.Path.home() / ".docker")) / "cli-plugins"
    places = [os.environ.get("ISLE_TEST_COMPOSE", "")] + [f"{place}/docker-compose" for place in [home, *PLACES]]
    return next((place for place in places if place and os.access(place, os.X_OK)), None)


class Compose:
    def __init__(self, env, program, generation):
        self.env, self.program, self.generation = env, program, generation

    @classmethod
    def first(cls, env):
        program = shutil.which("docker-compose")
        if not program or b"1." not in subprocess.run([program, "version", "--short"], capture_output=True).stdout[:3]:
            raise Skip("no docker-compose 1 (apt install docker-compose)")
        return cls(env, program, 1)

    @classmethod
    def second(cls, env):
        program = plugin()
        if not program:
            raise Skip("no Compose 2 plug-in (ISLE_TEST_COMPOSE names its program)")
        return cls(env, program, 2)

    def __call__(self, folder, project, *arguments, check=True, output="out", seconds=180, **variables):
        values = {**environment(self.env), "DOCKER_BUILDKIT": "0", "COMPOSE_DOCKER_CLI_BUILD": "0", **variables}
        done = subprocess.run([self.program, "-p", project, *arguments], cwd=folder, env=values, capture_output=True,
                              timeout=seconds, stdin=subprocess.DEVNULL)
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        if check and done.returncode != 0:
            raise AssertionError(f"compose {arguments}: {out}\n{err}\n{self.env.daemon.log_tail(8)}")
        return out if output == "out" else err + out
