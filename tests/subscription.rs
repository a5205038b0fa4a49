//! What a client listens to, on a real Redis, without Node.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may.

mod harness;

use std::sync::Arc;
use std::time::Duration;

use harness::RedisServer;
use synckairos_state::redis::subscriber::Topics;
use synckairos_state::redis::subscription::{Audience, Heard, Subscription};
use tokio::sync::{mpsc, watch};

/// Panics at the message `panic`.
struct Ears(mpsc::UnboundedSender<Heard>);

impl Audience for Ears {
    fn tell(&self, heard: Heard) {
        if let Heard::Message { payload, .. } = &heard {
            assert_ne!(payload, b"panic");
        }
        drop(self.0.send(heard));
    }

    fn backlog(&self) -> usize {
        0
    }
}

#[tokio::test]
async fn a_panic_costs_the_connection_and_the_next_one_listens_on() {
    let server = RedisServer::start();
    let (sender, mut heard) = mpsc::unbounded_channel();
    let (_open, closed) = watch::channel(false);
    let (subscription, task) = Subscription::new(
        server.options(),
        server.connection(),
        Arc::new(|_| {}),
        closed,
        Ears(sender),
    );
    tokio::spawn(task);
    let mut next = async || {
        let next = tokio::time::timeout(Duration::from_secs(10), heard.recv());
        next.await.expect("nothing in time").expect("the subscription has ended")
    };
    subscription
        .listen_to(Topics { channels: [String::from("news")].into(), ..Topics::default() }, 1);
    assert!(matches!(next().await, Heard::Confirmed(1)));
    server.ask(&["PUBLISH", "news", "panic"]);
    assert!(matches!(next().await, Heard::Confirmed(1)));
    server.ask(&["PUBLISH", "news", "x"]);
    assert!(matches!(next().await, Heard::Message { payload, .. } if payload == b"x"));
}
