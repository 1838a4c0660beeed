//! The adapters for async callers.

use std::io;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use disk_image::{
    ByteStream, Error, FsOptions, LayerDigests, Limits, Merge, Monitor, Plan, StreamOptions,
    run_blocking,
};
use tokio::io::AsyncReadExt;

use crate::tar;

/// The time after which a background operation counts as not cancelled.
const PATIENCE: Duration = Duration::from_secs(10);

fn plan(layer: Vec<u8>) -> Result<Plan, Error> {
    let mut merge = Merge::new(Limits::default());
    let layer = Arc::new(Arc::<[u8]>::from(layer));
    merge.layer(layer, LayerDigests::none(), &Monitor::new())?;
    merge.plan(
        &FsOptions::new(64 << 20, uuid::Uuid::from_u128(1)),
        &Monitor::new(),
    )
}

/// Does not shrink, so that the stream is longer than what is buffered.
fn noise() -> Vec<u8> {
    let mut state = 1u64;
    let next = move |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    (0..4 << 20).map(next).collect()
}

#[tokio::test]
async fn a_stream_has_the_bytes_that_are_written_without_it() {
    let layer = tar(&[("noise", &noise())]);
    let expected = plan(layer.clone())
        .unwrap()
        .write_stream_optimized(Vec::new(), &StreamOptions::new(), &Monitor::new())
        .unwrap();
    let plan = run_blocking(&Monitor::new(), |_| plan(layer)).await;
    let plan = plan.unwrap();
    let monitor = Monitor::new();
    let mut stream = ByteStream::new(&monitor, move |out, monitor| {
        plan.write_stream_optimized(out, &StreamOptions::new(), monitor)?;
        Ok(())
    });
    let mut found = Vec::new();
    stream.read_to_end(&mut found).await.unwrap();
    assert!(found == expected);
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    drop(stream);
    assert!(!monitor.is_cancelled(), "it was complete");
}

#[tokio::test]
async fn a_stream_that_fails_never_ends_like_a_complete_one() {
    let mut stream = ByteStream::new(&Monitor::new(), |out, _| {
        out.write_all(b"begin").map_err(Error::Write)?;
        Err(Error::Options("wrong"))
    });
    let mut found = Vec::new();
    let error = stream.read_to_end(&mut found).await.unwrap_err();
    let inner = error.downcast::<Error>().unwrap();
    assert!(matches!(inner, Error::Options("wrong")), "{inner:?}");
    assert!(found.is_empty(), "an incomplete chunk is not worth a read");
    stream.read(&mut [0]).await.unwrap_err();
}

#[tokio::test]
async fn dropping_a_stream_ends_its_operation() {
    let (alive, ended) = mpsc::channel::<()>();
    let monitor = Monitor::new();
    let plan = plan(tar(&[("noise", &noise())])).unwrap();
    let mut stream = ByteStream::new(&monitor, move |out, monitor| {
        let _alive = alive;
        plan.write_stream_optimized(out, &StreamOptions::new(), monitor)?;
        Ok(())
    });
    stream.read_exact(&mut [0; 10]).await.unwrap();
    drop(stream);
    assert!(monitor.is_cancelled());
    assert_eq!(
        ended.recv_timeout(PATIENCE),
        Err(mpsc::RecvTimeoutError::Disconnected)
    );
}

#[tokio::test]
async fn dropping_the_future_cancels_the_operation() {
    let (started, start) = tokio::sync::oneshot::channel();
    let (alive, ended) = mpsc::channel::<()>();
    let monitor = Monitor::new();
    let operation = run_blocking(&monitor, move |monitor| {
        let _alive = alive;
        _ = started.send(());
        while !monitor.is_cancelled() {
            std::thread::yield_now();
        }
        Err::<(), _>(Error::Cancelled)
    });
    tokio::select! {
        done = operation => panic!("{done:?}"),
        started = start => started.unwrap(),
    }
    assert_eq!(
        ended.recv_timeout(PATIENCE),
        Err(mpsc::RecvTimeoutError::Disconnected)
    );
}

#[tokio::test]
async fn errors_of_the_operation_are_returned() {
    let monitor = Monitor::new();
    let failed = run_blocking(&monitor, |_| {
        Err::<(), _>(Error::Write(io::ErrorKind::StorageFull.into()))
    });
    assert!(matches!(failed.await, Err(Error::Write(_))));
    assert!(!monitor.is_cancelled(), "it ended by itself");
}
