//! Logs with records that claim more than they have.

use jiff::Timestamp;

use super::*;

/// The number of records of each kind in the log.
const RECORDS: usize = 1000;

/// Returns a log in which no header is right, apart from the first, which makes it a log of records.
pub(super) fn nonsense() -> Vec<u8> {
    let mut log = Vec::new();
    guest_io::log::encode(Stream::Stdout, 1, b"first\n", &mut log);
    let mut longest = Vec::new();
    for time in [0, 1, -1, i64::MAX, i64::MIN] {
        // The longest record that a header can claim, without its data.
        longest.clear();
        guest_io::log::encode(Stream::Stderr, time, &[b'x'; 4095], &mut longest);
        for _ in 0..RECORDS {
            log.extend_from_slice(&longest[..16]);
        }
    }
    // All bits set, and no header at all.
    log.extend_from_slice(&b"/".repeat(16 * RECORDS));
    log.extend_from_slice(&b"\xff\n".repeat(1 << 20));
    // The last record is cut off.
    log.extend_from_slice(&longest[..4000]);
    log
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_of_nonsense_is_read_to_its_end_in_records_of_limited_size() {
    let (endpoint, _liar) = Endpoint::with_liars().await;
    let mut honest = Honest::start(&endpoint).await;
    let id = endpoint.liar(Lie::Log).await;
    timeout(LIMIT, endpoint.layer.exec().wait(&id))
        .await
        .unwrap()
        .unwrap();
    let size = nonsense().len();
    let now = Timestamp::now();
    for options in [
        LogOptions::new(),
        LogOptions::new().follow(),
        LogOptions::new().tail(10),
        LogOptions::new().since(now),
        LogOptions::new().until(now),
    ] {
        let is_all = options == LogOptions::new();
        let streams = endpoint.layer.streams();
        let mut log = timeout(LIMIT, streams.logs(&id, options))
            .await
            .unwrap()
            .unwrap();
        let (mut records, mut bytes) = (0, 0);
        while let Some(record) = timeout(LIMIT, log.next()).await.unwrap() {
            let record = record.unwrap();
            assert!(record.bytes.len() <= 4095);
            if records == 0 && is_all {
                assert_eq!(record.bytes, "first\n");
            }
            records += 1;
            bytes += record.bytes.len();
        }
        assert!(bytes <= size, "{bytes} bytes of {size}");
        assert!(records > 0 || !is_all);
        honest.echoes("concurrently\n").await;
    }
    let log = endpoint
        .log(&honest.id, LogOptions::new().stderr(false))
        .await;
    assert_eq!(log[0].1, "ready\n");
    endpoint.simulator.shutdown().await;
}
