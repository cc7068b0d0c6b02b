"""nginx as fast as it gets: one worker, kept-alive connections both ways, log lines written in batches."""

from __future__ import annotations

from bench.peers.install import debian_peer, first_line
from bench.peers.launch import Launch, Place

TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def launch(place: Place) -> Launch:
    """nginx from PATH, or Debian's, unpacked into the cache."""
    program = debian_peer(["nginx"], "nginx", place.cache / "nginx")
    conf = place.write("nginx.conf", configuration(place))
    version = first_line([str(program), "-v"]).rpartition("/")[2]
    return Launch((str(program), "-p", str(place.work), "-e", "error.log", "-c", str(conf)), version)


def configuration(place: Place) -> str:
    """The same duties as far as nginx has them: 8 replicas by least connections, a body limit, a log line."""
    servers = "\n".join(f"    server {upstream};" for upstream in place.upstreams)
    temporary = "\n".join(f"  {kind}_temp_path {place.work}/{kind};" for kind in TEMPORARY)
    return f"""daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid {place.work}/nginx.pid;
events {{ worker_connections 8192; }}
http {{
  access_log {place.work}/access.log combined buffer=64k flush=1s;
{temporary}
  keepalive_requests 1000000000;
  client_max_body_size 4m;
  client_body_buffer_size 512k;  # a prompt of 200 KB stays in memory
  upstream replicas {{
    least_conn;
{servers}
    keepalive 128;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{place.port};
    location / {{
      proxy_pass http://replicas;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;  # tokens leave as they come
    }}
  }}
}}
"""
