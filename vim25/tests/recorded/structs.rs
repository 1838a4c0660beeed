//! The structs of the types in the recordings.

use vim25::{ConvertError, DataObject, Node, types};

fn to<T: DataObject>(node: Node<'_>) -> Result<(), ConvertError> {
    node.to::<T>().map(|_| ())
}

macro_rules! structs {
    ($($name:ident)*) => {
        /// Converts an object to the struct of its type; `None` when the type
        /// is not in the list.
        pub(crate) fn convert(node: Node<'_>, type_name: &str) -> Option<Result<(), ConvertError>> {
            Some(match type_name {
                $( stringify!($name) => to::<types::$name>(node), )*
                _ => return None,
            })
        }
    };
}

#[rustfmt::skip]
structs! {
    AboutInfo AlarmDescription AlarmInfo AlarmSetting AlarmTriggeringAction
    AlarmTriggeringActionTransitionSpec AuthorizationDescription AuthorizationRole AutoStartDefaults
    BoolPolicy Capability ClusterComputeResourceSummary ClusterConfigInfo ClusterConfigInfoEx
    ClusterDasConfigInfo ClusterDrsConfigInfo ClusterUsageSummary ComputeResourceConfigInfo
    ComputeResourceEventArgument ComputeResourceSummary CustomFieldDef CustomFieldStringValue
    CustomizationSpecInfo DVPortgroupConfigInfo DVSCapability DVSContactInfo DVSSummary
    DatacenterConfigInfo DatacenterEventArgument DatastoreCapability DatastoreEventArgument
    DatastoreHostMount DatastoreSummary Description DistributedVirtualSwitchPortConnection
    DistributedVirtualSwitchProductSpec ElementDescription EventAlarmExpression EventDescription
    EventDescriptionEventDetail EventFilterSpec Extension ExtensionTaskTypeInfo FcoeConfig
    FcoeConfigFcoeCapabilities FcoeConfigVlanRange GroupAlarmAction GuestInfo GuestNicInfo
    HealthSystemRuntime HostActiveDirectoryInfo HostAuthenticationManagerInfo
    HostAutoStartManagerConfig HostBIOSInfo HostBlockAdapterTargetTransport HostBlockHba
    HostCacheConfigurationInfo HostCapability HostCertificateManagerCertificateInfo HostConfigInfo
    HostConfigManager HostConfigSummary HostCpuIdInfo HostCpuInfo HostCpuPackage
    HostCpuPowerManagementInfo HostDatastoreSystemCapabilities HostDeploymentInfo
    HostDiagnosticPartition HostDiskDimensionsLba HostDnsConfig HostEventArgument
    HostFileSystemMountInfo HostFileSystemVolumeInfo HostFirewallDefaultPolicy HostFirewallInfo
    HostFirewallRule HostFirewallRuleset HostFirewallRulesetIpList HostFlagInfo HostGraphicsConfig
    HostHardwareElementInfo HostHardwareInfo HostHardwareStatusInfo HostHardwareSummary
    HostHyperThreadScheduleInfo HostIoFilterInfo HostIpConfig HostIpRouteConfig HostIpRouteEntry
    HostIpRouteOp HostIpRouteTableConfig HostIpRouteTableInfo HostLicensableResourceInfo
    HostListSummary HostListSummaryQuickStats HostLocalAuthenticationInfo HostMountInfo
    HostMultipathInfo HostMultipathInfoFixedLogicalUnitPolicy HostMultipathInfoLogicalUnit
    HostMultipathInfoLogicalUnitStorageArrayTypePolicy HostMultipathInfoPath HostNetCapabilities
    HostNetOffloadCapabilities HostNetStackInstance HostNetworkInfo HostNetworkPolicy
    HostNetworkSecurityPolicy HostNetworkTrafficShapingPolicy HostNicFailureCriteria
    HostNicOrderPolicy HostNicTeamingPolicy HostNumaInfo HostNumaNode HostNumericSensorInfo
    HostParallelScsiHba HostParallelScsiTargetTransport HostPciDevice HostPlugStoreTopology
    HostPlugStoreTopologyAdapter HostPlugStoreTopologyDevice HostPlugStoreTopologyPath
    HostPlugStoreTopologyPlugin HostPlugStoreTopologyTarget HostPortGroup HostPortGroupPort
    HostPortGroupSpec HostPowerPolicy HostReliableMemoryInfo HostRuntimeInfo
    HostRuntimeInfoNetStackInstanceRuntimeInfo HostRuntimeInfoNetworkRuntimeInfo HostScsiDisk
    HostScsiDiskPartition HostScsiTopology HostScsiTopologyInterface HostScsiTopologyLun
    HostScsiTopologyTarget HostService HostServiceInfo HostServiceSourcePackage HostSnmpConfigSpec
    HostSnmpSystemAgentLimits HostStorageDeviceInfo HostSystemHealthInfo
    HostSystemIdentificationInfo HostSystemInfo HostVMotionInfo HostVMotionNetConfig HostVfatVolume
    HostVirtualNic HostVirtualNicManagerInfo HostVirtualNicSpec HostVirtualSwitch
    HostVirtualSwitchBeaconConfig HostVirtualSwitchBondBridge HostVirtualSwitchSpec HostVmfsVolume
    HttpNfcLeaseCapabilities HttpNfcLeaseInfo KeyAnyValue KeyValue LatencySensitivity
    LicenseManagerEvaluationInfo LicenseManagerLicenseInfo LinkDiscoveryProtocolConfig
    LocalDatastoreInfo NetworkSummary NumericRange ObjectSpec OpaqueNetworkSummary OptionDef
    OptionValue OrAlarmExpression ParaVirtualSCSIController PerfCounterInfo PerfInterval
    PerformanceDescription Permission PhysicalNic PhysicalNicLinkInfo PhysicalNicSpec
    PodStorageDrsEntry PowerSystemCapability PowerSystemInfo PropertyFilterSpec PropertySpec
    ResourceAllocationInfo ResourceConfigSpec ResourcePoolResourceUsage ResourcePoolRuntimeInfo
    ResourcePoolSummary ScheduledTaskDescription ScsiLun ScsiLunCapabilities ScsiLunDescriptor
    ScsiLunDurableName SendSNMPAction ServiceContent SharesInfo StorageDrsConfigInfo
    StorageDrsPodConfigInfo StorageIOAllocationInfo StoragePodSummary StringPolicy TaskDescription
    TaskFilterSpec TaskInfo TaskReasonUser ToolsConfigInfo TraversalSpec TypeDescription
    UserLoginSessionEvent UserSession VAppConfigInfo VAppIPAssignmentInfo VAppProductInfo
    VMwareDVSConfigInfo VMwareDVSPortSetting VMwareDVSPortgroupPolicy VirtualCdrom
    VirtualCdromAtapiBackingInfo VirtualDeviceConfigSpec VirtualDeviceConnectInfo
    VirtualDevicePciBusSlotInfo VirtualDisk VirtualDiskFlatVer2BackingInfo VirtualE1000
    VirtualEthernetCardDistributedVirtualPortBackingInfo VirtualEthernetCardResourceAllocation
    VirtualHardware VirtualIDEController VirtualKeyboard VirtualMachineBootOptions
    VirtualMachineCapability VirtualMachineConfigInfo VirtualMachineConfigSpec
    VirtualMachineConfigSummary VirtualMachineDefaultPowerOpInfo VirtualMachineFileInfo
    VirtualMachineFileLayout VirtualMachineFileLayoutDiskLayout VirtualMachineFileLayoutEx
    VirtualMachineFileLayoutExDiskLayout VirtualMachineFileLayoutExDiskUnit
    VirtualMachineFileLayoutExFileInfo VirtualMachineFileLayoutExSnapshotLayout
    VirtualMachineFileLayoutSnapshotLayout VirtualMachineFlagInfo VirtualMachineGuestSummary
    VirtualMachineQuickStats VirtualMachineRuntimeInfo VirtualMachineSnapshotInfo
    VirtualMachineSnapshotTree VirtualMachineStorageInfo VirtualMachineStorageSummary
    VirtualMachineSummary VirtualMachineUsageOnDatastore VirtualMachineVMCIDevice
    VirtualMachineVideoCard VirtualNicManagerNetConfig VirtualPCIController VirtualPS2Controller
    VirtualPointingDevice VirtualPointingDeviceDeviceBackingInfo VirtualSIOController
    VmBeingCreatedEvent VmCreatedEvent VmEventArgument VmInstanceUuidAssignedEvent VmPoweredOnEvent
    VmReconfiguredEvent VmStartingEvent VmUuidAssignedEvent
    VmwareDistributedVirtualSwitchTrunkVlanSpec VmwareDistributedVirtualSwitchVlanIdSpec
    VmwareUplinkPortTeamingPolicy VsanHostConfigInfo VsanHostConfigInfoClusterInfo
    VsanHostConfigInfoNetworkInfo VsanHostConfigInfoStorageInfo VsanHostFaultDomainInfo
    VsanHostRuntimeInfo
}
