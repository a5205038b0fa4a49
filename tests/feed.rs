//! The feed on a real Redis, without Node.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may.

mod harness;

use std::sync::Arc;
use std::time::Duration;

use harness::{RedisServer, state, write};
use synckairos_state::engine::Engine;
use synckairos_state::engine::subscription::Interest;
use synckairos_state::keys::Keys;
use synckairos_state::session::feed::{Audience, Feed, FeedEvent};
use synckairos_state::session::store::Rule;
use tokio::sync::{mpsc, watch};

struct Listener {
    feed: Feed,
    events: mpsc::UnboundedReceiver<FeedEvent>,
    closed: watch::Sender<bool>,
}

/// Panics at the session `panic`.
struct Ears(mpsc::UnboundedSender<FeedEvent>);

impl Audience for Ears {
    fn tell(&self, event: FeedEvent) {
        if let FeedEvent::Update { session_id, .. } = &event {
            assert_ne!(session_id, "panic");
        }
        drop(self.0.send(event));
    }

    fn backlog_bytes(&self) -> usize {
        0
    }

    fn backlog(&self) -> usize {
        0
    }
}

impl Listener {
    fn new(server: &RedisServer) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let (closed, seen) = watch::channel(false);
        let keys = Keys::default();
        let subscription = server.engine().subscription(keys.clone(), Arc::new(|_| {}));
        let (feed, task) = Feed::new(subscription, keys, false, seen, Ears(sender), 64 << 20);
        tokio::spawn(task);
        Self { feed, events, closed }
    }

    async fn listen(&mut self) {
        self.feed.listen_to(Interest { updates: true, web_socket: true }, 1);
        assert_eq!(self.next().await, FeedEvent::Confirmed { interest: 1 });
    }

    async fn next(&mut self) -> FeedEvent {
        let next = tokio::time::timeout(Duration::from_secs(10), self.events.recv());
        next.await.expect("no event in time").expect("the feed has ended")
    }

    async fn next_update(&mut self) -> (String, Option<String>) {
        loop {
            if let FeedEvent::Update { session_id, document, .. } = self.next().await {
                return (session_id, document);
            }
        }
    }
}

#[tokio::test]
async fn updates_and_messages_arrive_and_what_is_malformed_is_skipped() {
    let server = RedisServer::start();
    let mut listener = Listener::new(&server);
    listener.listen().await;
    server.ask(&["PUBLISH", "session-updates", "no json"]);
    server.ask(&["PUBLISH", "ws:s", r#"{"sessionId":"s","message":{"a":[]},"timestamp":1}"#]);
    write(&server.store(), "s", &state("s"), Rule::Create).await.unwrap();
    let channel = String::from("session-updates");
    assert_eq!(listener.next().await, FeedEvent::Malformed { channel });
    let message = FeedEvent::WebSocket { session_id: "s".into(), message: r#"{"a":[]}"#.into() };
    assert_eq!(listener.next().await, message);
    let (id, document) = listener.next_update().await;
    assert_eq!(id, "s");
    assert!(document.unwrap().starts_with(r#"{"version":1,"session_id":"s""#));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_gap_it_tells_what_changed_and_nothing_else() {
    let mut server = RedisServer::start();
    let mut listener = Listener::new(&server);
    listener.listen().await;
    let store = server.store();
    for id in ["changed", "deleted", "same"] {
        write(&store, id, &state(id), Rule::Create).await.unwrap();
        listener.next_update().await;
    }
    server.kill();
    assert!(matches!(listener.next().await, FeedEvent::Lost { .. }));
    server.restart();
    // As another instance would, while the feed is away; it may be back already, then it hears
    // of these as they happen.
    server.ask(&["DEL", "session:deleted"]);
    server.ask(&["SET", "session:changed", r#"{"version":9}"#]);
    let mut heard = Vec::new();
    let changed = loop {
        match listener.next().await {
            FeedEvent::Update { session_id, document, .. } => heard.push((session_id, document)),
            FeedEvent::Gap { changed, reread, .. } => {
                assert_eq!(reread, 3);
                break changed;
            }
            _ => {}
        }
    };
    heard.sort();
    assert_eq!(changed, heard.len());
    let expected = [("changed".into(), Some(r#"{"version":9}"#.into())), ("deleted".into(), None)];
    assert!(heard.iter().all(|update| expected.contains(update)), "{heard:?}");
}

#[tokio::test]
async fn it_ends_when_it_is_closed() {
    let server = RedisServer::start();
    let mut listener = Listener::new(&server);
    listener.listen().await;
    listener.closed.send_replace(true);
    let ended = tokio::time::timeout(Duration::from_secs(5), async {
        while listener.events.recv().await.is_some() {}
    });
    ended.await.expect("the feed goes on");
}

#[tokio::test]
async fn a_panic_costs_the_connection_and_the_next_one_catches_up() {
    let server = RedisServer::start();
    let store = server.store();
    let mut listener = Listener::new(&server);
    listener.listen().await;
    write(&store, "panic", &state("panic"), Rule::Create).await.unwrap();
    assert!(matches!(listener.next().await, FeedEvent::Lost { .. }));
    while !matches!(listener.next().await, FeedEvent::Confirmed { .. }) {}
    write(&store, "s", &state("s"), Rule::Create).await.unwrap();
    assert_eq!(listener.next_update().await.0, "s");
}
