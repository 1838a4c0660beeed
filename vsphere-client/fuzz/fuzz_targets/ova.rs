//! No archive makes the reader panic, return more than the archive has, or loop, however the
//! source divides it; and all entries that are read lie in the archive.
#![no_main]
#![allow(
    dead_code,
    reason = "the reader is private, so its files are included here"
)]

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncRead, ReadBuf};

/// Stands for the module with the import.
#[path = "../../src/ovf"]
mod ovf {
    mod archive;
    mod error;

    use archive::{Archive, BLOCK, padded};
    use futures_util::StreamExt as _;

    /// The limit of the entries that are read into memory.
    const LIMIT: u64 = 4 << 10;

    /// What was read of an archive: the name and the content of each entry, and whether the end was
    /// reached.
    #[derive(Debug, PartialEq, Eq)]
    pub(super) struct Read {
        entries: Vec<(String, u64, Vec<u8>)>,
        error: Option<String>,
    }

    /// Reads an archive; of the entries, one is streamed, one is read as a whole, and one is skipped.
    pub(super) async fn read(data: &[u8], piece: usize) -> Read {
        let archive = Archive::new(super::Pieces::new(data.to_vec(), piece));
        let mut read = Read {
            entries: Vec::new(),
            error: None,
        };
        for number in 0..=data.len() / BLOCK {
            let entry = match archive.next().await {
                Ok(Some(entry)) => entry,
                Ok(None) => return read,
                Err(error) => {
                    assert!(error.offset <= data.len() as u64, "{error:?}");
                    read.error = Some(error.to_string());
                    return read;
                }
            };
            let start = entry.offset + BLOCK as u64;
            assert!(start <= data.len() as u64, "{entry:?}");
            assert!(entry.name.len() <= data.len(), "{entry:?}");
            let content = match number % 3 {
                0 => {
                    let (mut stream, mut content) = (archive.content(), Vec::new());
                    while let Some(Ok(piece)) = stream.next().await {
                        content.extend_from_slice(&piece);
                    }
                    let failed = archive.failure().is_some();
                    assert_eq!(failed, (content.len() as u64) < entry.size);
                    content
                }
                1 => {
                    let content = archive.whole(&entry, LIMIT).await.unwrap_or_default();
                    assert!(content.len() as u64 <= LIMIT.min(entry.size));
                    content
                }
                _ => Vec::new(),
            };
            let from = usize::try_from(start).unwrap_or(usize::MAX);
            let inside = data.get(from..from + content.len());
            assert_eq!(inside, Some(&content[..]), "{entry:?}");
            assert!(entry.size <= padded(entry.size));
            read.entries.push((entry.name, entry.size, content));
        }
        // Every entry takes a block.
        let more = archive.next().await;
        assert!(matches!(more, Ok(None) | Err(_)), "{more:?}");
        read
    }
}

/// A source that returns a few bytes at a time.
struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    piece: usize,
}

impl Pieces {
    const fn new(bytes: Vec<u8>, piece: usize) -> Self {
        Self {
            bytes,
            at: 0,
            piece,
        }
    }
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let rest = this.bytes.get(this.at..).unwrap_or_default();
        let length = rest.len().min(this.piece).min(buffer.remaining());
        buffer.put_slice(&rest[..length]);
        this.at += length;
        Poll::Ready(Ok(()))
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&piece, archive)) = data.split_first() else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().expect("a runtime");
    runtime.block_on(async {
        let whole = ovf::read(archive, usize::MAX).await;
        let divided = ovf::read(archive, usize::from(piece) + 1).await;
        assert_eq!(whole, divided);
    });
});
