//! How a cluster is told: the nodes to ask first, and where the others are.

use std::fmt;

use super::endpoint::{Endpoint, NatMap};

/// What the owner of a client says of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seeds {
    /// Nodes, where they can be reached from here.
    pub nodes: Vec<Endpoint>,
    /// Where the nodes are that the cluster announces.
    pub nat_map: NatMap,
}

impl Seeds {
    /// A cluster of which one node is known.
    pub fn one(node: Endpoint) -> Self {
        Self { nodes: vec![node], nat_map: NatMap::default() }
    }

    /// Whether both are of one cluster: they have a node in common.
    pub fn is_same(&self, other: &Self) -> bool {
        self.nodes.iter().any(|node| other.nodes.contains(node))
    }
}

impl fmt::Display for Seeds {
    /// As errors name the cluster.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: Vec<_> = self.nodes.iter().map(Endpoint::to_string).collect();
        write!(f, "cluster ({})", nodes.join(", "))
    }
}
