//! Undocumented platform behaviour, as switches.

/// Switches for undocumented platform behaviour, which may differ between versions of ESXi. A
/// test can run with each switch on and off.
///
/// ```
/// use simulator::Platform;
///
/// let platform = Platform { guest_write_bumps_change_version: true, ..Platform::default() };
/// assert!(platform.guest_keys_survive_power_off);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Whether keys written by the guest are kept at power-off. Default: yes.
    pub guest_keys_survive_power_off: bool,
    /// Whether extraConfig keys written through the API while the machine was on are kept at
    /// power-off. Default: no, as the developers of VIC observed.
    pub api_keys_written_while_on_survive: bool,
    /// Whether a key written by the guest changes `config.changeVersion`. Default: no.
    pub guest_write_bumps_change_version: bool,
    /// Whether powering on or off changes `config.changeVersion`. Default: yes.
    pub power_change_bumps_change_version: bool,
    /// Whether destroying a machine deletes the parents of its disks too, even if
    /// other machines use them. Default: yes.
    pub destroy_deletes_parent_disks: bool,
    /// Whether a disk whose descriptor contains `ddb.deletable = "false"` is kept when its
    /// machine is destroyed, and cannot be deleted. This also applies to a disk that was imported
    /// with this entry, even if the import is aborted after the upload. Default: yes.
    pub destroy_honours_ddb_deletable: bool,
    /// Whether a disk whose writes are discarded is only read by the machine that is on, so that
    /// other machines may use it at the same time, as it is or as the parent of their disks. If not,
    /// the disk is locked like one that is written. Default: yes, as VMware documented for its first
    /// products.
    pub nonpersistent_disks_are_shared: bool,
    /// Whether a filter that is added to a collector in use is evaluated only when another
    /// filter of the collector has a change to report. Default: no. vcsim behaves as if this
    /// was `true`.
    pub new_filters_wait_for_a_change: bool,
}

impl Default for Platform {
    fn default() -> Self {
        Self {
            guest_keys_survive_power_off: true,
            api_keys_written_while_on_survive: false,
            guest_write_bumps_change_version: false,
            power_change_bumps_change_version: true,
            destroy_deletes_parent_disks: true,
            destroy_honours_ddb_deletable: true,
            nonpersistent_disks_are_shared: true,
            new_filters_wait_for_a_change: false,
        }
    }
}
