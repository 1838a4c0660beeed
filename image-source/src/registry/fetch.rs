//! Fetching the layers of an image into a spool.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use portlayer::image::{Digest, Image};
use reqwest::StatusCode;
use tokio::sync::mpsc;

use super::progress::{LayerProgress, LayerStage, ObserveFetch};
use super::token::Access;
use super::{ResolvedImage, blocking_io};
use crate::load::layer;
use crate::manifest::Descriptor;
use crate::section::Section;
use crate::spool::{Part, Spool};
use crate::{Error, Result};

/// The number of consecutive attempts without any progress after which the transfer of a blob
/// fails.
const ATTEMPTS: u32 = 5;
/// The number of blocks queued between the connection and the file.
const QUEUE: usize = 16;

impl ResolvedImage {
    /// Fetches the layers that are not in the spool, several concurrently, and verifies each.
    /// Interrupted transfers are resumed. The image keeps the spool's directory alive.
    ///
    /// Dropping the future ends the requests; received bytes stay in the spool, and the
    /// next fetch resumes from them.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`] or [`Error::TooLarge`] for a layer that does not match the
    /// manifest, [`Error::Io`] if the spool cannot be written, and the errors of the registry.
    #[tracing::instrument(skip_all, fields(image = %self.id().short()))]
    pub async fn fetch(self, spool: &Spool, observer: impl ObserveFetch) -> Result<Image> {
        let observer: Arc<dyn ObserveFetch> = Arc::new(observer);
        let layers = &self.manifest.layers;
        for (index, blob) in layers.iter().enumerate() {
            observer.observe(LayerProgress::new(index, blob.digest, LayerStage::Waiting));
        }
        let mut fetches = Vec::with_capacity(layers.len());
        for (index, blob) in layers.iter().enumerate() {
            let report = Report {
                observer: Arc::clone(&observer),
                index,
                digest: blob.digest,
            };
            fetches.push(fetch_layer(&self.access, blob.clone(), spool, report).boxed());
        }
        // `buffered` keeps the order of the image, whatever order the layers arrive in.
        let sections: Vec<Section> = futures_util::stream::iter(fetches)
            .buffered(self.concurrent_layers)
            .try_collect()
            .await?;
        let layers = layers.iter().zip(self.config.diff_ids()).zip(sections);
        let layers: Vec<_> = layers
            .map(|((blob, diff_id), section)| {
                layer(*diff_id, section.kept_by(spool)).stored(blob.digest, blob.size)
            })
            .collect();
        Ok(Image::new(self.config, layers))
    }
}

/// Reports the progress of one layer to the observer.
#[derive(Clone)]
struct Report {
    observer: Arc<dyn ObserveFetch>,
    index: usize,
    digest: Digest,
}

impl Report {
    fn stage(&self, stage: LayerStage) {
        self.observer
            .observe(LayerProgress::new(self.index, self.digest, stage));
    }
}

async fn fetch_layer(
    access: &Access,
    blob: Descriptor,
    spool: &Spool,
    report: Report,
) -> Result<Section> {
    let _turn = spool.turn(&blob.digest).await;
    let (digest, size) = (blob.digest, blob.size);
    let known = {
        let spool = spool.clone();
        crate::blocking(move || spool.complete(&digest, size)).await?
    };
    if let Some(section) = known {
        report.stage(LayerStage::Complete);
        return Ok(section);
    }
    let mut part = {
        let spool = spool.clone();
        crate::blocking(move || spool.part(&digest, size)).await?
    };
    let mut failures = 0;
    while part.len() < size {
        let before = part.len();
        let (returned, outcome) = transfer(access, &blob, part, &report).await?;
        part = returned;
        let Err(error) = outcome else { continue };
        failures = if part.len() > before { 1 } else { failures + 1 };
        if failures >= ATTEMPTS {
            return Err(error);
        }
        tracing::debug!(%digest, have = part.len(), %error, "a transfer broke off; continuing it");
        tokio::time::sleep(Duration::from_millis(100) * 2u32.pow(failures)).await;
    }
    report.stage(LayerStage::Verifying);
    let section = {
        let spool = spool.clone();
        crate::blocking(move || part.finish(&spool, &format!("layer {digest}"), &digest)).await?
    };
    report.stage(LayerStage::Complete);
    Ok(section)
}

/// Appends the bytes of one request to the part; returns the part and the outcome of the
/// request. The outer error is permanent: a retry does not help.
async fn transfer(
    access: &Access,
    blob: &Descriptor,
    part: Part,
    report: &Report,
) -> Result<(Part, Result<()>)> {
    let offset = part.len();
    let mut response = match access.blob(blob, offset).await {
        Ok(response) => response,
        // No byte of the blob has arrived yet: do not retry for a registry that cannot be
        // reached.
        Err(error) if offset == 0 => return Err(error),
        Err(error @ Error::Transport { .. }) => return Ok((part, Err(error))),
        Err(error) => return Err(error),
    };
    let restart = offset > 0 && response.status() != StatusCode::PARTIAL_CONTENT;
    let total = blob.size;
    let (blocks, mut queue) = mpsc::channel::<bytes::Bytes>(QUEUE);
    let report = report.clone();
    let what = format!("layer {}", blob.digest);
    // Hashing and writing block, so they run on a thread, which ends when the queue is closed.
    let writer = tokio::task::spawn_blocking(move || -> (Part, Result<()>) {
        let mut part = part;
        let written = (|| {
            if restart {
                part.restart().map_err(Error::io("write", &what))?;
            }
            while let Some(block) = queue.blocking_recv() {
                if part.len() + block.len() as u64 > total {
                    return Err(Error::TooLarge { what, limit: total });
                }
                part.write(&block).map_err(Error::io("write", &what))?;
                report.stage(LayerStage::Fetching {
                    done: part.len(),
                    total,
                });
            }
            Ok(())
        })();
        (part, written)
    });
    let received = loop {
        match response.chunk().await {
            Ok(Some(block)) => {
                if blocks.send(block).await.is_err() {
                    break Ok(());
                }
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(access.transport_error(error)),
        }
    };
    drop(blocks);
    let (part, written) = writer.await.map_err(blocking_io)?;
    written?;
    let outcome = match received {
        Ok(()) if part.len() < total => Err(Error::Truncated {
            what: format!("layer {}", blob.digest),
            expected: total,
            actual: part.len(),
        }),
        received => received,
    };
    Ok((part, outcome))
}
