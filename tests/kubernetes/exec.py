"""Runs a program in a container by the Python client: `exec.py SERVER CA TOKEN POD`."""

import json
import sys

from kubernetes import client
from kubernetes.stream import stream

server, ca, token, pod = sys.argv[1:]
configuration = client.Configuration(host=server)
configuration.ssl_ca_cert = ca
configuration.api_key = {"authorization": f"Bearer {token}"}
api = client.CoreV1Api(client.ApiClient(configuration))
script = "echo paid 4111111111111111; echo failed >&2; read line; echo got $line; exit 3"
running = stream(
    api.connect_get_namespaced_pod_exec,
    pod,
    "default",
    command=["sh", "-c", script],
    stdin=True,
    stdout=True,
    stderr=True,
    tty=False,
    _preload_content=False,
)
running.write_stdin("a line\n")
running.run_forever(timeout=30)
said = {"stdout": running.read_stdout(), "stderr": running.read_stderr(), "status": running.returncode}
running.close()
print(json.dumps(said))
