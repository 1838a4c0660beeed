"""Create a machine with pyvmomi, reconfigure it, switch it on and off, and delete it.

The arguments are the name of a datastore and the name of a host. Prints what it
found, and "done" at the end; ends with a traceback and status 1 when anything is
amiss.
"""

import sys

from endpoint import connect, expect, find
from pyVim.connect import Disconnect
from pyVim.task import WaitForTask
from pyVmomi import vim

NAME = "from python"


def host_of(content, name):
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.HostSystem], True)
    try:
        return next(host for host in view.view if host.name == name)
    finally:
        view.Destroy()


def added(device, file_operation=None):
    operation = vim.vm.device.VirtualDeviceSpec.Operation.add
    change = vim.vm.device.VirtualDeviceSpec(operation=operation, device=device)
    if file_operation:
        change.fileOperation = file_operation
    return change


def created(content, datastore, host):
    controller = vim.vm.device.ParaVirtualSCSIController(
        key=-1, busNumber=0, sharedBus=vim.vm.device.VirtualSCSIController.Sharing.noSharing
    )
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
        fileName=f"[{datastore}]", diskMode="persistent", thinProvisioned=True
    )
    disk = vim.vm.device.VirtualDisk(
        key=-2, controllerKey=-1, unitNumber=0, capacityInKB=10240, backing=backing
    )
    spec = vim.vm.ConfigSpec(
        name=NAME,
        guestId="otherGuest64",
        numCPUs=1,
        memoryMB=128,
        files=vim.vm.FileInfo(vmPathName=f"[{datastore}]"),
        deviceChange=[added(controller), added(disk, "create")],
    )
    folder = content.rootFolder.childEntity[0].vmFolder
    task = folder.CreateVM_Task(config=spec, pool=host.parent.resourcePool, host=host)
    WaitForTask(task)
    return task.info.result


def reconfigured(machine, host):
    network = next(network for network in host.network if network.name == "VM Network")
    backing = vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(
        deviceName=network.name, network=network
    )
    card = vim.vm.device.VirtualVmxnet3(key=-1, backing=backing, addressType="generated")
    spec = vim.vm.ConfigSpec(
        changeVersion=machine.config.changeVersion,
        numCPUs=2,
        memoryMB=256,
        annotation="zwei",
        deviceChange=[added(card)],
        extraConfig=[vim.option.OptionValue(key="guestinfo.greeting", value="grüß <dich>")],
    )
    WaitForTask(machine.ReconfigVM_Task(spec))
    try:
        WaitForTask(machine.ReconfigVM_Task(spec))
    except vim.fault.ConcurrentAccess as fault:
        print(f"fault {type(fault).__name__}")
    else:
        raise AssertionError("an outdated version was accepted")


def facts(machine, host):
    config = machine.config
    expect((config.hardware.numCPU, config.hardware.memoryMB), (2, 256))
    expect(config.annotation, "zwei")
    values = {option.key: option.value for option in config.extraConfig}
    expect(values["guestinfo.greeting"], "grüß <dich>")
    devices = config.hardware.device
    disk = next(d for d in devices if isinstance(d, vim.vm.device.VirtualDisk))
    expect((disk.capacityInKB, disk.unitNumber), (10240, 0))
    card = next(d for d in devices if isinstance(d, vim.vm.device.VirtualEthernetCard))
    expect((card.backing.deviceName, len(card.macAddress)), ("VM Network", 17))
    summary = machine.summary
    expect((summary.config.name, summary.config.numEthernetCards), (NAME, 1))
    expect((machine.runtime.host, summary.runtime.powerState), (host, "poweredOff"))
    expect(machine in machine.datastore[0].vm and machine in host.vm, True)


def power(machine):
    WaitForTask(machine.PowerOnVM_Task())
    expect(machine.runtime.powerState, "poweredOn")
    try:
        WaitForTask(machine.PowerOnVM_Task())
    except vim.fault.InvalidPowerState as fault:
        # The API calls the state that the operation needs the requested one.
        expect((fault.requestedState, fault.existingState), ("poweredOff", "poweredOn"))
    else:
        raise AssertionError("a running machine was switched on")
    try:
        WaitForTask(machine.Destroy_Task())
    except vim.fault.InvalidPowerState as fault:
        print(f"fault {type(fault).__name__}")
    else:
        raise AssertionError("a running machine was deleted")
    WaitForTask(machine.SuspendVM_Task())
    expect(machine.runtime.powerState, "suspended")
    WaitForTask(machine.PowerOnVM_Task())
    WaitForTask(machine.ResetVM_Task())
    WaitForTask(machine.PowerOffVM_Task())
    expect(machine.summary.runtime.powerState, "poweredOff")


def main():
    instance = connect()
    try:
        content = instance.RetrieveContent()
        host = host_of(content, sys.argv[2])
        machine = created(content, sys.argv[1], host)
        expect(find(content, NAME), machine)
        reconfigured(machine, host)
        facts(machine, host)
        power(machine)
        WaitForTask(machine.Destroy_Task())
        expect(machine in host.vm, False)
        print("done")
    finally:
        Disconnect(instance)


if __name__ == "__main__":
    main()
