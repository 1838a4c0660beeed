//! Transfers files between local paths and datastores.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::path::{Path, PathBuf};
use std::pin::Pin;

use futures_util::StreamExt;

use super::files::Files;
use super::local_io::{self, Checksum, Reader, Writer};
use super::transfer::{OnProgress, TransferProgress};
use crate::error::{Error, Result};

/// The result of a finished transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transferred {
    /// The length of the whole file.
    pub bytes: u64,
    /// The SHA-256 of the whole file, if it was requested.
    pub sha256: Option<[u8; 32]>,
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
            checksum: false,
            progress: None,
        }
    }

    /// Downloads a file to a local path. Await the returned value; dropping it leaves a
    /// partial file, which a download with [`ToLocal::resume`] continues.
    ///
    /// A finished file is visible to every program, but the system may not have written it to its
    /// disk yet. To keep it through a power failure, call [`File::sync_all`](std::fs::File::sync_all)
    /// on it.
    pub fn download_file(&self, path: &str, local: impl AsRef<Path>) -> ToLocal<'c> {
        ToLocal {
            files: *self,
            path: path.to_owned(),
            local: local.as_ref().to_owned(),
            resume: false,
            checksum: false,
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
    checksum: bool,
    progress: Option<OnProgress>,
}

impl FromLocal<'_> {
    /// Computes the SHA-256 of the file while it is sent. Default: no.
    pub const fn checksum(mut self) -> Self {
        self.checksum = true;
        self
    }

    /// Sets a callback for progress, called after every chunk. It should return quickly.
    pub fn on_progress(mut self, listener: impl FnMut(TransferProgress) + Send + 'static) -> Self {
        self.progress = Some(Box::new(listener));
        self
    }

    async fn send(self) -> Result<Transferred> {
        let wrong = |error| unusable("read", &self.local, error);
        let (file, bytes) = local_io::open(&self.local).await.map_err(wrong)?;
        let (reader, content) = Reader::start(file, Checksum::new(self.checksum));
        let mut upload = self.files.upload_stream(&self.path, content, bytes);
        if let Some(listener) = self.progress {
            upload = upload.on_progress(listener);
        }
        upload.await?;
        let sha256 = match self.checksum {
            true => reader.finish().await.map_err(wrong)?,
            false => None,
        };
        Ok(Transferred { bytes, sha256 })
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
    checksum: bool,
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

    /// Computes the SHA-256 of the file while it is received. Default: no. With
    /// [`resume`](Self::resume), the existing content is read for that.
    pub const fn checksum(mut self) -> Self {
        self.checksum = true;
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
        let wrong = |error| unusable("write", &self.local, error);
        let mut checksum = Checksum::new(self.checksum || self.expected.is_some());
        let none = checksum.clone();
        let created = local_io::create(&self.local, self.resume, checksum);
        let (mut file, mut bytes);
        (file, bytes, checksum) = created.await.map_err(wrong)?;
        let mut total = None;
        if bytes > 0 {
            let known = self.files.read_part(&self.path, bytes, 0).await?.total;
            if bytes > known {
                // The local file is longer than the remote file, so it is not a part of it.
                file = local_io::empty(file).await.map_err(wrong)?;
                (bytes, checksum) = (0, none);
            }
            total = Some(known);
        }
        let mut writer = Writer::start(file, checksum);
        if total.is_none_or(|total| bytes < total) {
            let mut download = self.files.download_from(&self.path, bytes).await?;
            let whole = download.progress().total.map(|rest| rest + bytes);
            while let Some(piece) = download.next().await {
                let piece = match piece {
                    Ok(piece) => piece,
                    Err(error) => {
                        // What has arrived is kept, to be resumed.
                        writer.finish().await.map_err(wrong)?;
                        return Err(error);
                    }
                };
                bytes += piece.len() as u64;
                writer.write(piece).await.map_err(wrong)?;
                if let Some(listener) = &mut self.progress {
                    listener(TransferProgress {
                        bytes,
                        total: whole,
                    });
                }
            }
        }
        let sha256 = writer.finish().await.map_err(wrong)?;
        if self.expected.is_some() && self.expected != sha256 {
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

/// Returns the error of a local file.
pub(crate) fn unusable(what: &'static str, local: &Path, source: std::io::Error) -> Error {
    Error::LocalFile {
        what,
        path: local.into(),
        source,
    }
}
