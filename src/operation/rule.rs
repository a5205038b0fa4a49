//! What a write demands of the stored session.

use super::record::{CREATED, RESTORED, UPDATED};
use crate::document::Stamp;

/// What a write demands of what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Nothing: a new life of the session begins with version 1.
    Create,
    /// That there is no such session.
    CreateIfAbsent,
    /// That exactly this version is stored.
    Locked {
        /// The expected version.
        expected: u64,
    },
    /// Nothing: last writer wins in content, the version grows all the same.
    Any,
    /// That the caller knows what is stored: an earlier state comes back, as a new version.
    Restore {
        /// The least version that the write stores: above all that were ever given.
        least: u64,
        /// What may be stored.
        over: Over,
    },
}

/// What a restored state may replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Whatever is stored, also what is no session.
    Anything,
    /// Nothing: that there is no such session.
    Nothing,
    /// Exactly this version.
    Version(u64),
}

impl Rule {
    /// The dates that the write sets.
    pub fn stamp(self) -> Stamp {
        match self {
            Self::Create | Self::CreateIfAbsent => Stamp::Created,
            Self::Locked { .. } | Self::Any | Self::Restore { .. } => Stamp::Updated,
        }
    }

    /// The kind of change that it is.
    pub fn event_type(self) -> &'static str {
        match self {
            Self::Create | Self::CreateIfAbsent => CREATED,
            Self::Locked { .. } | Self::Any => UPDATED,
            Self::Restore { .. } => RESTORED,
        }
    }

    /// The version that the write stores; `None` where that depends on the stored one.
    pub fn version(self) -> Option<u64> {
        match self {
            Self::Create | Self::CreateIfAbsent => Some(1),
            Self::Locked { expected } => Some(expected + 1),
            Self::Any | Self::Restore { .. } => None,
        }
    }
}
