//! Transfers files between local paths and datastores.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio_util::io::ReaderStream;

use super::files::Files;
use super::transfer::{OnProgress, TransferProgress};
use crate::error::{Error, Result};

/// The size of the chunks in which a file is read.
const PIECE: usize = 64 << 10;

/// The result of a finished transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transferred {
    /// The length of the whole file.
    pub bytes: u64,
    /// The SHA-256 of the whole file.
    pub sha256: [u8; 32],
}

impl<'c> Files<'c> {
    /// Uploads a local file, replacing an existing file. The directory must exist. Await the
    /// returned value; dropping it ends the transfer, and the server keeps the bytes that it
    /// received.
    pub fn upload_file(&self, local: impl AsRef<Path>, path: &str) -> FromLocal<'c> {
        FromLocal {
            files: *self,
            local: local.as_ref().to_owned(),
            path: path.to_owned(),
            progress: None,
        }
    }

    /// Downloads a file to a local path. Await the returned value; dropping it leaves a
    /// partial file, which a download with [`ToLocal::resume`] continues.
    pub fn download_file(&self, path: &str, local: impl AsRef<Path>) -> ToLocal<'c> {
        ToLocal {
            files: *self,
            path: path.to_owned(),
            local: local.as_ref().to_owned(),
            resume: false,
            expected: None,
            progress: None,
        }
    }
}

/// An upload of a local file; returned by [`Files::upload_file`].
#[must_use = "nothing is sent before this is awaited"]
pub struct FromLocal<'c> {
    files: Files<'c>,
    local: PathBuf,
    path: String,
    progress: Option<OnProgress>,
}

impl FromLocal<'_> {
    /// Sets a callback for progress, called after every chunk. It should return quickly.
    pub fn on_progress(mut self, listener: impl FnMut(TransferProgress) + Send + 'static) -> Self {
        self.progress = Some(Box::new(listener));
        self
    }

    async fn send(self) -> Result<Transferred> {
        let wrong = |error| unusable("read", &self.local, error);
        let file = File::open(&self.local).await.map_err(wrong)?;
        let bytes = file.metadata().await.map_err(wrong)?.len();
        let digest = Arc::new(Mutex::new(Sha256::new()));
        let counted = Arc::clone(&digest);
        let content = ReaderStream::with_capacity(file, PIECE).map(move |piece| {
            if let Ok(piece) = &piece {
                let mut digest = counted.lock().unwrap_or_else(PoisonError::into_inner);
                digest.update(piece);
            }
            piece
        });
        let mut upload = self.files.upload_stream(&self.path, content.boxed(), bytes);
        if let Some(listener) = self.progress {
            upload = upload.on_progress(listener);
        }
        upload.await?;
        let sha256 = digest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Ok(Transferred {
            bytes,
            sha256: sha256.finalize().into(),
        })
    }
}

impl<'c> IntoFuture for FromLocal<'c> {
    type Output = Result<Transferred>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'c>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl fmt::Debug for FromLocal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FromLocal({} to {})", self.local.display(), self.path)
    }
}

/// A download to a local file; returned by [`Files::download_file`].
#[must_use = "nothing is read before this is awaited"]
pub struct ToLocal<'c> {
    files: Files<'c>,
    path: String,
    local: PathBuf,
    resume: bool,
    expected: Option<[u8; 32]>,
    progress: Option<OnProgress>,
}

impl ToLocal<'_> {
    /// Continues after the existing content of the local file. If the remote file has changed
    /// since, only a [checksum](Self::sha256) detects it.
    pub const fn resume(mut self) -> Self {
        self.resume = true;
        self
    }

    /// Makes the download fail unless the whole file has this SHA-256. The local file remains
    /// in any case.
    pub const fn sha256(mut self, expected: [u8; 32]) -> Self {
        self.expected = Some(expected);
        self
    }

    /// Sets a callback for progress over the whole file, called after every chunk. It
    /// should return quickly.
    pub fn on_progress(mut self, listener: impl FnMut(TransferProgress) + Send + 'static) -> Self {
        self.progress = Some(Box::new(listener));
        self
    }

    async fn receive(mut self) -> Result<Transferred> {
        let mut digest = Sha256::new();
        let wrong = |error| unusable("write", &self.local, error);
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(!self.resume);
        let mut file = options.open(&self.local).await.map_err(wrong)?;
        let mut bytes = hash(&mut file, &mut digest).await.map_err(wrong)?;
        let mut total = None;
        if bytes > 0 {
            let known = self.files.read_part(&self.path, bytes, 0).await?.total;
            if bytes > known {
                // The local file is longer than the remote file, so it is not a part of it.
                file.set_len(0).await.map_err(wrong)?;
                file.rewind().await.map_err(wrong)?;
                (bytes, digest) = (0, Sha256::new());
            }
            total = Some(known);
        }
        if total.is_none_or(|total| bytes < total) {
            let mut download = self.files.download_from(&self.path, bytes).await?;
            let whole = download.progress().total.map(|rest| rest + bytes);
            while let Some(piece) = download.next().await {
                let piece: Bytes = piece?;
                file.write_all(&piece).await.map_err(wrong)?;
                digest.update(&piece);
                bytes += piece.len() as u64;
                if let Some(listener) = &mut self.progress {
                    listener(TransferProgress {
                        bytes,
                        total: whole,
                    });
                }
            }
        }
        file.flush().await.map_err(wrong)?;
        file.sync_all().await.map_err(wrong)?;
        let sha256 = digest.finalize().into();
        if self.expected.is_some_and(|expected| expected != sha256) {
            return Err(Error::Decode {
                operation: self.files.client.operation(
                    &format!("GET {}", self.files.datastore.path(&self.path)),
                    None,
                ),
                source: "the checksum differs from the expected one; the remote file has \
                         changed, or the resumed part belongs to another file"
                    .into(),
            });
        }
        Ok(Transferred { bytes, sha256 })
    }
}

impl<'c> IntoFuture for ToLocal<'c> {
    type Output = Result<Transferred>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'c>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.receive())
    }
}

impl fmt::Debug for ToLocal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ToLocal({} to {})", self.path, self.local.display())
    }
}

/// Reads a file to its end and adds the content to a digest; returns the number of bytes.
async fn hash(file: &mut File, digest: &mut Sha256) -> std::io::Result<u64> {
    let mut buffer = vec![0; PIECE];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer).await?;
        let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else {
            return Ok(bytes);
        };
        digest.update(piece);
        bytes += read as u64;
    }
}

/// Returns the error of a local file.
pub(crate) fn unusable(what: &'static str, local: &Path, source: std::io::Error) -> Error {
    Error::LocalFile {
        what,
        path: local.into(),
        source,
    }
}
