//! Redis' own word on which keys have changed since they were read (`CLIENT TRACKING`).

use std::sync::Arc;

use redis::{PushInfo, PushKind, Value};
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::operation::Effect;
use crate::redis::layout::Layout;
use crate::redis::place::Place;
use crate::redis::request::{Attempt, Request};
use crate::redis::resp::encode::Command;
use crate::redis::topology::cluster::NodeNumber;

/// Where a connection tells of a key that has changed since it was read there, or that any may have
/// (`None`): after a flush, and in a cluster after a slot has moved or a node's connection was lost. What is
/// read after that is told of once it is tracked again. Called on the I/O thread. What was pushed before an answer is told before that answer
/// is settled; what was pushed after it may be, too. `false`: too much of it waits to be heard, and
/// the connection is given up.
pub type InvalidationSink = Arc<dyn Fn(Option<String>) -> bool + Send + Sync>;

/// Has Redis tell of the keys that are read from now on, on the connection that this is answered
/// on. Its answer also proves that the connection lives, and may be asked for again.
///
/// In RESP2 Redis accepts the command and tells of nothing. So `HELLO` comes before it, whose answer
/// says what the connection speaks.
pub(crate) struct Track<D> {
    /// Which master of a cluster.
    node: Option<NodeNumber>,
    deadline: Instant,
    /// Whether the connection speaks RESP3, which has pushes.
    has_pushes: bool,
    done: D,
}

const WITHOUT_PUSHES: &str = "ERR the connection speaks RESP2, which has no news of changed keys";

impl<D: FnOnce(Result<()>) + Send> Track<D> {
    /// To be answered by `deadline`. `node`: a master of a cluster.
    pub fn new(node: Option<NodeNumber>, deadline: Instant, done: D) -> Self {
        Self { node, deadline, has_pushes: false, done }
    }
}

impl<D: FnOnce(Result<()>) + Send> Request for Track<D> {
    fn encode(&self, _attempt: &Attempt, out: &mut Vec<u8>) {
        Command::new(out, 1).word("HELLO");
        Command::new(out, 3).word("CLIENT").word("TRACKING").word("ON");
    }

    fn replies(&self) -> usize {
        2
    }

    fn part(&mut self, hello: Value) {
        self.has_pushes = matches!(hello, Value::Map(_));
    }

    fn effect(&self) -> Effect {
        Effect::Read
    }

    fn place(&self) -> Place<'_> {
        self.node.map_or(Place::Any, Place::Node)
    }

    fn proves(&self) -> bool {
        true // A replica's news may have stopped.
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn settle(self: Box<Self>, outcome: Result<Value>) {
        (self.done)(outcome.and_then(|_| {
            let refusal = || Error::Reply { message: WITHOUT_PUSHES.into() };
            self.has_pushes.then_some(()).ok_or_else(refusal)
        }));
    }
}

/// Passes on the keys of an invalidation: a list, or null after a flush. A key that is not UTF-8 is
/// left out, as no session has one. Returns `false` if the sink takes no more.
pub(crate) fn pass_on(push: PushInfo, layout: &Layout, sink: &InvalidationSink) -> bool {
    if push.kind != PushKind::Invalidate {
        return true;
    }
    push.data.into_iter().all(|value| match value {
        Value::Nil => sink(None),
        Value::Array(keys) => keys
            .into_iter()
            .filter_map(|key| redis::from_redis_value::<String>(key).ok())
            .all(|key| sink(Some(layout.without_tag(key)))),
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn told(data: Vec<Value>, layout: &Layout) -> Vec<Option<String>> {
        let told = Arc::new(Mutex::new(Vec::new()));
        let list = told.clone();
        let sink: InvalidationSink = Arc::new(move |key| {
            list.lock().expect("a list").push(key);
            true
        });
        pass_on(PushInfo { kind: PushKind::Invalidate, data }, layout, &sink);
        std::mem::take(&mut *told.lock().expect("a list"))
    }

    #[test]
    fn every_key_of_a_push_is_told_and_none_that_is_no_text() {
        let key = |bytes: &[u8]| Value::BulkString(bytes.to_vec());
        let keys = Value::Array(vec![key(b"a"), key(&[0xff]), key("ü".as_bytes())]);
        assert_eq!(told(vec![keys], &Layout::default()), [Some("a".into()), Some("ü".into())]);
    }

    #[test]
    fn a_key_of_a_partition_is_told_without_its_tag() {
        let layout = Layout::default();
        assert!(layout.is_partitioned(64));
        let told = |key: &str| {
            let keys = Value::Array(vec![Value::BulkString(key.as_bytes().to_vec())]);
            told(vec![keys], &layout).pop().flatten()
        };
        assert_eq!(told("session:{40821}:a{b}:c").as_deref(), Some("session:a{b}:c"));
        assert_eq!(told("{40821}:{app}:session:a").as_deref(), Some("{app}:session:a"));
        assert_eq!(told("session:{40822}:a").as_deref(), Some("session:{40822}:a"));
        assert_eq!(told("session:a").as_deref(), Some("session:a"));
    }

    #[test]
    fn only_a_connection_with_pushes_tells_of_changes() {
        let tracked = |hello: Value| {
            let (told, heard) = std::sync::mpsc::channel();
            let done = move |outcome: Result<()>| told.send(outcome.is_ok()).expect("a test");
            let mut track = Track::new(None, Instant::now(), done);
            track.part(hello);
            Box::new(track).settle(Ok(Value::Okay));
            heard.recv().expect("an outcome")
        };
        assert!(tracked(Value::Map(Vec::new())));
        assert!(!tracked(Value::Array(Vec::new())));
        let unknown = redis::parse_redis_value(b"-ERR unknown command\r\n").expect("RESP");
        assert!(!tracked(unknown));
    }

    #[test]
    fn a_flush_is_all_keys() {
        assert_eq!(told(vec![Value::Nil], &Layout::default()), [None]);
    }
}
