"""Read by the task worker's Python before anything else, because infrahub.sh has this folder in PYTHONPATH.

The worker serves metrics on all addresses of the machine and has no setting against it. Here: on loopback only.
"""

import functools

import prometheus_client

prometheus_client.start_http_server = functools.partial(prometheus_client.start_http_server, addr="127.0.0.1")
