"""What the client of Python does with a real cluster behind Sluice."""

from kubernetes import client, config, watch
from kubernetes.stream import stream

config.load_kube_config()
core = client.CoreV1Api()

pods = core.list_namespaced_pod("dev")
assert [pod.metadata.name for pod in pods.items] == ["web"], pods
assert pods.items[0].spec.containers[0].image == "sluice.test/busybox:1"
assert "canary" not in str(core.read_namespaced_secret("db", "dev"))

core.create_namespaced_config_map("dev", client.V1ConfigMap(metadata=client.V1ObjectMeta(name="python"), data={"a": "b"}))
core.patch_namespaced_config_map("python", "dev", {"data": {"a": "c"}})
assert core.read_namespaced_config_map("python", "dev").data == {"a": "c"}

names = []
for event in watch.Watch().stream(core.list_namespaced_config_map, "dev", timeout_seconds=20):
    names.append(event["object"].metadata.name)
    if len(names) == 2:
        break
assert sorted(names) == ["python", "settings"], names
core.delete_namespaced_config_map("python", "dev")

command = ["sh", "-c", "echo out; echo err >&2; exit 4"]
running = stream(core.connect_get_namespaced_pod_exec, "web", "dev", command=command, stdout=True, stderr=True, _preload_content=False)
running.run_forever(timeout=30)
assert running.read_stdout() == "out\n" and running.read_stderr() == "err\n", "another output"
assert running.returncode == 4, running.returncode

try:
    core.list_namespaced_pod("prod")
    raise AssertionError("another namespace was shown")
except client.ApiException as error:
    assert error.status == 403 and '"kind":"Status"' in error.body, error

print("all is well")
