"""What the client of Python does with an API server behind Sluice."""

from kubernetes import client, config, watch

config.load_kube_config()
core = client.CoreV1Api()

pods = core.list_namespaced_pod("dev")
assert sorted(pod.metadata.name for pod in pods.items) == ["db", "web"], pods
assert pods.items[0].spec.containers[0].image == "registry.example/app:1"

secret = core.read_namespaced_secret("db", "dev")
assert secret.data["password"], secret

settings = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="python"), data={"a": "b"})
core.create_namespaced_config_map("dev", settings)
core.patch_namespaced_config_map("python", "dev", {"data": {"a": "c"}})
assert core.read_namespaced_config_map("python", "dev").data == {"a": "c"}

names = []
for event in watch.Watch().stream(core.list_namespaced_config_map, "dev", timeout_seconds=10):
    names.append(event["object"].metadata.name)
    if len(names) == 2:
        break
assert sorted(names) == ["python", "settings"], names

core.delete_namespaced_config_map("python", "dev")
assert "starting web" in core.read_namespaced_pod_log("web", "dev")

try:
    core.list_namespaced_pod("prod")
    raise AssertionError("another namespace was shown")
except client.ApiException as error:
    assert error.status == 403 and '"kind":"Status"' in error.body, error

print("all is well")
