"""Writes an image that containerd imports: busybox, by each of the names that it is called by here."""

import hashlib
import io
import json
import subprocess
import sys
import tarfile

NAME = "sluice.test/busybox:1"


def add(tar, name, data=b"", mode=0o755, **more):
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), mode
    for key, value in more.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(data))


def layer(busybox):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for folder in ("bin", "etc", "root", "tmp"):
            add(tar, folder, type=tarfile.DIRTYPE)
        with open(busybox, "rb") as program:
            add(tar, "bin/busybox", program.read())
        for applet in subprocess.check_output([busybox, "--list"], text=True).split():
            if applet != "busybox":
                add(tar, f"bin/{applet}", type=tarfile.SYMTYPE, linkname="busybox")
        add(tar, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", 0o644)
    return out.getvalue()


def main(busybox, path):
    data = layer(busybox)
    digest = hashlib.sha256(data).hexdigest()
    config = json.dumps({
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sleep", "2147483647"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }).encode()
    name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = [{"Config": name, "RepoTags": [NAME], "Layers": [f"{digest}/layer.tar"]}]
    with tarfile.open(path, "w") as tar:
        add(tar, name, config, 0o644)
        add(tar, f"{digest}/layer.tar", data, 0o644)
        add(tar, "manifest.json", json.dumps(manifest).encode(), 0o644)


main(*sys.argv[1:])
