//! How a cluster is told: the nodes to ask first, and where the others are.

use std::fmt;

use super::endpoint::{Endpoint, NatMap};

/// How many nodes an error names.
const NAMED: usize = 6;

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
        let nodes: Vec<_> = self.nodes.iter().take(NAMED).map(Endpoint::to_string).collect();
        write!(f, "cluster ({}", nodes.join(", "))?;
        match self.nodes.len().saturating_sub(NAMED) {
            0 => write!(f, ")"),
            more => write!(f, " and {more} more)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_a_few_of_many_nodes() {
        let named = |count: u16| {
            let nodes = (1..=count).map(|port| Endpoint { host: "h".into(), port }).collect();
            Seeds { nodes, nat_map: NatMap::default() }.to_string()
        };
        assert_eq!(named(1), "cluster (h:1)");
        assert_eq!(named(6), "cluster (h:1, h:2, h:3, h:4, h:5, h:6)");
        assert_eq!(named(300), "cluster (h:1, h:2, h:3, h:4, h:5, h:6 and 294 more)");
    }
}
