//! Programs that read these files, and what can go wrong with them.

use std::fmt;

/// A program that reads VMX files.
///
/// What is said of each holds for the version named here, and was seen by running
/// it, or where noted by reading its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Reader {
    /// VMware's own: the line reader of open-vm-tools and the dictionary above it.
    Vmware,
    /// The guest, through VMware Tools.
    Guest,
    /// libvirt 9, `virConfReadString` with the VMX flag.
    Libvirt,
    /// virt-v2v, 2026.
    VirtV2v,
    /// Packer's VMware plugin.
    Packer,
    /// govmx of hooklift.
    Govmx,
    /// Vagrant's VMware plugin.
    Vagrant,
    /// dissect.hypervisor.
    Dissect,
    /// GNS3.
    Gns3,
    /// The import of Proxmox VE.
    Proxmox,
    /// The import of Xen Orchestra.
    XenOrchestra,
    /// Veeam's backup, by reports of its users.
    Veeam,
}

impl Reader {
    /// All of them, VMware first.
    pub const ALL: [Self; 12] = [
        Self::Vmware,
        Self::Guest,
        Self::Libvirt,
        Self::VirtV2v,
        Self::Packer,
        Self::Govmx,
        Self::Vagrant,
        Self::Dissect,
        Self::Gns3,
        Self::Proxmox,
        Self::XenOrchestra,
        Self::Veeam,
    ];
}

impl fmt::Display for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vmware => "VMware",
            Self::Guest => "the guest",
            Self::Libvirt => "libvirt",
            Self::VirtV2v => "virt-v2v",
            Self::Packer => "Packer",
            Self::Govmx => "govmx",
            Self::Vagrant => "Vagrant",
            Self::Dissect => "dissect",
            Self::Gns3 => "GNS3",
            Self::Proxmox => "Proxmox",
            Self::XenOrchestra => "Xen Orchestra",
            Self::Veeam => "Veeam",
        })
    }
}

/// The effect of a construct on a reader, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Effect {
    /// It does not take the file at all.
    Refuses,
    /// It takes the file and does not power the machine on.
    FailsAtPowerOn,
    /// It leaves out the line.
    Skips,
    /// It reads something else than VMware, or than was meant.
    Misreads,
    /// It reads it well; worth knowing.
    Notes,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refuses => "refuses the file",
            Self::FailsAtPowerOn => "does not power the machine on",
            Self::Skips => "skips the line",
            Self::Misreads => "misreads",
            Self::Notes => "note",
        })
    }
}
