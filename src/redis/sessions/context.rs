//! What the commands about sessions share.

use std::sync::{Arc, OnceLock};

use super::scripts::Scripts;
use crate::keys::{Keys, expiries};
use crate::operation::names::Namespace;
use crate::redis::layout::{Layout, Spread};
use crate::redis::order::SessionHash;
use crate::redis::place::Place;
use crate::redis::topology::partition::Partition;

/// What the commands about sessions share.
pub(crate) struct Context {
    layout: Arc<Layout>,
    pub namespace: Namespace,
    one: Names,
    /// By the partition's number, made when first used.
    partitions: OnceLock<Box<[OnceLock<Names>]>>,
}

/// The names and scripts of the sessions of one server or one partition.
pub(crate) struct Names {
    pub keys: Keys,
    /// Where changes append their records, with an audit.
    pub stream: Option<String>,
    /// Where sessions are noted that are to be told of when they expire, if they are.
    pub expiries: Option<String>,
    pub scripts: Scripts,
    /// Whether there are others besides: its channels are sharded.
    pub is_partition: bool,
}

impl Context {
    pub fn new(layout: Arc<Layout>, namespace: Namespace) -> Self {
        let one = Names::new(&namespace, None);
        Self { layout, namespace, one, partitions: OnceLock::new() }
    }

    /// The names of a session's partition. What they are is not known before a server has told how keys are
    /// spread; no command is encoded before that.
    pub fn names(&self, session_id: &str) -> &Names {
        match self.layout.get() {
            Some(Spread::Partitions(partitions)) => self.names_of(partitions.of(session_id)),
            _ => &self.one,
        }
    }

    /// The names of the partition of this number.
    pub fn names_of(&self, number: usize) -> &Names {
        let Some(Spread::Partitions(partitions)) = self.layout.get() else { return &self.one };
        let empty = || (0..partitions.len()).map(|_| OnceLock::new()).collect();
        let names = self.partitions.get_or_init(empty).get(number);
        let Some((names, partition)) = names.zip(partitions.get(number)) else { return &self.one };
        names.get_or_init(|| Names::new(&self.namespace, Some((partition, partitions.len()))))
    }

    /// Where the keys of a session are.
    pub fn place(&self, session_id: &str) -> Place<'_> {
        self.layout.place(session_id)
    }

    /// Where the keys of the partition of this number are.
    pub fn place_of(&self, number: usize) -> Place<'_> {
        self.layout.place_of(number)
    }

    /// How many partitions there are: one, on one server and before a server has told.
    pub fn parts(&self) -> usize {
        match self.layout.get() {
            Some(Spread::Partitions(partitions)) => partitions.len(),
            _ => 1,
        }
    }

    /// Tells the sessions of this process apart.
    pub fn hash(&self, session_id: &str) -> SessionHash {
        self.namespace.keys.hash(session_id)
    }

    /// Whether one server is known to have all sessions.
    pub fn is_one(&self) -> bool {
        matches!(self.layout.get(), Some(Spread::One))
    }
}

impl Names {
    /// The names of one server, or of a partition of so many.
    fn new(namespace: &Namespace, partition: Option<(&Partition, usize)>) -> Self {
        let partitions = partition.map(|(_, count)| count);
        let partition = partition.map(|(partition, _)| partition);
        let tag = partition.map(|partition| &*partition.tag);
        let expiries =
            (namespace.announce_expiry).then(|| expiries(tag, &namespace.keys.session_prefix));
        let keys = match partition {
            None => namespace.keys.clone(),
            Some(partition) => namespace.keys.of_partition(&partition.tag),
        };
        let stream = namespace.audit.as_ref().map(|audit| match partition {
            None => audit.keys.stream.clone(),
            Some(partition) => audit.keys.of_partition(&partition.tag).stream,
        });
        let is_partition = partition.is_some();
        let scripts = Scripts::new(namespace, &keys, partitions);
        Self { keys, stream, expiries, scripts, is_partition }
    }
}
