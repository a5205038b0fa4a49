//! What no simulation shows, as it has no threads and no sockets.

use std::sync::mpsc::{Receiver, Sender, channel};

use redis::Value;
use tokio::net::TcpListener;
use tokio::time::Duration;

use super::*;
use crate::error::Result;
use crate::operation::Effect;
use crate::redis::greeting::Question;
use crate::redis::options::Address;
use crate::redis::request::Attempt;
use crate::redis::topology::seeds::Seeds;
use crate::redis::topology::view::{Master, View};
use crate::redis::transport::connect;

const LONG: Duration = Duration::from_secs(60);

/// A write of so many bytes.
struct Asked {
    bytes: usize,
    deadline: Instant,
    told: Sender<Result<Value>>,
}

impl Request for Asked {
    fn encode(&self, _attempt: &Attempt, out: &mut Vec<u8>) {
        out.resize(out.len() + self.bytes, b'x');
    }

    fn effect(&self) -> Effect {
        Effect::Once
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn settle(self: Box<Self>, outcome: Result<Value>) {
        self.told.send(outcome).expect("a test");
    }
}

fn asked(bytes: usize, patience: Duration) -> (Box<Asked>, Receiver<Result<Value>>) {
    let (told, heard) = channel();
    (Box::new(Asked { bytes, deadline: Instant::now() + patience, told }), heard)
}

fn shared() -> Shared {
    let dispatcher = Dispatcher::new("s".into(), LONG, fastrand::Rng::with_seed(1));
    Shared::new(dispatcher, Arc::new(|_| true))
}

/// A cluster of one master, which listens there.
fn of_cluster(endpoint: Endpoint) -> Shared {
    let shared = shared();
    let master = Master {
        id: "m".into(),
        endpoint: endpoint.clone(),
        epoch: 1,
        slots: vec![0..=16_383],
        replicas: Vec::new(),
    };
    shared.update_map(|dispatcher, now| {
        dispatcher.is_part_of_cluster(Seeds::one(endpoint), now);
        dispatcher.ask_for_map(now).expect("a node");
        dispatcher.map_answered(&View { masters: vec![master] }, now);
    });
    shared
}

#[test]
fn what_is_submitted_while_another_thread_looks_is_taken_in() {
    let shared = shared();
    let (request, _heard) = asked(1, LONG);
    shared.look(|_| {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                shared.submit(request);
                shared.flush(); // It finds the state locked.
            });
        });
    });
    assert!(!shared.is_idle());
}

#[tokio::test]
async fn what_a_socket_has_not_taken_in_time_is_not_sent_in_a_cluster_either() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    let endpoint = Endpoint { host: "127.0.0.1".into(), port };
    let address = Address::Tcp { endpoint: endpoint.clone(), tls: None };
    let (_reader, writer) = connect(&address, LONG).await.expect("a connection");
    let shared = of_cluster(endpoint);
    let port = shared.serve(0);
    let role = Role::greeted(Instant::now(), Some(Question::Hello));
    shared.connected(&port, writer, None, true, role);
    // Nobody reads. In the end two are in the hands of the writer, of which the socket takes a part.
    let mut asked_last = Vec::new();
    while !shared.update(0, |_, _| Ok(())).is_blocked {
        let both = [asked(200 << 10, LONG), asked(1, Duration::ZERO)];
        for (request, heard) in both {
            shared.submit(request);
            asked_last.push(heard);
        }
        shared.flush();
    }
    shared.expire_waiting();
    let outcome = asked_last.last().and_then(|late| late.try_recv().ok()).expect("an outcome");
    assert!(matches!(outcome, Err(Error::Unavailable { .. })), "{outcome:?}");
}
