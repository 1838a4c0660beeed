//! Processor time of a process that reads seven properties of all machines.

use crate::program::{Cost, Peers, median, ours};
use crate::server::Server;
use crate::table::{self, By, Table};

/// The properties that every program reads.
pub(crate) const PATHS: [&str; 7] = [
    "name",
    "runtime.powerState",
    "config.uuid",
    "summary.config.numCpu",
    "summary.config.memorySizeMB",
    "guest.ipAddress",
    "parent",
];
/// How often each program runs; the table has the median.
const ROUNDS: usize = 5;

pub(crate) fn measure(server: &Server, peers: &Peers, table: &mut Table) {
    let url = server.url();
    let own = median(ROUNDS, &ours(&url, "read")).unwrap();
    let text = |cost: &Cost| format!("{:.3} s (of {:.3} s)", cost.cpu, cost.elapsed);
    println!("  {} machines", own.printed);
    table.put(table::READ, By::Ours, own.cpu, text(&own));

    let mut collect = vec!["collect", "-json", "-type", "m", "/"];
    collect.extend(PATHS);
    let mut read = vec!["read"];
    read.extend(PATHS);
    let others = [
        (By::Govc, peers.govc(&url, &collect)),
        (By::Pyvmomi, peers.pyvmomi(&url, &read)),
    ];
    for (by, command) in others {
        match command.and_then(|command| median(ROUNDS, &command)) {
            Ok(cost) => {
                let times = cost.cpu / own.cpu;
                let text = format!("{}: {times:.1} times ours", text(&cost));
                table.put(table::READ, by, cost.cpu, text);
            }
            Err(reason) => table.missing(table::READ, by, &reason),
        }
    }
}
