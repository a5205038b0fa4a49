//! How the keys of sessions and records are spread: over one server, or over the partitions of a cluster.
//! It is known once a server has told, and stays for the life of a client.

use std::sync::OnceLock;

use crate::error::Error;
use crate::redis::place::Place;
use crate::redis::topology::partition::Partitions;

/// How keys are spread.
#[derive(Debug)]
pub(crate) enum Spread {
    /// One server has all.
    One,
    /// The masters of a cluster share the partitions.
    Partitions(Partitions),
    /// There is a cluster whose partitions are not those that this client is to use.
    Refused(Error),
}

/// What is known of how keys are spread.
#[derive(Debug, Default)]
pub(crate) struct Layout(OnceLock<Spread>);

impl Layout {
    /// What a server has told; `None` before that.
    pub fn get(&self) -> Option<&Spread> {
        self.0.get()
    }

    /// Where what belongs to a session is.
    pub fn place(&self, session_id: &str) -> Place<'_> {
        match self.get() {
            Some(Spread::Partitions(partitions)) => self.place_of(partitions.of(session_id)),
            _ => self.place_of(0),
        }
    }

    /// Where the partition of this number is.
    pub fn place_of(&self, number: usize) -> Place<'_> {
        match self.get() {
            None => Place::Unknown,
            Some(Spread::One) => Place::Any,
            Some(Spread::Refused(error)) => Place::Nowhere(error),
            Some(Spread::Partitions(partitions)) => match partitions.get(number) {
                Some(partition) => Place::Partition { slot: partition.slot, tag: &partition.tag },
                None => Place::Unknown,
            },
        }
    }

    /// A key of one server in place of one that belongs to a session of a partition: without the hash tag.
    pub fn without_tag(&self, key: String) -> String {
        let Some(Spread::Partitions(partitions)) = self.get() else { return key };
        let Some((before, rest)) = key.split_once('{') else { return key };
        match rest.split_once("}:") {
            Some((tag, after)) if partitions.has_tag(tag) => [before, after].concat(),
            _ => key,
        }
    }

    /// There is one server. `false`, if there was a cluster before.
    pub fn is_one(&self) -> bool {
        matches!(self.0.get_or_init(|| Spread::One), Spread::One)
    }

    /// There is a cluster with these partitions. `false`, if there was something else before.
    pub fn is_partitioned(&self, count: u16) -> bool {
        match self.0.get_or_init(|| Spread::Partitions(Partitions::new(count))) {
            Spread::One | Spread::Refused(_) => false,
            Spread::Partitions(partitions) => partitions.len() == usize::from(count),
        }
    }

    /// There is a cluster that must not be used, for this reason.
    pub fn is_refused(&self, error: Error) {
        self.0.get_or_init(|| Spread::Refused(error));
    }
}
