"""The endpoint of a script: it comes from the environment, under govc's names.

GOVC_URL, GOVC_USERNAME and GOVC_PASSWORD. The certificate is not verified:
pyvmomi knows no pin by SHA-256.
"""

import os
import ssl
from urllib.parse import urlsplit

from pyVim.connect import SmartConnect
from pyVmomi import vim


def connect():
    """Log in; SmartConnect also reads /sdk/vimServiceVersions.xml first."""
    url = urlsplit(os.environ["GOVC_URL"])
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return SmartConnect(
        host=url.hostname,
        port=url.port or 443,
        user=os.environ["GOVC_USERNAME"],
        pwd=os.environ["GOVC_PASSWORD"],
        sslContext=context,
    )


def find(content, name):
    """Return the virtual machine of a name."""
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
    try:
        return next(machine for machine in view.view if machine.name == name)
    finally:
        view.Destroy()


def expect(found, expected):
    """Print a value, or raise if it is not the expected one."""
    if found != expected:
        raise AssertionError(f"found {found!r}, expected {expected!r}")
    print(found)
