//! Where a request is to be executed.

use crate::error::Error;
use crate::redis::topology::cluster::NodeNumber;
use crate::redis::topology::slot::Slot;

/// Where a request is to be executed. With one server, all are executed there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// By any master.
    Any,
    /// Where the keys of this slot are.
    Slot(Slot),
    /// Where the keys of this partition are, which share a hash tag.
    Partition { slot: Slot, tag: &'a str },
    /// By this node.
    Node(NodeNumber),
    /// Nobody knows yet how keys are spread.
    Unknown,
    /// Nowhere in a cluster, for this reason. With one server it is executed there.
    Nowhere(&'a Error),
}

impl Place<'_> {
    /// The slot of its keys.
    pub fn slot(self) -> Option<Slot> {
        match self {
            Self::Slot(slot) | Self::Partition { slot, .. } => Some(slot),
            Self::Any | Self::Node(_) | Self::Unknown | Self::Nowhere(_) => None,
        }
    }
}
