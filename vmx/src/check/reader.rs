//! Programs that read VMX files, and what can go wrong.

use std::fmt;

/// A program that reads VMX files.
///
/// The findings for each program apply to the version named here. They were observed by
/// running it or, where noted, taken from its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Reader {
    /// VMware itself: the line reader of open-vm-tools and the dictionary above it.
    Vmware,
    /// The guest, through VMware Tools.
    Guest,
    /// libvirt 9, `virConfReadString` with the VMX flag.
    Libvirt,
    /// virt-v2v, 2026.
    VirtV2v,
    /// Packer's VMware plugin.
    Packer,
    /// hooklift's govmx.
    Govmx,
    /// Vagrant's VMware plugin.
    Vagrant,
    /// dissect.hypervisor.
    Dissect,
    /// GNS3.
    Gns3,
    /// Proxmox VE's import.
    Proxmox,
    /// Xen Orchestra's import.
    XenOrchestra,
    /// Veeam's backup, according to reports by its users.
    Veeam,
}

impl Reader {
    /// All readers, VMware first.
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

/// The effect of a construct on a reader, ordered worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Effect {
    /// The reader refuses the whole file.
    Refuses,
    /// The reader opens the file but does not power the machine on.
    FailsAtPowerOn,
    /// The reader ignores the line.
    Skips,
    /// The reader reads something other than VMware, or other than intended.
    Misreads,
    /// The reader reads it correctly, but the construct is worth knowing.
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
