//! What the nodes do with commands, and what happens to them.

use super::call::slot_of;
use super::node::{GROUPS, NODES, WIDTH, endpoint};
use super::{Event, World};
use crate::redis::resp::decoder::Frame;

impl World {
    pub(super) fn received(&mut self, id: u64, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if !self.nodes[connection.node].is_alive || connection.is_killed {
            return;
        }
        connection.input.buffer().extend_from_slice(bytes);
        let mut commands = Vec::new();
        while let Ok(Some(Frame::Reply(value, _))) = connection.input.next() {
            commands.push(redis::from_redis_value::<Vec<String>>(value).expect("words"));
        }
        let replies: String = commands.iter().map(|words| self.execute(id, words)).collect();
        let at = self.soon(1, 40);
        let at = self.in_order(id, 1, at);
        self.at(at, Event::ToClient(id, replies.into_bytes()));
    }

    fn execute(&mut self, id: u64, words: &[String]) -> String {
        let connection = self.connections.get_mut(&id).expect("a connection");
        let node = connection.node;
        let was_asking = std::mem::take(&mut connection.is_asking);
        let number = |at: usize| words[at].parse::<u64>().expect("a number");
        match words[0].as_str() {
            "ASKING" => {
                connection.is_asking = true;
                return "+OK\r\n".into();
            }
            "HELLO" => return "%1\r\n$4\r\nrole\r\n$6\r\nmaster\r\n".into(),
            _ => {}
        }
        let session = number(2);
        let slot = slot_of(session).number();
        let group = usize::from(slot / WIDTH);
        let owner = self.owners[group];
        let has_moved = session >= u64::from(GROUPS); // The others of its slot are not moved yet.
        let (believed, _) = self.nodes[node].known[group];
        let is_target = self.moving == Some((group, node)) && was_asking && has_moved;
        if believed != node && !is_target {
            self.redirections += 1;
            return format!("-MOVED {slot} h:{}\r\n", endpoint(believed).port);
        }
        if believed == node && owner != node {
            return "-CLUSTERDOWN it is cut off\r\n".into();
        }
        if let Some((moving, to)) = self.moving
            && moving == group
            && owner == node
            && has_moved
        {
            self.redirections += 1;
            return format!("-ASK {slot} h:{}\r\n", endpoint(to).port);
        }
        if words[0] == "READ" {
            return format!(":{}\r\n", self.version(session));
        }
        let (call, written) = (number(1), number(3));
        if let Some(noted) = self.ledger.get(&(slot, written)).filter(|_| words[4] == "repeated") {
            return format!(":{noted}\r\n");
        }
        let version = self.version(session) + 1;
        self.versions.insert(session, version);
        self.ledger.insert((slot, written), version);
        self.executed.push(call);
        format!(":{version}\r\n")
    }

    fn version(&self, session: u64) -> i64 {
        self.versions.get(&session).copied().unwrap_or(0)
    }

    pub(super) fn chaos(&mut self) {
        let node = self.random.usize(..NODES);
        match self.random.u8(0..4) {
            0 => self.fail(node),
            1 => {
                let group = self.random.usize(..usize::from(GROUPS));
                self.moving = None;
                if self.nodes[node].is_alive {
                    self.give(group, node);
                }
            }
            2 => {
                let group = self.random.usize(..usize::from(GROUPS));
                let is_idle = self.owners[group] != node && self.nodes[node].is_alive;
                self.moving = is_idle.then_some((group, node));
            }
            _ => {
                let ids: Vec<u64> = self.current.values().copied().filter(|id| *id > 0).collect();
                if let Some(id) = self.random.choice(ids) {
                    let at = self.soon(0, 50);
                    self.at(at, Event::Ended(id));
                }
            }
        }
    }

    /// A master dies, and another node has its slots; or a dead one comes back.
    fn fail(&mut self, node: usize) {
        self.moving = None;
        if !self.nodes[node].is_alive {
            self.nodes[node].is_alive = true;
            return;
        }
        let alive: Vec<usize> =
            (0..NODES).filter(|one| *one != node && self.nodes[*one].is_alive).collect();
        if alive.len() < 2 {
            return;
        }
        self.nodes[node].is_alive = false;
        let to = *self.random.choice(&alive).expect("a node");
        for group in 0..usize::from(GROUPS) {
            if self.owners[group] == node {
                self.give(group, to);
            }
        }
        let ids: Vec<u64> = self
            .connections
            .iter()
            .filter(|(_, one)| one.node == node)
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            if let Some(one) = self.connections.get_mut(&id) {
                one.is_killed = true;
            }
            // Some learn of it at once, others by silence.
            if self.random.bool() {
                let at = self.soon(0, 50);
                self.at(at, Event::Ended(id));
            }
        }
    }

    fn give(&mut self, group: usize, to: usize) {
        self.epoch += 1;
        self.owners[group] = to;
        let claim = (to, self.epoch);
        for number in 0..NODES {
            let at = if number == to { self.now } else { self.soon(0, 2000) };
            self.nodes[number].to_learn.push((at, group, claim));
        }
        self.nodes[to].learn(self.now);
    }
}
