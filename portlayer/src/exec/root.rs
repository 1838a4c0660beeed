//! The root file system of a container.

use serde::{Deserialize, Serialize};

use crate::image::ImageId;

/// What a container's root file system starts from. What the container writes is its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RootFs {
    /// Nothing: an empty disk.
    #[default]
    Empty,
    /// An image that the host has.
    Image {
        /// Which one.
        id: ImageId,
        /// How the user referred to it, such as `busybox:1.36`. Recorded, not looked up.
        reference: String,
    },
}

impl RootFs {
    /// The image with this id, to which the user referred so.
    pub fn image(id: ImageId, reference: impl Into<String>) -> Self {
        Self::Image {
            id,
            reference: reference.into(),
        }
    }

    /// The image it starts from.
    #[must_use]
    pub fn image_id(&self) -> Option<&ImageId> {
        match self {
            Self::Empty => None,
            Self::Image { id, .. } => Some(id),
        }
    }

    /// How the user referred to the image; empty without one.
    #[must_use]
    pub fn reference(&self) -> &str {
        match self {
            Self::Empty => "",
            Self::Image { reference, .. } => reference,
        }
    }
}
