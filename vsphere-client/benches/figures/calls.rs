//! Requests of a login to its first answer, of a literal path and of a pattern.

use vim25::{mo, props};

use crate::program::{Peers, Steps, cost};
use crate::proxy::{Proxy, Requests, since};
use crate::server::Server;
use crate::table::{self, By, Row, Table};
use crate::{connect, machines};

const CALLS: [Row; 3] = [table::LOGIN, table::LITERAL, table::PATTERN];

pub(crate) async fn measure(server: &Server, peers: &Peers, table: &mut Table) {
    let proxy = Proxy::start(&server.url()).await;
    let path = ours(&proxy, table).await;
    if let Err(reason) = govc(&proxy, peers, &path, table).await {
        for row in CALLS {
            table.missing(row, By::Govc, &reason);
        }
    }
    if let Err(reason) = pyvmomi(&proxy, peers, &path, table).await {
        for row in CALLS {
            table.missing(row, By::Pyvmomi, &reason);
        }
    }
    let reason = "it has no patterns";
    table.missing(table::PATTERN, By::Pyvmomi, reason);
}

/// Measures this client. Returns the path of a machine.
async fn ours(proxy: &Proxy, table: &mut Table) -> String {
    let before = proxy.requests();
    let client = connect(&proxy.url).await;
    let root = client.service_content().root_folder.clone();
    client.get(&root, props::folder::NAME).await.unwrap();
    put(table, table::LOGIN, By::Ours, &before, proxy);

    let inventory = client.inventory();
    let vm = machines(&client).await.remove(0);
    let path = inventory.path_of(&vm).await.unwrap();
    let before = proxy.requests();
    let found = inventory.find_as::<mo::VirtualMachine>(&path).await;
    assert_eq!(found.unwrap(), vm);
    put(table, table::LITERAL, By::Ours, &before, proxy);

    let before = proxy.requests();
    let pattern = pattern(&path);
    let found = inventory.find_all::<mo::VirtualMachine>(&pattern).await;
    let found = found.unwrap().len();
    pages(table, &before, proxy, found);
    client.close().await.unwrap();
    path
}

/// Measures govc. Each command logs in and out, so its requests are those beyond a command that does
/// nothing else.
async fn govc(proxy: &Proxy, peers: &Peers, path: &str, table: &mut Table) -> Result<(), String> {
    let run = |arguments: &[&str]| -> Result<Requests, String> {
        let before = proxy.requests();
        cost(&peers.govc(&proxy.url, arguments)?)?;
        Ok(since(&before, proxy.requests()))
    };
    let first = run(&["collect", "-s", "Folder:ha-folder-root", "name"])?;
    let first = total(&first) - first.get("Logout").copied().unwrap_or(0);
    table.put(table::LOGIN, By::Govc, first as f64, first.to_string());
    let idle = total(&run(&["about"])?);
    let literal = total(&run(&["ls", "-i", path])?).saturating_sub(idle);
    table.put(
        table::LITERAL,
        By::Govc,
        literal as f64,
        literal.to_string(),
    );
    let requests = run(&["ls", "-i", &pattern(path)])?;
    let beyond = total(&requests).saturating_sub(idle);
    let text = format!("{beyond}, pages included");
    table.put(table::PATTERN, By::Govc, beyond as f64, text);
    Ok(())
}

async fn pyvmomi(
    proxy: &Proxy,
    peers: &Peers,
    path: &str,
    table: &mut Table,
) -> Result<(), String> {
    let before = proxy.requests();
    let mut steps = Steps::start(peers.pyvmomi(&proxy.url, &["first"])?);
    steps.line().await?;
    put(table, table::LOGIN, By::Pyvmomi, &before, proxy);
    steps.end().await;
    let path = path.trim_start_matches('/');
    let mut steps = Steps::start(peers.pyvmomi(&proxy.url, &["path", path])?);
    steps.line().await?;
    let before = proxy.requests();
    steps.next().await;
    steps.line().await?;
    put(table, table::LITERAL, By::Pyvmomi, &before, proxy);
    steps.end().await;
    Ok(())
}

/// Returns the pattern of all machines whose path differs in the last character.
fn pattern(path: &str) -> String {
    format!("{}*", &path[..path.len() - 1])
}

fn total(requests: &Requests) -> u64 {
    requests.values().sum()
}

/// Enters the number of requests since `before`.
fn put(table: &mut Table, row: Row, by: By, before: &Requests, proxy: &Proxy) {
    let requests = total(&since(before, proxy.requests()));
    table.put(row, by, requests as f64, requests.to_string());
}

/// Enters the number of requests since `before` that are not pages of a retrieval.
fn pages(table: &mut Table, before: &Requests, proxy: &Proxy, found: usize) {
    let requests = since(before, proxy.requests());
    let pages: u64 = ["RetrievePropertiesEx", "ContinueRetrievePropertiesEx"]
        .iter()
        .filter_map(|method| requests.get(*method))
        .sum();
    let beyond = total(&requests) - pages;
    let text = format!("{beyond} and {pages} pages for {found} machines");
    table.put(table::PATTERN, By::Ours, beyond as f64, text);
}
