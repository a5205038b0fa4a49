//! The master that sentinels name, for those who connect to it. The sentinels are asked by a task
//! ([`keep_watch`](super::watcher::keep_watch)) that publishes what it learns here.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::ClientConfig;
use tokio::sync::{Notify, watch};

use crate::redis::greeting::Login;
use crate::redis::topology::endpoint::{Endpoint, NatMap};

/// A group of servers, and how its sentinels are reached.
pub(crate) struct Group {
    /// The name of the master.
    pub name: String,
    /// The sentinels of the settings.
    pub sentinels: Vec<Endpoint>,
    /// Who speaks to the sentinels.
    pub login: Login,
    pub tls: Option<Arc<ClientConfig>>,
    /// Where the servers and sentinels are really, by the address that sentinels announce.
    pub nat_map: NatMap,
}

impl fmt::Display for Group {
    /// As errors name it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentinels: Vec<_> = self.sentinels.iter().map(Endpoint::to_string).collect();
        write!(f, "{} (sentinels {})", self.name, sentinels.join(", "))
    }
}

impl Group {
    /// Whether the sentinels of both look after the same servers: the name is the same, and one of
    /// the sentinels.
    pub fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.sentinels.iter().any(|one| other.sentinels.contains(one))
    }
}

/// What the sentinels say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// The master that they have named last.
    pub master: Option<Endpoint>,
    /// Why none of them answers.
    pub trouble: Option<String>,
}

/// The master of a group. Clones share what is known of it.
#[derive(Clone)]
pub struct Master {
    pub(crate) group: Arc<Group>,
    news: Arc<watch::Sender<News>>,
    wanted: Arc<Notify>,
    /// Whether there ever was a connection to the master.
    was_reached: Arc<AtomicBool>,
}

impl Master {
    pub(crate) fn new(group: Group) -> Self {
        Self {
            group: Arc::new(group),
            news: Arc::new(watch::Sender::new(News::default())),
            wanted: Arc::default(),
            was_reached: Arc::default(),
        }
    }

    /// Where the master is, once a sentinel has told. The sentinels are asked, whether that is known or
    /// not. `Err`: no sentinel answers, and why. Bounded in time by the caller.
    pub(crate) async fn endpoint(&self) -> Result<Endpoint, String> {
        self.wanted.notify_one();
        let told = |news: &News| news.master.is_some() || news.trouble.is_some();
        let mut news = self.news.subscribe();
        // There is always a sender: `self`.
        let News { master, trouble } = match news.wait_for(told).await {
            Ok(news) => news.clone(),
            Err(_) => News::default(),
        };
        master.ok_or_else(|| {
            format!("no sentinel tells where the master is: {}", trouble.unwrap_or_default())
        })
    }

    /// The master that was named last.
    pub(crate) fn named(&self) -> Option<Endpoint> {
        self.news.borrow().master.clone()
    }

    /// Resolves when another server than `server` is named.
    pub(crate) async fn moved_from(&self, server: &str) {
        let is_other =
            |news: &News| news.master.as_ref().is_some_and(|master| master.to_string() != server);
        if self.news.subscribe().wait_for(is_other).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// There is a connection to the master.
    pub(crate) fn reached(&self) {
        self.was_reached.store(true, Ordering::Relaxed);
    }

    /// Adds to the reason why there is no connection to the master what may be the cause.
    pub(crate) fn explained(&self, reason: String) -> String {
        let News { master, trouble } = self.news.borrow().clone();
        match (master, trouble) {
            (_, Some(trouble)) => format!("{reason}; and no sentinel answers: {trouble}"),
            (Some(_), None) if !self.was_reached.load(Ordering::Relaxed) => format!(
                "{reason}; the sentinels announce this address: if it cannot be reached from here, \
                 set natMap"
            ),
            (Some(_), None) => reason,
            (None, None) => String::from("the sentinels have not told in time where the master is"),
        }
    }

    /// Resolves when somebody wants a connection to the master.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    pub(super) fn publish(&self, latest: News) {
        self.news.send_if_modified(|news| {
            let is_new = *news != latest;
            if is_new {
                *news = latest;
            }
            is_new
        });
    }
}
