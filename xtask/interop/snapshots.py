"""Take, revert to, rename and remove snapshots with pyvmomi, and clone a machine, which a
host without a vCenter refuses.

The argument is the name of a machine that is on.
Prints what it found, and "done" at the end; ends with a traceback and status 1
when anything is amiss.
"""

import sys

from endpoint import connect, expect, find
from pyVim.connect import Disconnect
from pyVim.task import WaitForTask
from pyVmomi import vim, vmodl


def names(trees):
    """Return the tree as nested lists of names."""
    return [[tree.name, tree.state, names(tree.childSnapshotList)] for tree in trees]


def disk(config):
    return next(d for d in config.hardware.device if isinstance(d, vim.vm.device.VirtualDisk))


def chain(config):
    backing, files = disk(config).backing, []
    while backing is not None:
        files.append(backing.fileName.rsplit("/", 1)[-1])
        backing = backing.parent
    return files


def take(machine, name, memory):
    task = machine.CreateSnapshot_Task(name=name, description="", memory=memory, quiesce=False)
    WaitForTask(task)
    return task.info.result


def snapshots(machine):
    before = chain(machine.config)
    first = take(machine, "first", False)
    second = take(machine, "second", True)
    expect(
        names(machine.snapshot.rootSnapshotList),
        [["first", "poweredOff", [["second", "poweredOn", []]]]],
    )
    expect(machine.snapshot.currentSnapshot, second)
    expect(machine.rootSnapshot, [first])
    expect(first.childSnapshot, [second])
    expect(second.vm, machine)
    expect(chain(first.config), before)
    expect(len(chain(machine.config)), len(before) + 2)
    WaitForTask(first.RevertToSnapshot_Task())
    expect(machine.runtime.powerState, "poweredOff")
    WaitForTask(second.RevertToSnapshot_Task())
    expect(machine.runtime.powerState, "poweredOn")
    second.RenameSnapshot(name="renamed", description="why")
    tree = machine.snapshot.rootSnapshotList[0].childSnapshotList[0]
    expect((tree.name, tree.description), ("renamed", "why"))
    expect([layout.key for layout in machine.layoutEx.snapshot], [first, second])
    WaitForTask(first.RemoveSnapshot_Task(removeChildren=False))
    expect(names(machine.snapshot.rootSnapshotList), [["renamed", "poweredOn", []]])
    try:
        first.config
    except vmodl.fault.ManagedObjectNotFound as fault:
        print(f"fault {type(fault).__name__}")
    WaitForTask(machine.RemoveAllSnapshots_Task())
    expect(machine.snapshot, None)
    expect(chain(machine.config), before)
    try:
        WaitForTask(machine.RevertToCurrentSnapshot_Task())
    except vim.fault.NotFound as fault:
        print(f"fault {type(fault).__name__}")


def clones(content, machine):
    snapshot = take(machine, "base", False)
    location = vim.vm.RelocateSpec(
        pool=machine.resourcePool, diskMoveType="createNewChildDiskBacking"
    )
    spec = vim.vm.CloneSpec(location=location, snapshot=snapshot, powerOn=True, template=False)
    task = machine.CloneVM_Task(folder=machine.parent, name="linked", spec=spec)
    WaitForTask(task)
    linked = task.info.result
    expect(chain(linked.config)[1:], chain(snapshot.config))
    expect(linked.runtime.powerState, "poweredOn")
    if linked.config.instanceUuid == machine.config.instanceUuid:
        raise AssertionError("the clone has the id of its source")
    without = vim.vm.CloneSpec(location=location, powerOn=False, template=False)
    try:
        WaitForTask(machine.CloneVM_Task(folder=machine.parent, name="x", spec=without))
    except vmodl.fault.InvalidArgument as fault:
        expect(fault.invalidProperty, "spec.snapshot")
    instant = vim.vm.InstantCloneSpec(name="instant", location=vim.vm.RelocateSpec())
    task = linked.InstantClone_Task(spec=instant)
    WaitForTask(task)
    expect(task.info.result.runtime.powerState, "poweredOn")
    for name in ["instant", "linked"]:
        clone = find(content, name)
        WaitForTask(clone.PowerOffVM_Task())
        WaitForTask(clone.Destroy_Task())
    WaitForTask(snapshot.RemoveSnapshot_Task(removeChildren=True, consolidate=True))


def no_clones(machine):
    spec = vim.vm.CloneSpec(location=vim.vm.RelocateSpec(), powerOn=False, template=False)
    try:
        WaitForTask(machine.CloneVM_Task(folder=machine.parent, name="x", spec=spec))
    except vmodl.fault.NotSupported as fault:
        print(f"fault {type(fault).__name__}")
    else:
        raise AssertionError("a host without a vCenter cloned a machine")


def main():
    instance = connect()
    try:
        content = instance.RetrieveContent()
        machine = find(content, sys.argv[1])
        snapshots(machine)
        if content.about.apiType == "VirtualCenter":
            clones(content, machine)
        else:
            no_clones(machine)
        print("done")
    finally:
        Disconnect(instance)


if __name__ == "__main__":
    main()
