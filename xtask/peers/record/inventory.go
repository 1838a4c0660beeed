package main

import (
	"context"
	"fmt"

	"github.com/vmware/govmomi/event"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/task"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// vCenter is a model with every kind of object.
func vCenter() *simulator.Model {
	model := simulator.VPX()
	model.Pool = 1
	model.App = 1
	model.Pod = 1
	model.Folder = 1
	model.PortgroupNSX = 1
	model.OpaqueNetwork = 1
	model.Datastore = 2
	return model
}

// fillVCenter creates what a model alone lacks.
func fillVCenter(ctx context.Context, s *scene) error {
	finder := find.NewFinder(s.client.Client)
	machines, err := finder.VirtualMachineList(ctx, "/...")
	if err != nil {
		return err
	}
	if err := furnish(ctx, s, machines[0]); err != nil {
		return err
	}
	fields, err := object.GetCustomFieldsManager(s.client.Client)
	if err != nil {
		return err
	}
	field, err := fields.Add(ctx, "owner", "VirtualMachine", nil, nil)
	if err != nil {
		return err
	}
	if err := fields.Set(ctx, machines[0].Reference(), field.Key, "team <blue> & co"); err != nil {
		return err
	}
	if err := alarm(ctx, s); err != nil {
		return err
	}
	if err := lease(ctx, s, finder); err != nil {
		return err
	}
	if err := fillHistory(ctx, s); err != nil {
		return err
	}
	return fillSession(ctx, s)
}

// fillESX creates on a host what its model alone lacks.
func fillESX(ctx context.Context, s *scene) error {
	machines, err := find.NewFinder(s.client.Client).VirtualMachineList(ctx, "/...")
	if err != nil {
		return err
	}
	if err := furnish(ctx, s, machines[0]); err != nil {
		return err
	}
	return fillSession(ctx, s)
}

// furnish adds keys, a note and two snapshots to a machine.
func furnish(ctx context.Context, s *scene, machine *object.VirtualMachine) error {
	wait := func(task *object.Task, err error) error {
		if err != nil {
			return err
		}
		return task.Wait(ctx)
	}
	spec := types.VirtualMachineConfigSpec{
		Annotation: "a note of\ntwo lines",
		ExtraConfig: []types.BaseOptionValue{
			&types.OptionValue{Key: "guestinfo.a", Value: "x < y & z"},
			&types.OptionValue{Key: "guestinfo.empty", Value: " "},
		},
		BootOptions: &types.VirtualMachineBootOptions{BootDelay: 5, EnterBIOSSetup: types.NewBool(false)},
	}
	if err := wait(machine.Reconfigure(ctx, spec)); err != nil {
		return fmt.Errorf("reconfigure: %w", err)
	}
	for _, name := range []string{"before", "after"} {
		if err := wait(machine.CreateSnapshot(ctx, name, "a snapshot", false, false)); err != nil {
			return fmt.Errorf("snapshot: %w", err)
		}
	}
	return nil
}

// alarm defines an alarm of our own.
func alarm(ctx context.Context, s *scene) error {
	manager := s.client.ServiceContent.AlarmManager
	if manager == nil {
		return nil
	}
	_, err := methods.CreateAlarm(ctx, s.client.Client, &types.CreateAlarm{
		This:   *manager,
		Entity: s.client.ServiceContent.RootFolder,
		Spec: &types.AlarmSpec{
			Name:    "machine is off",
			Enabled: true,
			Expression: &types.OrAlarmExpression{Expression: []types.BaseAlarmExpression{
				&types.StateAlarmExpression{
					Operator:  types.StateAlarmOperatorIsEqual,
					Type:      "VirtualMachine",
					StatePath: "runtime.powerState",
					Red:       "poweredOff",
				},
			}},
		},
	})
	return err
}

// lease starts the import of a machine. vcsim does not support its export.
func lease(ctx context.Context, s *scene, finder *find.Finder) error {
	pool, err := finder.ResourcePool(ctx, "/F0/DC0/host/F0/DC0_C0/Resources")
	if err != nil {
		return err
	}
	stores, err := finder.DatastoreList(ctx, "/F0/DC0/datastore/F0/*")
	if err != nil {
		return err
	}
	lease, err := pool.ImportVApp(ctx, &types.VirtualMachineImportSpec{
		ConfigSpec: types.VirtualMachineConfigSpec{
			Name:    "imported",
			GuestId: string(types.VirtualMachineGuestOsIdentifierOtherGuest),
			Files:   &types.VirtualMachineFileInfo{VmPathName: "[" + stores[0].Name() + "]"},
			DeviceChange: []types.BaseVirtualDeviceConfigSpec{
				&types.VirtualDeviceConfigSpec{
					Operation: types.VirtualDeviceConfigSpecOperationAdd,
					Device:    &types.ParaVirtualSCSIController{VirtualSCSIController: types.VirtualSCSIController{SharedBus: types.VirtualSCSISharingNoSharing}},
				},
			},
		},
	}, nil, nil)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	s.keep(lease.Reference())
	// The machine does not exist before the lease is ready.
	_, err = lease.Wait(ctx, nil)
	return err
}

// fillSession creates the objects of a session: views, collectors, a filter.
func fillSession(ctx context.Context, s *scene) error {
	root := s.client.ServiceContent.RootFolder
	views := view.NewManager(s.client.Client)
	container, err := views.CreateContainerView(ctx, root, []string{"VirtualMachine"}, true)
	if err != nil {
		return err
	}
	s.keep(container.Reference())
	list, err := views.CreateListView(ctx, []types.ManagedObjectReference{root})
	if err != nil {
		return err
	}
	s.keep(list.Reference())

	collector, err := property.DefaultCollector(s.client.Client).Create(ctx)
	if err != nil {
		return err
	}
	s.keep(collector.Reference())
	filter, err := methods.CreateFilter(ctx, s.client.Client, &types.CreateFilter{
		This: collector.Reference(),
		Spec: types.PropertyFilterSpec{
			PropSet: []types.PropertySpec{{Type: "VirtualMachine", PathSet: []string{"name", "runtime.powerState"}}},
			ObjectSet: []types.ObjectSpec{{
				Obj:  container.Reference(),
				Skip: types.NewBool(true),
				SelectSet: []types.BaseSelectionSpec{
					&types.TraversalSpec{Type: "ContainerView", Path: "view"},
				},
			}},
		},
		PartialUpdates: true,
	})
	if err != nil {
		return err
	}
	s.keep(filter.Returnval)
	return nil
}

// fillHistory creates collectors of events and tasks; vcsim's host has none.
func fillHistory(ctx context.Context, s *scene) error {
	events, err := event.NewManager(s.client.Client).CreateCollectorForEvents(ctx, types.EventFilterSpec{})
	if err != nil {
		return err
	}
	s.keep(events.Reference())
	tasks, err := task.NewManager(s.client.Client).CreateCollectorForTasks(ctx, types.TaskFilterSpec{})
	if err != nil {
		return err
	}
	s.keep(tasks.Reference())
	return nil
}
