//! A node of the simulated cluster: what it knows of the others, and its connections.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::redis::resp::decoder::Decoder;
use crate::redis::topology::endpoint::Endpoint;
use crate::redis::topology::slot::Slot;
use crate::redis::topology::view::{Master, View};

/// How many nodes there are, and how many of all slots are used: the same part of each tenth.
pub(super) const NODES: usize = 5;
pub(super) const GROUPS: u16 = 8;
pub(super) const WIDTH: u16 = Slot::COUNT / GROUPS;

pub(super) struct Node {
    pub is_alive: bool,
    /// Who it believes to own each group, with the epoch of that.
    pub known: Vec<(usize, u64)>,
    pub to_learn: Vec<(Instant, usize, (usize, u64))>,
    pub epoch: u64,
}

/// A connection of the client, and what it has received of a command.
pub(super) struct Connection {
    pub node: usize,
    pub input: Decoder,
    pub output: Decoder,
    /// The server executes nothing more that comes by it.
    pub is_killed: bool,
    pub is_asking: bool,
    pub arrives: [Instant; 2],
}

pub(super) fn endpoint(node: usize) -> Endpoint {
    Endpoint { host: "h".into(), port: u16::try_from(node + 1).expect("a port") }
}

pub(super) fn node_at(endpoint: &Endpoint) -> usize {
    usize::from(endpoint.port) - 1
}

impl Node {
    pub fn learn(&mut self, now: Instant) {
        let Self { is_alive, known, to_learn, epoch } = self;
        if !*is_alive {
            return;
        }
        for (_, group, claim) in to_learn.extract_if(.., |(at, ..)| *at <= now) {
            if known[group].1 < claim.1 {
                known[group] = claim;
            }
            *epoch = (*epoch).max(claim.1);
        }
    }

    pub fn view(&self) -> View {
        let mut masters: BTreeMap<usize, Master> = BTreeMap::new();
        for (group, (owner, epoch)) in (0..GROUPS).zip(&self.known) {
            let master = masters.entry(*owner).or_insert_with(|| Master {
                id: owner.to_string(),
                endpoint: endpoint(*owner),
                epoch: 0,
                slots: Vec::new(),
                replicas: (0..NODES).map(endpoint).collect(),
            });
            master.epoch = master.epoch.max(*epoch);
            master.slots.push(group * WIDTH..=group * WIDTH + (WIDTH - 1));
        }
        View { masters: masters.into_values().collect() }
    }
}
