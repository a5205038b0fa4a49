//! What a node tells of its cluster: the answers to `CLUSTER NODES` and `CLUSTER SLOTS`, joined. The first
//! has the epochs, by which two nodes' answers are told apart; the second the addresses under which
//! clients are to reach the nodes.

use std::collections::HashMap;

use redis::Value;

use super::endpoint::Endpoint;
use super::slot::{Slot, SlotRange};

/// The most nodes a cluster may have here.
const MOST_NODES: usize = 4096;

/// What the cluster calls a node, for ever.
pub(crate) type NodeId = String;

/// A master, as a node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Master {
    pub id: NodeId,
    pub endpoint: Endpoint,
    /// When it was given slots last, in the cluster's count of its changes.
    pub epoch: u64,
    pub slots: Vec<SlotRange>,
    /// Where its replicas listen.
    pub replicas: Vec<Endpoint>,
}

/// What a node sees: the masters with slots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct View {
    pub masters: Vec<Master>,
}

impl View {
    /// The latest epoch that it knows of.
    pub fn epoch(&self) -> u64 {
        self.masters.iter().map(|master| master.epoch).max().unwrap_or_default()
    }

    /// Reads both answers of the node that was asked at `asked`, whose host stands for the host that a
    /// node does not know of itself. `None` where they cannot be read.
    pub fn read(nodes: &str, slots: Value, asked: &Endpoint) -> Option<Self> {
        let epochs: HashMap<&str, u64> = nodes.lines().filter_map(epoch_of).collect();
        let mut masters: HashMap<NodeId, Master> = HashMap::new();
        let Value::Array(ranges) = slots else { return None };
        for range in ranges {
            let Value::Array(parts) = range else { return None };
            let mut parts = parts.into_iter();
            let (first, last) = (slot(parts.next()?)?, slot(parts.next()?)?);
            let (id, endpoint) = node(parts.next()?, asked)?;
            let epoch = *epochs.get(id.as_str())?;
            if masters.len() >= MOST_NODES {
                return None;
            }
            let master = masters.entry(id.clone()).or_insert_with(|| {
                let replicas = parts.filter_map(|part| node(part, asked)).map(|(_, at)| at);
                Master { id, endpoint, epoch, slots: Vec::new(), replicas: replicas.collect() }
            });
            master.slots.push(first..=last);
        }
        let mut masters: Vec<Master> = masters.into_values().collect();
        masters.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        Some(Self { masters })
    }
}

/// `<id> <address> <flags> <master> <ping> <pong> <epoch> …`
fn epoch_of(line: &str) -> Option<(&str, u64)> {
    let mut words = line.split(' ');
    let id = words.next()?;
    Some((id, words.nth(5)?.parse().ok()?))
}

fn slot(value: Value) -> Option<u16> {
    let number = redis::from_redis_value::<u16>(value).ok()?;
    Slot::new(number).map(Slot::number)
}

/// `[host, port, id, metadata]`. The host is null or empty where it is that of whoever was asked, and `?` where
/// the node has no name yet: then its address is among the metadata.
fn node(value: Value, asked: &Endpoint) -> Option<(NodeId, Endpoint)> {
    let Value::Array(parts) = value else { return None };
    let mut parts = parts.into_iter();
    let host: Option<String> = redis::from_redis_value(parts.next()?).ok()?;
    let port = redis::from_redis_value::<u16>(parts.next()?).ok()?;
    let id = redis::from_redis_value::<String>(parts.next()?).ok()?;
    let host = match host.as_deref() {
        None | Some("") => asked.host.clone(),
        Some("?") => address(parts.next()?)?,
        Some(host) => host.to_owned(),
    };
    Some((id, Endpoint { host, port }))
}

/// The address among a node's metadata: a map, which is a list of names and values in RESP2.
fn address(metadata: Value) -> Option<String> {
    let metadata: HashMap<String, String> = redis::from_redis_value(metadata).ok()?;
    metadata.get("ip").filter(|address| !address.is_empty()).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: &str = "\
aa 10.0.0.1:6379@16379 myself,master - 0 0 3 connected 0-8191
bb 10.0.0.2:6379@16379,b.example master - 0 1 2 connected 8192-16383 [5->-cc]
cc 10.0.0.3:6379@16379 slave bb 0 1 2 connected
";

    fn parsed(text: &str) -> Value {
        redis::parse_redis_value(text.replace('\n', "\r\n").as_bytes()).expect("RESP")
    }

    fn asked() -> Endpoint {
        Endpoint { host: "asked".into(), port: 1 }
    }

    #[test]
    fn both_answers_are_joined() {
        let slots = parsed(
            "*2\n*3\n:0\n:8191\n*3\n$-1\n:6379\n$2\naa\n*4\n:8192\n:16383\n*3\n$9\nb.example\n:6379\n$2\nbb\n*3\n$8\n10.0.0.3\n:6379\n$2\ncc\n",
        );
        let view = View::read(NODES, slots, &asked()).expect("a view");
        let at = |host: &str| Endpoint { host: host.into(), port: 6379 };
        let master = |id: &str, host, epoch, slots: SlotRange, replicas| Master {
            id: id.into(),
            endpoint: at(host),
            epoch,
            slots: vec![slots],
            replicas,
        };
        let masters = vec![
            master("aa", "asked", 3, 0..=8191, vec![]),
            master("bb", "b.example", 2, 8192..=16_383, vec![at("10.0.0.3")]),
        ];
        assert_eq!(view, View { masters });
    }

    #[test]
    fn a_node_without_a_name_is_found_by_its_address() {
        for metadata in ["%1\n", "*2\n"] {
            let node = format!("*4\n$1\n?\n:6379\n$2\naa\n{metadata}$2\nip\n$8\n10.0.0.1\n");
            let slots = parsed(&format!("*1\n*3\n:0\n:1\n{node}"));
            let view = View::read(NODES, slots, &asked()).expect("a view");
            assert_eq!(view.masters[0].endpoint, Endpoint { host: "10.0.0.1".into(), port: 6379 });
        }
    }

    #[test]
    fn what_cannot_be_read_is_no_view() {
        for slots in [
            "+OK\n",
            "*1\n:1\n",
            "*1\n*3\n:0\n:16384\n*3\n$-1\n:6379\n$2\naa\n",
            "*1\n*3\n:0\n:1\n*3\n$-1\n:6379\n$2\nzz\n",
            "*1\n*3\n:0\n:1\n*2\n$-1\n:6379\n",
        ] {
            assert_eq!(View::read(NODES, parsed(slots), &asked()), None, "{slots}");
        }
        assert_eq!(View::read("", parsed("*0\n"), &asked()), Some(View::default()));
    }
}
