//! The task of a client that asks the sentinels and listens to them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::redis::greeting::Expected;
use crate::redis::link::{Link, within};
use crate::redis::options::{Address, Options, Place};
use crate::redis::subscriber::{Event, Subscriber, Topics};
use crate::redis::topology::endpoint::Endpoint;
use crate::redis::topology::master::{Group, Master, News};
use crate::redis::topology::report::{self, Report};
use crate::redis::topology::sentinels::{Order, Sentinels};

/// The channels on which a sentinel tells that a server has become the master, or was restarted. The one
/// that leads a failover tells `+switch-master` when all is over, about a second after the new master.
const CHANNELS: [&str; 3] = ["+failover-state-reconf-slaves", "+switch-master", "+reboot"];

/// What came of asking a sentinel.
type Outcome = (Endpoint, Result<Report, String>);

/// Keeps `master` up to date, from the first connection to it until `closed`.
pub async fn keep_watch(master: Master, mut closed: watch::Receiver<bool>) {
    tokio::select! {
        _ = closed.wait_for(|closed| *closed) => {}
        () = Watcher::new(master).run() => {}
    }
}

struct Watcher {
    master: Master,
    sentinels: Sentinels,
    asked: FuturesUnordered<Pin<Box<dyn Future<Output = Outcome> + Send>>>,
    listener: Option<Listener>,
}

/// A subscription at a sentinel.
struct Listener {
    endpoint: Endpoint,
    subscriber: Subscriber,
}

impl Watcher {
    fn new(master: Master) -> Self {
        let sentinels =
            Sentinels::new(&master.group.sentinels, Instant::now(), fastrand::Rng::new());
        Self { master, sentinels, asked: FuturesUnordered::new(), listener: None }
    }

    async fn run(mut self) {
        loop {
            while let Some(order) = self.sentinels.poll(Instant::now()) {
                self.follow(order).await;
            }
            self.master.publish(News {
                master: self
                    .sentinels
                    .master()
                    .map(|master| self.master.group.nat_map.mapped(master)),
                trouble: self.sentinels.trouble(),
            });
            let timeout = self.sentinels.timeout();
            tokio::select! {
                () = self.master.wanted() => self.sentinels.wanted(Instant::now()),
                Some((sentinel, outcome)) = self.asked.next() => match outcome {
                    Ok(report) => self.sentinels.answered(&sentinel, report, Instant::now()),
                    Err(reason) => self.sentinels.failed(&sentinel, reason, Instant::now()),
                },
                event = heard(&mut self.listener) => self.heard(event),
                () = until(timeout) => {}
            }
        }
    }

    async fn follow(&mut self, order: Order) {
        let group = self.master.group.clone();
        match order {
            Order::Ask(sentinel) => self.asked.push(Box::pin(ask(group, sentinel))),
            Order::Listen(sentinel) => self.listener = Some(Listener::new(&group, sentinel).await),
        }
    }

    fn heard(&mut self, event: Event) {
        let Some(Listener { endpoint, .. }) = &self.listener else { return };
        match event {
            Event::Confirmed { .. } => self.sentinels.told(endpoint, Instant::now()),
            Event::Message { payload: Ok(text), .. } => {
                // The sentinel may look after other groups, too.
                if text.split(' ').any(|word| word == self.master.group.name) {
                    self.sentinels.told(endpoint, Instant::now());
                }
            }
            Event::Message { .. } | Event::Marker(_) | Event::Moved(_) => {}
            Event::Lost { .. } | Event::IsCluster => {
                self.listener = None;
                self.sentinels.silent(Instant::now());
            }
        }
    }
}

impl Listener {
    async fn new(group: &Group, endpoint: Endpoint) -> Self {
        let mut subscriber = Subscriber::new(options(group, &endpoint), Arc::new(|_| {}));
        let channels = CHANNELS.map(String::from).into();
        // Without a connection there is nothing to wait for yet, and nothing to be refused.
        let _ = subscriber.listen_to(Topics { channels, ..Topics::default() }).await;
        Self { endpoint, subscriber }
    }
}

async fn heard(listener: &mut Option<Listener>) -> Event {
    match listener {
        Some(Listener { subscriber, .. }) => subscriber.next().await,
        None => std::future::pending().await,
    }
}

async fn until(timeout: Option<Instant>) {
    match timeout {
        Some(timeout) => sleep_until(timeout).await,
        None => std::future::pending().await,
    }
}

async fn ask(group: Arc<Group>, sentinel: Endpoint) -> Outcome {
    let options = options(&group, &sentinel);
    let answers = async {
        let mut link = Link::open(&options).await?;
        // Together: a sentinel that answers slowly has time for one round trip behind its greeting.
        let answers = link.ask_all(report::questions(&group.name).iter()).await?;
        answers.try_into().map_err(|_| link.lost("it gave no answer"))
    };
    let outcome = match within(options.connect_timeout, &options, answers).await {
        Ok(answers) => report::read(&group.name, answers),
        Err(lost) => Err(report::advised(lost.reason)),
    };
    (sentinel, outcome)
}

fn options(group: &Group, sentinel: &Endpoint) -> Options {
    let address = Address::Tcp { endpoint: group.nat_map.mapped(sentinel), tls: group.tls.clone() };
    let options = Options::new(Place::Fixed(address), group.login.clone());
    Options { expected: Expected::Sentinel, ..options }
}
