//! What no history of the simulation shows.

mod cluster;

use redis::Value;

use super::*;
use crate::redis::greeting::Question;
use crate::redis::role::ROLE_AGE;
use crate::redis::simulation::request::{Asked, Kind};

fn answer(text: &str) -> Value {
    redis::parse_redis_value(text.as_bytes()).expect("RESP")
}

/// What is sent now, as text.
fn sent(dispatcher: &mut Dispatcher, now: Instant) -> String {
    dispatcher.pump(now);
    let mut buffer = Vec::new();
    dispatcher.take_unsent(0, &mut buffer);
    String::from_utf8(buffer).expect("text")
}

#[test]
fn a_read_that_is_refused_rests_while_the_role_is_not_known() {
    let begun = Instant::now();
    let stall_timeout = Duration::from_secs(2);
    let mut dispatcher =
        Dispatcher::new(String::from("s"), stall_timeout, fastrand::Rng::with_seed(1));
    let role = Role::greeted(begun, Some(Question::Hello));
    dispatcher.connected(0, None, true, role, begun);
    let now = begun + ROLE_AGE;
    dispatcher.submit(Box::new(Asked {
        id: 1,
        kind: Kind::Read,
        session: 1,
        deadline: now + Duration::from_secs(5),
        called: now,
        replicas: None,
        outcomes: std::sync::Arc::default(),
    }));
    let replied = |dispatcher: &mut Dispatcher, text: &str| {
        dispatcher.replied(0, answer(text), text.len(), now).expect("it was owed");
    };
    assert!(sent(&mut dispatcher, now).contains("HELLO"));
    replied(&mut dispatcher, "-ERR unknown command 'HELLO'\r\n");
    replied(&mut dispatcher, ":1\r\n");
    let again = sent(&mut dispatcher, now);
    assert!(again.contains("ROLE") && again.contains("READ"), "{again}");
    for _ in 0..2 {
        replied(&mut dispatcher, "-BUSY x\r\n");
    }
    assert_eq!(sent(&mut dispatcher, now), "");
}
