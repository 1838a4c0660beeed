//! What is not documented of the platform, as switches.

/// Facts of the platform that nobody could settle without a host of every
/// version. A test can run with each of them on and off.
///
/// ```
/// use simulator::Platform;
///
/// let platform = Platform { guest_write_bumps_change_version: true, ..Platform::default() };
/// assert!(platform.guest_keys_survive_power_off);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Keys that the guest wrote are still there after power-off. Default: yes.
    pub guest_keys_survive_power_off: bool,
    /// extraConfig keys written through the API while the machine was on are
    /// still there after power-off. Default: no, as VIC found.
    pub api_keys_written_while_on_survive: bool,
    /// A key written by the guest moves `config.changeVersion`. Default: no.
    pub guest_write_bumps_change_version: bool,
    /// Powering on or off moves `config.changeVersion`. Default: yes.
    pub power_change_bumps_change_version: bool,
    /// Destroying a machine deletes the parents of its disks too, also when
    /// other machines use them. Default: yes.
    pub destroy_deletes_parent_disks: bool,
    /// A disk whose descriptor contains `ddb.deletable = "false"` is kept when its
    /// machine is destroyed, and cannot be deleted. Default: yes.
    pub destroy_honours_ddb_deletable: bool,
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
        }
    }
}
