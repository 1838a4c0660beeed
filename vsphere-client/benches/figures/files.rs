//! Rates and memory of one large file in both directions.

use std::io::Write as _;
use std::path::Path;

use crate::program::{Cost, Peers, cost, ours};
use crate::server::Server;
use crate::setting;
use crate::table::{self, By, Table};

/// How often each program runs; the table has the best rate, with the files in the page cache.
const ROUNDS: usize = 3;

pub(crate) fn measure(server: &Server, peers: &Peers, table: &mut Table) {
    let megabytes = setting("FILE_MB", 1_024);
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("big.iso");
    let piece: Vec<u8> = (0..1 << 20).map(|n: u32| (n % 251) as u8).collect();
    let mut file = std::fs::File::create(&source).unwrap();
    for _ in 0..megabytes {
        file.write_all(&piece).unwrap();
    }
    drop(file);
    let target = folder.path().join("back.iso");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (source, target, url) = (text(&source), text(&target), server.url());
    for (rate, memory, verb, file) in [
        (table::UPLOAD, table::UPLOAD_MEMORY, "upload", &source),
        (table::DOWNLOAD, table::DOWNLOAD_MEMORY, "download", &target),
    ] {
        let (mut own, mut peer): (Option<Cost>, Option<Result<Cost, String>>) = (None, None);
        for _ in 0..ROUNDS {
            let again = cost(&ours(&url, &format!("{verb} {file}"))).unwrap();
            own = Some(match own {
                Some(best) if best.elapsed <= again.elapsed => best,
                _ => again,
            });
            let name = format!("datastore.{verb}");
            let arguments = match verb {
                "upload" => [name.as_str(), file, "peer.iso"],
                _ => [name.as_str(), "peer.iso", file],
            };
            let command = peers.govc(&url, &arguments);
            let again = command.and_then(|command| cost(&command));
            peer = Some(match (peer, again) {
                (Some(Ok(best)), Ok(again)) if best.elapsed > again.elapsed => Ok(again),
                (Some(best), _) => best,
                (None, again) => again,
            });
        }
        let rate_of = |cost: &Cost| {
            let rate = megabytes as f64 / cost.elapsed;
            let text = format!("{rate:.0} MiB/s ({:.2} s of processor time)", cost.cpu);
            (rate, text)
        };
        if let Some(own) = own {
            let (value, text) = rate_of(&own);
            table.put(rate, By::Ours, value, text);
            let growth: f64 = own.printed.parse().unwrap();
            table.bytes(memory, By::Ours, growth * 1024.0);
        }
        match peer {
            Some(Ok(peer)) => {
                let (value, text) = rate_of(&peer);
                table.put(rate, By::Govc, value, text);
                table.bytes(memory, By::Govc, peer.memory * 1024.0);
            }
            Some(Err(reason)) => {
                table.missing(rate, By::Govc, &reason);
                table.missing(memory, By::Govc, &reason);
            }
            None => {}
        }
        for row in [rate, memory] {
            table.missing(row, By::Pyvmomi, "it has no transfers of files");
        }
    }
}
