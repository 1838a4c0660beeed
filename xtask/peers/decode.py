"""Print how long pyvmomi takes to decode a page of machines, and to encode it.

Usage: decode.py FILE. The decoder is the one that its client uses,
SoapResponseDeserializer; each time is the best of five. It is pyvmomi's side
of cargo xtask bench-peers.
"""

import io
import sys
import time

from pyVmomi import SoapAdapter, VmomiSupport, vim, vmodl

# Without the newest version some properties are unknown to it.
VERSION = VmomiSupport.newestVersions.Get("vim")


def decode(payload):
    """Decode to pyvmomi's objects: what stands in the body of the answer."""
    stub = SoapAdapter.SoapStubAdapter(host="unused", port=-443, version=VERSION)
    deserializer = SoapAdapter.SoapResponseDeserializer(stub)
    result = vmodl.query.PropertyCollector.RetrieveResult
    return deserializer.Deserialize(io.BytesIO(payload), result)


def encode(page):
    """Encode as pyvmomi encodes an argument."""
    return SoapAdapter.Serialize(page, None, VERSION)


def count(page):
    """Count the disks, to show that everything was decoded."""
    return sum(
        isinstance(device, vim.vm.device.VirtualDisk)
        for content in page.objects
        for prop in content.propSet
        if prop.name == "config"
        for device in prop.val.hardware.device
    )


def main():
    with open(sys.argv[1], "rb") as file:
        payload = file.read()
    decoding = encoding = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        page = decode(payload)
        decoding = min(decoding, time.perf_counter() - start)
        start = time.perf_counter()
        written = len(encode(page))
        encoding = min(encoding, time.perf_counter() - start)
    print(f"disks={count(page)}")
    print(f"decode_seconds={decoding}")
    print(f"encode_seconds={encoding}")
    print(f"encoded_bytes={written}")


main()
