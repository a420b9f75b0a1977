"""A real nginx in front of a server, with connections that it keeps and gives to one client after another."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from shutil import which

from tests.support.process import free_port, serve
from tests.support.redis_server import missing

KEPT = """
daemon off;
worker_processes 1;
error_log stderr warn;
pid {folder}/pid;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_max_body_size 50m;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream app {{ server 127.0.0.1:{upstream}; keepalive 32; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ {location} }}
    }}
}}
"""
HTTP = 'proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_next_upstream off;'


@contextlib.contextmanager
def nginx(upstream: int, location: str = HTTP) -> Iterator[int]:
    """Run nginx in front of a server until the end of the `with` block; give its port.

    Args:
        upstream: port of the server.
        location: what nginx does with requests; `http://app` stands for the server.
    """
    program = which("nginx", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    if program is None:
        missing("nginx")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        # Its workers may run as another user than its master.
        Path(folder).chmod(0o755)
        config = Path(folder, "nginx.conf")
        config.write_text(KEPT.format(folder=folder, port=port, upstream=upstream, location=location))
        with serve([program, "-c", config, "-p", folder, "-e", "stderr"], ready=port):
            yield port
