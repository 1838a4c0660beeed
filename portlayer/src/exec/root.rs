//! The root file system of a container.

use serde::{Deserialize, Serialize};

use crate::image::ImageId;

/// The origin of a container's root file system. Changes that the container makes are private to
/// it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RootFs {
    /// An empty disk.
    #[default]
    Empty,
    /// An image on the host.
    Image {
        /// The id of the image.
        id: ImageId,
        /// How the user referred to the image, such as `busybox:1.36`. It is recorded but never
        /// looked up.
        reference: String,
    },
}

impl RootFs {
    /// Creates a root file system from an image, with the user's reference to it.
    pub fn image(id: ImageId, reference: impl Into<String>) -> Self {
        Self::Image {
            id,
            reference: reference.into(),
        }
    }

    /// Returns the image's id; `None` if the root file system has no image.
    #[must_use]
    pub fn image_id(&self) -> Option<&ImageId> {
        match self {
            Self::Empty => None,
            Self::Image { id, .. } => Some(id),
        }
    }

    /// Returns the user's reference to the image; empty if there is no image.
    #[must_use]
    pub fn reference(&self) -> &str {
        match self {
            Self::Empty => "",
            Self::Image { reference, .. } => reference,
        }
    }
}
