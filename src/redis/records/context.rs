//! What the commands about records share: the names of a queue, on one server or in each partition.

use std::sync::{Arc, OnceLock};

use crate::keys::AuditKeys;
use crate::operation::names::Stream;
use crate::redis::layout::{Layout, Spread};
use crate::redis::place::Place;
use crate::redis::topology::partition::Partitions;

/// What the commands about the records of a queue share.
pub(crate) struct Context {
    layout: Arc<Layout>,
    pub stream: Arc<Stream>,
    /// By the partition's number, made when first used.
    partitions: OnceLock<Box<[AuditKeys]>>,
}

impl Context {
    pub fn new(layout: Arc<Layout>, stream: Arc<Stream>) -> Self {
        Self { layout, stream, partitions: OnceLock::new() }
    }

    /// The partitions; `None` on one server, and before a server has told.
    pub fn partitions(&self) -> Option<&Partitions> {
        match self.layout.get() {
            Some(Spread::Partitions(partitions)) => Some(partitions),
            _ => None,
        }
    }

    /// Among how many partitions the records are divided: one, on one server. `None` before a server has
    /// told.
    pub fn count(&self) -> Option<usize> {
        self.layout.get().map(|_| self.partitions().map_or(1, Partitions::len))
    }

    /// The names in a partition, or those on one server.
    pub fn keys(&self, number: usize) -> &AuditKeys {
        let Some(partitions) = self.partitions() else { return &self.stream.keys };
        let of_all =
            || partitions.iter().map(|one| self.stream.keys.of_partition(&one.tag)).collect();
        self.partitions.get_or_init(of_all).get(number).unwrap_or(&self.stream.keys)
    }

    /// The names where a session's records are.
    pub fn keys_of(&self, session_id: &str) -> &AuditKeys {
        self.keys(self.partitions().map_or(0, |partitions| partitions.of(session_id)))
    }

    /// Where a partition is.
    pub fn place(&self, number: usize) -> Place<'_> {
        match (self.anywhere(), self.partitions().and_then(|all| all.get(number))) {
            (Place::Any, Some(partition)) => {
                Place::Partition { slot: partition.slot, tag: &partition.tag }
            }
            (place, _) => place,
        }
    }

    /// Any server, once one has told how the records are divided.
    pub fn anywhere(&self) -> Place<'_> {
        match self.layout.get() {
            None => Place::Unknown,
            Some(Spread::Refused(error)) => Place::Nowhere(error),
            Some(_) => Place::Any,
        }
    }

    /// Where a session's records are.
    pub fn place_of(&self, session_id: &str) -> Place<'_> {
        self.layout.place(session_id)
    }

    /// The most records that a stream may hold; 0: no limit.
    pub fn limit(&self) -> u64 {
        self.stream.share(self.partitions().map_or(1, Partitions::len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    fn context() -> Context {
        let stream = Stream { keys: AuditKeys::of("q"), max_backlog: None, replicas: None };
        Context::new(Arc::default(), Arc::new(stream))
    }

    #[test]
    fn records_are_in_partitions_once_a_cluster_has_told_of_them() {
        let context = context();
        assert!(matches!(context.place(3), Place::Unknown));
        assert!(context.layout.is_partitioned(64));
        assert!(matches!(context.place(3), Place::Partition { .. }));
        assert!(matches!(context.anywhere(), Place::Any));
    }

    #[test]
    fn a_cluster_that_must_not_be_used_is_asked_for_nothing() {
        let context = context();
        context.layout.is_refused(Error::unavailable("it has other partitions"));
        assert!(matches!(context.place(0), Place::Nowhere(_)));
        assert!(matches!(context.anywhere(), Place::Nowhere(_)));
    }
}
