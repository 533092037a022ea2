"""A project as people have them: database, web application, cache and proxy, built from Dockerfiles on Debian; with `isle stack` and with
Compose 2."""
import os
import shutil
import time

from isletest import cache
from isletest.compose import Compose
from isletest.daemon import Daemon
from isletest.docker import docker
from isletest.runner import Skip
from test_2_network import fetch
from test_stack_build import Asker, nothing_left

PORT = 18520
BASE = """
FROM debian/bookworm
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \\
        postgresql redis-server nginx-light gunicorn python3-psycopg2 python3-redis && rm -rf /var/lib/apt/lists/*
"""
FILES = {
    "db/Dockerfile": """
FROM shop-base
COPY --chmod=755 start.sh /
RUN install -d -o postgres -g postgres -m 700 /data
VOLUME /data
USER postgres
ENV PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin
HEALTHCHECK --interval=500ms --retries=100 CMD pg_isready -q -h 127.0.0.1 -d shop
STOPSIGNAL SIGINT
CMD ["/start.sh"]
""",
    "db/start.sh": """#!/bin/sh
set -e
if [ ! -s /data/PG_VERSION ]; then
    initdb -D /data -A trust --no-sync >/dev/null
    echo "host all all all trust" >>/data/pg_hba.conf
    pg_ctl -D /data -o "-k /tmp -c listen_addresses=" -w start >/dev/null
    createdb -h /tmp shop
    psql -q -h /tmp -d shop -c "create table visits(id serial)"
    pg_ctl -D /data -m fast -w stop >/dev/null
fi
exec postgres -D /data -k /tmp -c listen_addresses='*'
""",
    "cache/Dockerfile": """
FROM shop-base
HEALTHCHECK --interval=500ms --retries=100 CMD redis-cli ping
CMD ["redis-server", "--save", "", "--bind", "0.0.0.0", "--protected-mode", "no"]
""",
    "web/Dockerfile": """
FROM shop-base AS checked
COPY app.py /app/
RUN python3 -m py_compile /app/app.py
FROM shop-base
ARG VERSION=none
ENV VERSION=$VERSION
COPY --from=checked /app/app.py /app/
WORKDIR /app
HEALTHCHECK --interval=500ms --retries=100 CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health', timeout=2)"]
CMD ["gunicorn", "-b", "0.0.0.0:8000", "--threads", "4", "--graceful-timeout", "8", "app:app"]
""",
    "web/app.py": """
import os, socket
import psycopg2, redis


def app(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/health":
        return [b"ok"]
    hits = redis.Redis("cache").incr("hits")
    with psycopg2.connect(host="db", user="postgres", dbname="shop") as database, database.cursor() as cursor:
        cursor.execute("insert into visits default values returning id")
        visit = cursor.fetchone()[0]
    return [f"{os.environ['VERSION']} {socket.gethostname()} {hits} {visit}".encode()]
""",
    "proxy/Dockerfile": """
FROM shop-base
COPY nginx.conf /
COPY --chmod=755 start.sh /
CMD ["/start.sh"]
""",
    "proxy/start.sh": """#!/bin/sh
server=$(awk '/^nameserver/ {print $2; exit}' /etc/resolv.conf)
sed "s/@SERVER@/$server/" /nginx.conf >/tmp/nginx.conf
exec nginx -c /tmp/nginx.conf -g 'daemon off;'
""",
    "proxy/nginx.conf": """
worker_processes 1;
pid /tmp/nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    resolver @SERVER@ valid=1s ipv6=off;
    server {
        listen 80;
        location / {
            set $upstream http://web:8000;
            proxy_pass $upstream;
            proxy_connect_timeout 1s;
            # Whoever has asked here closes its side at once.
            proxy_ignore_client_abort on;
            proxy_next_upstream error timeout;
        }
    }
}
""",
    "compose.yaml": """
services:
  db:
    build: db
    volumes: [data:/data]
    networks: [back]
  cache:
    build: cache
    networks: [back]
  web:
    build: {context: web, args: {VERSION: "${VERSION:-one}"}}
    depends_on: {db: {condition: service_healthy}, cache: {condition: service_healthy}}
    networks: [back, front]
    stop_grace_period: 10s
    deploy: {update_config: {order: start-first}}
  proxy:
    build: proxy
    depends_on: {web: {condition: service_healthy}}
    ports: ["127.0.0.1:18520:80"]
    networks: [front]
    stop_grace_period: 5s
networks: {front: , back: {internal: true}}
volumes: {data: }
""",
}


def project(env):
    """The folder of the project, with the base image in the daemon's store."""
    if not os.environ.get("ISLE_TEST_SHOP"):
        raise Skip("takes minutes, and packages of the mirror (ISLE_TEST_SHOP=1)")
    env.need("debian")
    if not shutil.which("buildah"):
        raise Skip("no buildah")
    archive = cache.FOLDER / "shop-base.oci.tar"
    if not cache.fresh(archive):
        make_base(env, archive)
    if env.daemon.isle("image", "inspect", "shop-base", check=False).code != 0:
        env.daemon.isle("image", "import", archive, timeout=300)
    folder = env.folder / "shop-real"
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip("\n"))
    return folder


def make_base(env, archive):
    """Built by a daemon that sees the package mirror: the one under test is in a namespace without a way out."""
    folder = env.folder / "shop-builder"
    (folder / "context").mkdir(parents=True)
    (folder / "context/Dockerfile").write_text(BASE)
    folder.chmod(0o711)
    builder = Daemon(env.programs, folder, env.daemon.bridge + "s")
    builder.start()
    try:
        problem = cache.base(builder, "debian/bookworm")
        if problem:
            raise Skip(problem)
        built = builder.isle("build", "-t", "shop-base", folder / "context", check=False, timeout=1200)
        if built.code != 0:
            raise Skip(f"the packages cannot be had: {built.err[-300:]}")
        cache.put("shop-base", archive, lambda image, path: builder.isle("image", "save", image, "-o", path, timeout=300))
    finally:
        builder.stop()


def page(env, seconds=0):
    """Words of the page: version, host, hits and visits. The proxy says nothing of its health, so that the first may take `seconds`."""
    end = time.monotonic() + seconds
    while True:
        answer = fetch(env, "127.0.0.1", PORT, "/")
        if " 200 " in answer.split("\r\n")[0]:
            return answer.split("\r\n\r\n")[-1].split()
        assert time.monotonic() < end, answer
        time.sleep(0.1)


def asked(env):
    """Hosts that answer, asked until there are three; the proxy keeps the addresses of a name for a second."""
    hosts, end = set(), time.monotonic() + 10
    while len(hosts) < 3 and time.monotonic() < end:
        hosts.add(page(env, 5)[1])
    return hosts


def test_stack(env):
    folder = project(env)
    variables = {"XDG_STATE_HOME": str(env.folder / "xdg")}

    def stack(verb, *arguments, check=True, **more):
        return env.daemon.isle("stack", verb, folder, "-p", "shop", *arguments, check=check, timeout=400, env={**variables, **more})

    try:
        stack("up")
        first = page(env, 20)
        assert first[0] == "one" and first[2:] == ["1", "1"], first
        stack("scale", "web=3")
        hosts = asked(env)
        assert len(hosts) == 3, hosts
        with Asker(env, PORT) as asker:
            stack("up", "--build", "--scale", "web=3", VERSION="two")
            # The proxy keeps names for a second.
            time.sleep(3)
        assert not asker.failures, asker.failures[:3]
        assert {"one", "two"} == set(asker.pages), set(asker.pages)
        visits = int(page(env)[3])
        assert visits > len(asker.pages), (visits, len(asker.pages))
        stack("down")
        stack("up", VERSION="two")
        assert int(page(env, 20)[3]) > visits, "the volume was not kept"
    finally:
        stack("down", "-v", check=False)
    nothing_left(env, "shop")


def test_compose_2(env):
    compose = Compose.second(env)
    folder = project(env)
    try:
        compose(folder, "shopc", "up", "-d", "--build", "--wait", seconds=400)
        assert page(env, 20)[0] == "one"
        compose(folder, "shopc", "up", "-d", "--wait", "--scale", "web=3", "--no-recreate")
        assert len(asked(env)) == 3
        compose(folder, "shopc", "up", "-d", "--build", "--wait", "--scale", "web=3", seconds=400, VERSION="two")
        assert page(env, 5)[0] == "two"
    finally:
        # Without -f Compose does not read the file, and images of the classic builder have no label of the project.
        compose(folder, "shopc", "-f", "compose.yaml", "down", "-v", "--rmi", "local", "-t", "2", check=False)
    nothing_left(env, "shopc")
    assert "shopc" not in docker(env, "images").out
