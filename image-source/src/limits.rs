//! Limits on the input from an untrusted source.

/// Limits on the input from an untrusted source. Exceeding a limit is an error that names the
/// limit.
///
/// The content of layers (entries, bytes after decompression) is limited where they are unpacked:
/// [`ImportLimits`](portlayer::image::ImportLimits).
///
/// ```
/// use image_source::Limits;
///
/// let limits = Limits::default().layer_bytes(1 << 40);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The size of a manifest, an index or a registry's response in bytes. Default: 4 MiB, the
    /// size of manifests that registries accept.
    pub document_bytes: u64,
    /// The size of an image's config in bytes. Default: 8 MiB.
    pub config_bytes: u64,
    /// The number of layers in an image. Default: 512.
    pub layers: usize,
    /// The size of a layer as stored or transferred, in bytes. Default: 64 GiB.
    pub layer_bytes: u64,
    /// The size of an archive, or of a root file system, after decompression, in bytes. Default:
    /// 256 GiB.
    pub unpacked_bytes: u64,
    /// The number of members in an image archive (not in its layers). Default: 65,536.
    pub archive_members: usize,
    /// The base-2 logarithm of a zstd frame's window, which determines memory use. Default: 25
    /// (32 MiB), enough for every level without `--long` or `--ultra`.
    pub zstd_window_log: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            document_bytes: 4 << 20,
            config_bytes: 8 << 20,
            layers: 512,
            layer_bytes: 64 << 30,
            unpacked_bytes: 256 << 30,
            archive_members: 65_536,
            zstd_window_log: 25,
        }
    }
}

impl Limits {
    /// Sets [`layers`](Self::layers).
    #[must_use]
    pub fn layers(mut self, layers: usize) -> Self {
        self.layers = layers;
        self
    }

    /// Sets [`layer_bytes`](Self::layer_bytes).
    #[must_use]
    pub fn layer_bytes(mut self, bytes: u64) -> Self {
        self.layer_bytes = bytes;
        self
    }

    /// Sets [`unpacked_bytes`](Self::unpacked_bytes).
    #[must_use]
    pub fn unpacked_bytes(mut self, bytes: u64) -> Self {
        self.unpacked_bytes = bytes;
        self
    }

    /// Sets [`archive_members`](Self::archive_members).
    #[must_use]
    pub fn archive_members(mut self, members: usize) -> Self {
        self.archive_members = members;
        self
    }

    /// Sets [`zstd_window_log`](Self::zstd_window_log).
    #[must_use]
    pub fn zstd_window_log(mut self, log: u32) -> Self {
        self.zstd_window_log = log;
        self
    }
}
