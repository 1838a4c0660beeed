"""Uses the Docker front end through docker's SDK.

The containers are scripted: the front end implements their commands.
"""

import io
import socket
import tarfile

import docker
from docker.errors import APIError, ContainerError, ImageNotFound, NotFound


def archive():
    """Returns the tar archive of a root file system with one file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        content = b"not read by scripted containers\n"
        entry = tarfile.TarInfo("hello")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def refused(kind, call, *words):
    """Checks that a call fails with an error of this kind that contains these words."""
    try:
        call()
    except kind as error:
        assert all(word in str(error) for word in words), str(error)
        return error
    raise AssertionError(f"it was not refused with {kind.__name__}")


client = docker.from_env()
assert client.ping()
assert client.version()["ApiVersion"]
assert client.info()["Containers"] == 0

client.api.import_image_from_data(
    archive(), repository="hello-world", tag="latest", changes=['CMD ["/hello"]']
)
image = client.images.get("hello-world")
assert image.tags == ["hello-world:latest"], image.tags
assert image.tag("other", tag="1")
assert len(client.images.list()) == 1
client.images.remove("other:1")
refused(ImageNotFound, lambda: client.images.get("other:1"), "other:1")

assert b"Hello from a scripted container!" in client.containers.run("hello-world", remove=True)
both = client.containers.run("hello-world", "both", stdout=True, stderr=True, remove=True)
assert both == b"out\nerr\n", both
failed = refused(ContainerError, lambda: client.containers.run("hello-world", "exit 3"))
assert failed.exit_status == 3
assert client.containers.prune()["ContainersDeleted"]

box = client.containers.run(
    "hello-world",
    "cat",
    name="box",
    detach=True,
    stdin_open=True,
    labels={"tier": "test"},
    environment=["A=1"],
    ports={"80/tcp": ("127.0.0.1", None)},
)
box.reload()
assert box.status == "running", box.status
assert [each.name for each in client.containers.list(filters={"label": "tier=test"})] == ["box"]
(binding,) = box.ports["80/tcp"]
with socket.create_connection((binding["HostIp"], int(binding["HostPort"]))) as port:
    port.sendall(b"to and fro")
    assert port.recv(64) == b"to and fro"

attached = box.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
attached._sock.sendall(b"typed\n")
header = attached.read(8)
assert header[0] == 1 and header[4:] == (6).to_bytes(4, "big"), header
assert attached.read(6) == b"typed\n"
attached.close()
assert box.logs(tail=1) == b"typed\n"
assert b"typed" in next(box.logs(stream=True, follow=True))

box.pause()
box.reload()
assert box.status == "paused", box.status
box.unpause()
box.rename("chest")
refused(APIError, lambda: box.remove(), "chest")
box.kill()
assert box.wait()["StatusCode"] == 137
box.restart()
box.stop(timeout=1)
assert box.wait(condition="not-running")["StatusCode"] == 143

network = client.networks.create("back", labels={"tier": "back"})
assert [each.name for each in client.networks.list(names=["back"])] == ["back"]
network.connect(box, aliases=["db"])
box.reload()
assert sorted(box.attrs["NetworkSettings"]["Networks"]) == ["back", "bridge"]
network.disconnect(box)
network.remove()
refused(NotFound, lambda: client.networks.get("back"), "back")

box.remove()
refused(NotFound, lambda: client.containers.get("chest"), "chest")
error = refused(APIError, lambda: client.volumes.list(), "docker volume is not supported")
assert error.status_code == 501
client.images.remove("hello-world")
assert client.images.list() == []
client.close()
