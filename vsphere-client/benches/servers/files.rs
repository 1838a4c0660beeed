//! The rates of a large file in both directions.

use std::time::Instant;

use crate::server::Server;
use crate::table::{self, Table};

const MEGABYTES: usize = 200;
const ROUNDS: usize = 3;

/// Measures the best rate of some rounds: the file is in the page cache then.
pub(crate) async fn measure(server: &Server, table: &mut Table) {
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (
        folder.path().join("big.iso"),
        folder.path().join("back.iso"),
    );
    let bytes: Vec<u8> = (0..MEGABYTES << 20).map(|n| (n % 251) as u8).collect();
    std::fs::write(&source, bytes).unwrap();
    let client = server.connect().await;
    let place = client.defaults().await.unwrap();
    let files = client.files(&place.datastore);
    let (mut put, mut get) = (0.0_f64, 0.0_f64);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        files.upload_file(&source, "big.iso").await.unwrap();
        put = put.max(MEGABYTES as f64 / start.elapsed().as_secs_f64());
        let start = Instant::now();
        files.download_file("big.iso", &target).await.unwrap();
        get = get.max(MEGABYTES as f64 / start.elapsed().as_secs_f64());
    }
    table.put(table::PUT, put);
    table.put(table::GET, get);
    client.close().await.unwrap();
}
