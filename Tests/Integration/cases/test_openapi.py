"""The API against its own description: random requests of schemathesis, over TLS with a client's certificate."""
import os
import pathlib
import subprocess
import sys

from isletest.runner import Skip

HTTPS = "127.0.0.1:18444"
TOOLS = pathlib.Path("/var/tmp/isle-schemathesis")
# What would take the listener or the client's own certificate away, fetch from the network, or wait for long.
EXCLUDED = ("^/1.0$|^/1.0/(images|kernels|certificates|builds?|containers|virtual-machines)"
            "|/wait$|/websocket$|/events$|openapi.json")
SETTINGS = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 501]
"""


def schemathesis():
    program = TOOLS / "bin/schemathesis"
    if not program.exists():
        made = subprocess.run([sys.executable, "-m", "venv", TOOLS], capture_output=True)
        done = made.returncode or subprocess.run(
            [TOOLS / "bin/pip", "-q", "install", "schemathesis==4.32.5"], capture_output=True, timeout=300).returncode
        if done:
            raise Skip("schemathesis cannot be installed")
    return program


def test_random_requests(env):
    program = schemathesis()
    folder = env.folder / "openapi"
    folder.mkdir(exist_ok=True)
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes", "-days", "2",
         "-subj", "/CN=tester", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], capture_output=True)
    if made.returncode:
        raise Skip("openssl cannot make a certificate")
    (folder / "schemathesis.toml").write_text(SETTINGS)
    env.daemon.isle("config", "trust", "add", "tester", "--certificate", folder / "cert.pem")
    env.daemon.isle("config", "server", "set", f"core.https_address={HTTPS}")
    try:
        done = subprocess.run(
            env.namespace.command(
                program, "--config-file", folder / "schemathesis.toml", "run", f"https://{HTTPS}/1.0/openapi.json",
                "--url", f"https://{HTTPS}", "--tls-verify", "false", "--request-cert", folder / "cert.pem",
                "--request-cert-key", folder / "key.pem", "--exclude-path-regex", EXCLUDED, "--max-examples", "8",
                "--phases", "examples,fuzzing", "--max-time", "40", "--seed", "1", "--generation-database", "none",
                "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,"
                "response_schema_conformance", "--no-color", "--suppress-health-check", "all"),
            capture_output=True, text=True, timeout=120, cwd=folder, env={**os.environ, "PYTHONWARNINGS": "ignore"})
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        assert env.daemon.process.poll() is None
    finally:
        env.daemon.isle("config", "server", "unset", "core.https_address")
        for certificate in env.daemon.json("config", "trust", "list"):
            env.daemon.isle("config", "trust", "remove", certificate["fingerprint"])
        for network in env.daemon.json("network", "list"):
            if network["name"] != env.daemon.bridge:
                env.daemon.isle("network", "delete", network["name"], check=False)
        for project in env.daemon.json("project", "list"):
            if project["name"] != "default":
                env.daemon.isle("project", "delete", project["name"], check=False)
        for profile in env.daemon.json("profile", "list"):
            if profile["name"] != "default":
                env.daemon.isle("profile", "delete", profile["name"], check=False)
