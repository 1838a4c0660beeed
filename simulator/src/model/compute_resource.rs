//! The compute resource: the host with its pools, datastore and networks.

use vim25::types::{ComputeResourceConfigInfo, ComputeResourceSummary, ManagedEntityStatus};
use vim25::{AnyRef, Poly, mo};

use super::{entity, host_system};
use crate::object::Object;
use crate::world::{Transaction, fixed};

pub(super) fn build(tx: &mut Transaction<'_>) {
    let mut compute = entity::new::<mo::ComputeResource>(
        fixed::compute_resource().value(),
        host_system::NAME,
        Some(fixed::host_folder().upcast()),
    );
    compute.put("host", &vec![fixed::host()]);
    compute.put("resourcePool", &fixed::root_pool());
    compute.put("datastore", &Vec::<AnyRef>::new());
    compute.put("network", &Vec::<AnyRef>::new());
    compute.put("environmentBrowser", &fixed::environment_browser());
    compute.put(
        "summary",
        &Poly::<ComputeResourceSummary>::new(ComputeResourceSummary {
            total_cpu: host_system::CPU_MHZ * i32::from(host_system::CORES),
            total_memory: host_system::MEMORY,
            num_cpu_cores: host_system::CORES,
            num_cpu_threads: host_system::CORES,
            effective_cpu: host_system::CPU_MHZ * i32::from(host_system::CORES),
            effective_memory: host_system::MEMORY >> 20,
            num_hosts: 1,
            num_effective_hosts: 1,
            overall_status: ManagedEntityStatus::Green,
        }),
    );
    compute.put(
        "configurationEx",
        &Poly::<ComputeResourceConfigInfo>::new(ComputeResourceConfigInfo {
            vm_swap_placement: "vmDirectory".into(),
            ..Default::default()
        }),
    );
    tx.insert(compute);
    let mut browser = Object::new::<mo::EnvironmentBrowser>(fixed::environment_browser().value());
    browser.put("datastoreBrowser", &fixed::host_browser());
    tx.insert(browser);
}
