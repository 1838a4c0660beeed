//! Connections and memory of many waits at a time.

use crate::program::{Steps, ours};
use crate::proxy::Proxy;
use crate::server::Server;
use crate::setting;
use crate::table::{self, By, Table};

pub(crate) async fn measure(server: &Server, table: &mut Table) {
    let proxy = Proxy::start(&server.url()).await;
    let mut steps = Steps::start(ours(&proxy.url, "waits"));
    let kilobytes: f64 = steps.line().await.unwrap().parse().unwrap();
    let (waiting, open) = proxy.connections();
    steps.end().await;
    let waits = setting("WAITS", 1_000);
    let text = format!("{waiting} for {waits} waits, of {open} that are open");
    table.put(table::WAITS_CONNECTIONS, By::Ours, waiting as f64, text);
    table.bytes(table::WAITS_MEMORY, By::Ours, kilobytes * 1024.0);
    for row in [table::WAITS_CONNECTIONS, table::WAITS_MEMORY] {
        table.missing(row, By::Govc, "a command waits once");
        table.missing(row, By::Pyvmomi, "it has no waits for properties");
    }
}
