# The same work with pyvmomi. Arguments: host, port, user, password, what to do, and for what.
# After each step it prints a line and waits for one.
import sys
from pyVim.connect import SmartConnect, Disconnect
from pyVim.task import WaitForTask, WaitForTasks
from pyVmomi import vim, vmodl

host, port, user, password, verb = sys.argv[1:6]
rest = sys.argv[6:]
pc = vmodl.query.PropertyCollector


def step(said):
    print(said, flush=True)
    sys.stdin.readline()


def machines(content, paths):
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
    spec = pc.FilterSpec(
        objectSet=[pc.ObjectSpec(obj=view, skip=True, selectSet=[
            pc.TraversalSpec(type=vim.view.ContainerView, path='view', skip=False)])],
        propSet=[pc.PropertySpec(type=vim.VirtualMachine, pathSet=paths)])
    page = content.propertyCollector.RetrievePropertiesEx([spec], pc.RetrieveOptions())
    while page:
        for item in page.objects:
            yield item.obj, {p.name: p.val for p in item.propSet}
        page = page.token and content.propertyCollector.ContinueRetrievePropertiesEx(page.token)
    view.DestroyView()


si = SmartConnect(host=host, port=int(port), user=user, pwd=password, disableSslCertValidation=True)
content = si.RetrieveContent()
if verb == 'read':
    print(sum(len(values) > 0 for _, values in machines(content, rest)))
elif verb == 'first':
    content.rootFolder.name
    step('done')
elif verb == 'path':
    step('ready')
    content.searchIndex.FindByInventoryPath(rest[0]).name
    step('done')
elif verb == 'tasks':
    vms = [vm for vm, _ in machines(content, ['name'])][:int(rest[0])]
    step('ready')
    WaitForTasks([vm.ReconfigVM_Task(vim.vm.ConfigSpec()) for vm in vms], si=si)
    step('done')
    WaitForTask(vms[0].ReconfigVM_Task(vim.vm.ConfigSpec()), si=si)
    step('done')
elif verb == 'changes':
    vm = vim.VirtualMachine(rest[0], si._stub)
    collector = content.propertyCollector
    collector.CreateFilter(pc.FilterSpec(
        objectSet=[pc.ObjectSpec(obj=vm)],
        propSet=[pc.PropertySpec(type=vim.VirtualMachine, pathSet=['name'])]), True)
    version = ''
    while True:
        update = collector.WaitForUpdatesEx(version, pc.WaitOptions(maxWaitSeconds=60))
        if update:
            version = update.version
            for change in update.filterSet[0].objectSet[0].changeSet:
                print('value', change.val, flush=True)
Disconnect(si)
