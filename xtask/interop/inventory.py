"""Log in with pyvmomi, walk the inventory, and print its objects.

Prints one line per object, "Type name", and for each virtual
machine its power state and its extraConfig, so that the caller can look for
what it put there. Ends with a traceback and status 1 when anything is amiss.
"""

import sys

from endpoint import connect
from pyVim.connect import Disconnect
from pyVmomi import vim, vmodl


def walk(entity, found):
    """Follow the children one property at a time, as scripts commonly do."""
    found.append(entity)
    if isinstance(entity, vim.Folder):
        children = entity.childEntity
    elif isinstance(entity, vim.Datacenter):
        children = [entity.vmFolder, entity.hostFolder, entity.datastoreFolder, entity.networkFolder]
    elif isinstance(entity, vim.ComputeResource):
        children = [*entity.host, entity.resourcePool]
    elif isinstance(entity, vim.ResourcePool):
        children = entity.resourcePool
    else:
        children = []
    for child in children:
        walk(child, found)


def in_one_view(content):
    """Return the names of all virtual machines, from a view and one retrieval."""
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
    try:
        traversal = vmodl.query.PropertyCollector.TraversalSpec(
            name="view", path="view", skip=False, type=vim.view.ContainerView
        )
        spec = vmodl.query.PropertyCollector.FilterSpec(
            objectSet=[
                vmodl.query.PropertyCollector.ObjectSpec(obj=view, skip=True, selectSet=[traversal])
            ],
            propSet=[
                vmodl.query.PropertyCollector.PropertySpec(type=vim.VirtualMachine, pathSet=["name"])
            ],
        )
        options = vmodl.query.PropertyCollector.RetrieveOptions(maxObjects=1)
        result = content.propertyCollector.RetrievePropertiesEx([spec], options)
        names = []
        while result is not None:
            names += [prop.val for each in result.objects for prop in each.propSet]
            if not result.token:
                break
            result = content.propertyCollector.ContinueRetrievePropertiesEx(result.token)
        return names
    finally:
        view.DestroyView()


def main():
    instance = connect()
    try:
        content = instance.RetrieveContent()
        about = content.about
        print(f"about {about.fullName}, API {about.apiType} {about.apiVersion}")
        found = []
        walk(content.rootFolder, found)
        for entity in found:
            print(f"{type(entity).__name__.rsplit('.', 1)[-1]} {entity.name}")
        machines = [entity for entity in found if isinstance(entity, vim.VirtualMachine)]
        for machine in machines:
            print(f"machine {machine.name} {machine.runtime.powerState}")
            for option in machine.config.extraConfig:
                print(f"  {option.key} = {option.value}")
        if sorted(in_one_view(content)) != sorted(machine.name for machine in machines):
            sys.exit("the view and the walk disagree about the virtual machines")
        try:
            vim.VirtualMachine("no-such-machine", instance._stub).name
        except vmodl.fault.ManagedObjectNotFound as fault:
            print(f"fault {type(fault).__name__} for {fault.obj}")
        else:
            sys.exit("the server returned an object that does not exist")
    finally:
        Disconnect(instance)


if __name__ == "__main__":
    main()
