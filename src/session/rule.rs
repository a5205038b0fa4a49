//! What a write demands of the stored session.

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
}

impl Rule {
    pub(super) fn stamp(self) -> Stamp {
        match self {
            Self::Create | Self::CreateIfAbsent => Stamp::Created,
            Self::Locked { .. } | Self::Any => Stamp::Updated,
        }
    }

    /// What the script calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::CreateIfAbsent => "absent",
            Self::Locked { .. } => "locked",
            Self::Any => "any",
        }
    }

    /// What the audit calls it.
    pub(super) fn event(self) -> &'static str {
        match self {
            Self::Create | Self::CreateIfAbsent => "session_created",
            Self::Locked { .. } | Self::Any => "session_updated",
        }
    }
}
