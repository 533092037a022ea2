import shutil
import subprocess
import time

from isletest.runner import Skip

CONFIGURATION = """
version: 0.1
storage: {{ filesystem: {{ rootdirectory: {folder}/store }} }}
http: {{ addr: "127.0.0.1:{port}" }}
auth: {{ htpasswd: {{ realm: test, path: {folder}/htpasswd }} }}
"""
# bcrypt of "secret", as htpasswd -B writes it.
HTPASSWD = "tester:{hash}\n"


def bcrypt():
    for command in (["htpasswd", "-nbB", "tester", "secret"],
                    ["python3", "-c", "import crypt; print('tester:' + crypt.crypt('secret', crypt.mksalt(crypt.METHOD_BLOWFISH)))"]):
        if shutil.which(command[0]):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode == 0 and "$2" in done.stdout:
                return done.stdout.strip().split(":", 1)[1]
    raise Skip("nothing here makes a bcrypt hash (htpasswd, python3 crypt)")


def test_push_and_pull_with_credentials(env):
    program = shutil.which("docker-registry") or shutil.which("registry")
    if not program:
        raise Skip("no docker-registry")
    folder = env.folder / "registry"
    folder.mkdir()
    (folder / "htpasswd").write_text(HTPASSWD.format(hash=bcrypt()))
    (folder / "config.yml").write_text(CONFIGURATION.format(folder=folder, port=5055))
    registry = subprocess.Popen(env.namespace.command(program, "serve", str(folder / "config.yml")),
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(1.5)
        isle = env.daemon.isle
        (folder / "password").write_text("secret")
        target = "127.0.0.1:5055/team/busybox:1"
        refused = isle("image", "push", "busybox", target, check=False)
        assert refused.code != 0, refused
        isle("image", "push", "busybox", target, "-u", "tester", "--password-file", folder / "password")
        digest = [i for i in env.daemon.json("image", "list")][0]
        assert digest
        refused = isle("image", "pull", target, check=False)
        assert refused.code != 0 and "secret" not in refused.err, refused
        isle("image", "pull", target, "-u", "tester", "--password-file", folder / "password")
        assert isle("run", "--rm", "--pull", "never", target, "echo", "pulled").out == "pulled\n"
        isle("image", "remove", target)
        assert b"secret" not in env.daemon.log.read_bytes()
    finally:
        registry.terminate()
        registry.wait()


def test_save_and_import(env):
    isle = env.daemon.isle
    for form in ("oci", "docker"):
        path = env.folder / f"saved-{form}.tar"
        isle("image", "save", "busybox", "-o", path, "--type", form)
        isle("image", "import", path, "--name", f"again-{form}")
        assert isle("run", "--rm", f"again-{form}", "echo", form).out == f"{form}\n"
        isle("image", "remove", f"again-{form}")
