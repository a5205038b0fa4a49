//! What is published about sessions: by one server, or by the masters of a cluster. Which it is shows when
//! a server is connected to.

use super::all_masters::AllMasters;
use super::one_server::OneServer;
use crate::engine::status::{Status, StatusSink};
use crate::engine::subscription::{Event, Interest, Listening, Stored, Subscription};
use crate::keys::Keys;
use crate::redis::connection::Connection;
use crate::redis::options::Options;

/// A subscription to what is published under some names.
pub struct SessionSubscription {
    options: Options,
    /// Knows the cluster, if it is one.
    connection: Connection,
    keys: Keys,
    status: StatusSink,
    interest: Interest,
    way: Way,
}

/// Who publishes.
enum Way {
    One(Box<OneServer>),
    Cluster(Box<AllMasters>),
}

impl SessionSubscription {
    pub(crate) fn new(
        options: Options,
        connection: Connection,
        keys: Keys,
        status: StatusSink,
    ) -> Self {
        let one = OneServer::new(options.clone(), keys.clone(), status.clone());
        let (interest, way) = (Interest::default(), Way::One(Box::new(one)));
        let is_cluster = options.is_cluster();
        let mut subscription = Self { options, connection, keys, status, interest, way };
        if is_cluster {
            subscription.becomes_cluster();
        }
        subscription
    }

    /// What was taken for one server is a cluster.
    fn becomes_cluster(&mut self) {
        let (options, connection) = (self.options.clone(), self.connection.clone());
        let (keys, status) = (self.keys.clone(), self.status.clone());
        let mut masters = AllMasters::new(options, connection, keys, status);
        masters.listen_to(self.interest);
        self.way = Way::Cluster(Box::new(masters));
    }
}

impl Subscription for SessionSubscription {
    async fn next(&mut self) -> Event {
        loop {
            match &mut self.way {
                Way::One(one) => match one.next().await {
                    Some(event) => return event,
                    None => self.becomes_cluster(),
                },
                Way::Cluster(masters) => return masters.next().await,
            }
        }
    }

    async fn listen_to(&mut self, interest: Interest) -> Result<Listening, Event> {
        self.interest = interest;
        match &mut self.way {
            Way::One(one) => one.listen_to(interest).await,
            Way::Cluster(masters) => Ok(masters.listen_to(interest)),
        }
    }

    fn part(&self, session_id: &str) -> usize {
        match &self.way {
            Way::One(_) => 0,
            Way::Cluster(masters) => masters.part(session_id),
        }
    }

    async fn reread(
        &mut self,
        session_ids: &[String],
        marker: u64,
    ) -> Result<Option<Vec<Stored>>, Event> {
        match &mut self.way {
            Way::One(one) => one.reread(session_ids, marker).await,
            Way::Cluster(masters) => masters.reread(session_ids, marker).await,
        }
    }

    fn caught_up(&mut self) {
        match &mut self.way {
            Way::One(one) => one.caught_up(),
            Way::Cluster(masters) => masters.caught_up(),
        }
    }

    fn give_up(&mut self, reason: String) -> Option<Event> {
        match &mut self.way {
            Way::One(one) => one.give_up(reason),
            Way::Cluster(masters) => masters.give_up(reason),
        }
    }

    fn closed(&self) {
        (self.status)(Status::Closed);
    }
}
