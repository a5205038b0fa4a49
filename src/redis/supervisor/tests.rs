//! What no simulation shows, as it has no tasks.

use std::time::Instant as Clock;

use tokio::net::TcpListener;
use tokio::time::timeout;

use super::*;
use crate::redis::dispatcher::Dispatcher;
use crate::redis::greeting::Login;
use crate::redis::options::{Address, Place};
use crate::redis::topology::endpoint::Endpoint;

/// What a supervisor was made for may be settled before its task first runs, and then nobody wakes it.
#[tokio::test]
async fn a_server_is_connected_to_by_whoever_was_made_for_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    let endpoint = Endpoint { host: "127.0.0.1".into(), port };
    let place = Place::Fixed(Address::Tcp { endpoint, tls: None });
    let options = Options::new(place, Login::default());
    let dispatcher =
        Dispatcher::new("s".into(), options.stall_timeout, fastrand::Rng::with_seed(1));
    let shared = Arc::new(Shared::new(dispatcher, Arc::new(|_| true)));
    let (_closing, closing) = watch::channel(Closing::No);
    let (status, invalidated) = (Arc::new(|_| {}), Arc::new(|_| true));
    let supervisor = Supervisor::new(options, shared, 0, closing, status, invalidated);
    let task = tokio::spawn(supervisor.run());
    let begun = Clock::now();
    let accepted = timeout(Duration::from_secs(5), listener.accept()).await;
    assert!(matches!(accepted, Ok(Ok(_))), "nobody has come in {:?}", begun.elapsed());
    task.abort();
}
