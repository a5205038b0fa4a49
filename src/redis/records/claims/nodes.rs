//! A worker's connections to the nodes of a cluster: one to each, made when it is first needed, and ended
//! when the node has no partition any more.
//!
//! A node that cannot be reached is left alone for a while, and nobody waits long for one that does not answer
//! to being connected to: what is asked of the others goes on.

use std::collections::HashMap;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use redis::{Cmd, Value};
use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep, timeout_at};

use crate::redis::connection::Connection;
use crate::redis::greeting::Expected;
use crate::redis::link::{Link, Lost, within};
use crate::redis::options::Options;
use crate::redis::refusal::{Refusal, error_line, is_of_cluster, without_script};
use crate::redis::topology::endpoint::Endpoint;
use crate::redis::topology::slot::Slot;

/// How long a command is tried again that is refused for now, or does not reach its node.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long to wait before a command is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// How long those wait that are connected to others, when a node is being connected to.
const GRACE: Duration = Duration::from_millis(100);

/// A reply, or why there is none. Of a refusal, the reason is the server's line.
pub(super) type Reply = Result<Value, Lost>;

/// The connections to the nodes.
pub(super) struct Nodes {
    options: Options,
    /// Knows which node has which slots.
    connection: Connection,
    map_changes: watch::Receiver<()>,
    nodes: HashMap<Endpoint, Node>,
}

#[derive(Default)]
struct Node {
    link: Option<Link>,
    opening: Option<Opening>,
    failures: u32,
    /// Until when it is left alone, and why.
    rests: Option<(Instant, Lost)>,
}

/// A connection that is being made.
struct Opening {
    began: Instant,
    link: BoxFuture<'static, Result<Link, Lost>>,
}

impl Nodes {
    pub fn new(options: Options, connection: Connection) -> Self {
        let map_changes = connection.map_changes();
        Self { options, connection, map_changes, nodes: HashMap::new() }
    }

    /// The nodes that have these slots, by slot. `None`: nobody has told of one.
    pub fn owners(&self, slots: impl IntoIterator<Item = Slot>) -> Vec<Option<Endpoint>> {
        self.connection.owners(slots)
    }

    /// Whether there is a connection to one of them.
    pub fn is_connected(&self) -> bool {
        self.nodes.values().any(|node| node.link.is_some())
    }

    /// Sends commands, each to the node that has its slot, and to each node all in one go. The answers
    /// have the order of the commands.
    pub async fn ask(&mut self, commands: &[(Slot, Cmd)]) -> Vec<Reply> {
        self.leave_others();
        let owners = self.owners(commands.iter().map(|(slot, _)| *slot));
        let unknown = || Lost::new(self.options.to_string(), "nobody has told of the slot's node");
        let mut replies: Vec<Reply> = commands.iter().map(|_| Err(unknown())).collect();
        let mut shares: HashMap<Endpoint, Vec<usize>> = HashMap::new();
        for (index, owner) in owners.into_iter().enumerate() {
            if let Some(owner) = owner {
                shares.entry(owner).or_default().push(index);
            }
        }
        let is_connected = self.is_connected();
        let asked: Vec<_> = shares
            .into_iter()
            .map(|(endpoint, indices)| {
                let mut node = self.nodes.remove(&endpoint).unwrap_or_default();
                let is_tried = node.rest().is_none();
                let options = self.options.of_node(endpoint.clone(), Expected::Master);
                async move {
                    let commands = indices.iter().filter_map(|index| commands.get(*index));
                    let commands = commands.map(|(_, command)| command);
                    let answer = node.ask(&options, is_connected, commands).await;
                    (endpoint, node, indices, answer, is_tried)
                }
            })
            .collect();
        let mut is_stale = false;
        for (endpoint, node, indices, answer, is_tried) in join_all(asked).await {
            self.nodes.insert(endpoint, node);
            is_stale |= is_tried && answer.is_err();
            let mut answers = answer.map(Vec::into_iter);
            for index in indices {
                let reply = match &mut answers {
                    Ok(replies) => replies.next().unwrap_or_else(|| Err(unknown())),
                    Err(lost) => Err(lost.clone()),
                };
                is_stale |= reply.as_ref().is_err_and(|lost| is_of_cluster(&lost.reason));
                if let Some(place) = replies.get_mut(index) {
                    *place = reply;
                }
            }
        }
        if is_stale {
            self.connection.map_is_old();
        }
        replies
    }

    /// Ends the connections to nodes that have no partition any more.
    fn leave_others(&mut self) {
        if self.map_changes.has_changed().unwrap_or(false) {
            self.map_changes.mark_unchanged();
            let owners = self.connection.partition_owners();
            self.nodes.retain(|endpoint, _| owners.iter().flatten().any(|owner| owner == endpoint));
        }
    }

    /// The same for scripts: sends a script whole where its node does not know it. `command`: of a number
    /// in `slots`, with the source or without.
    pub async fn run(
        &mut self,
        slots: &[Slot],
        command: impl Fn(usize, bool) -> Cmd,
    ) -> Vec<Reply> {
        let commands = slots.iter().enumerate().map(|(n, slot)| (*slot, command(n, false)));
        let mut replies = self.ask(&commands.collect::<Vec<_>>()).await;
        let is_unknown = |reply: &Reply| {
            reply.as_ref().is_err_and(|lost| Refusal::of(&lost.reason) == Refusal::UnknownScript)
        };
        self.again(slots, &mut replies, is_unknown, |n| command(n, true)).await;
        replies
    }

    /// The same, and tries again for a while what is refused for now or does not reach its node.
    pub async fn insist(
        &mut self,
        slots: &[Slot],
        command: impl Fn(usize, bool) -> Cmd,
    ) -> Vec<Reply> {
        let is_unanswered = |reply: &Reply| reply.as_ref().is_err_and(is_passing);
        let began = Instant::now();
        let mut replies = self.run(slots, &command).await;
        while began.elapsed() < PATIENCE && replies.iter().any(is_unanswered) {
            sleep(PAUSE).await;
            self.again(slots, &mut replies, is_unanswered, |n| command(n, true)).await;
        }
        replies
    }

    /// Sends some of the commands once more.
    async fn again(
        &mut self,
        slots: &[Slot],
        replies: &mut [Reply],
        is_it: impl Fn(&Reply) -> bool,
        command: impl Fn(usize) -> Cmd,
    ) {
        let left: Vec<usize> =
            (0..slots.len()).filter(|n| replies.get(*n).is_some_and(&is_it)).collect();
        if left.is_empty() {
            return;
        }
        let commands = left.iter().filter_map(|n| Some((*slots.get(*n)?, command(*n))));
        let answers = self.ask(&commands.collect::<Vec<_>>()).await;
        for (n, answer) in left.into_iter().zip(answers) {
            if let Some(reply) = replies.get_mut(n) {
                *reply = answer;
            }
        }
    }
}

impl Node {
    /// Why it is left alone now.
    fn rest(&self) -> Option<&Lost> {
        let (until, lost) = self.rests.as_ref()?;
        (*until > Instant::now()).then_some(lost)
    }

    /// `has_others`: there are connections to other nodes, which do not wait long for this one.
    async fn ask(
        &mut self,
        options: &Options,
        has_others: bool,
        commands: impl Iterator<Item = &Cmd>,
    ) -> Result<Vec<Reply>, Lost> {
        if let Some(lost) = self.rest() {
            return Err(lost.clone());
        }
        let answered = match self.connect(options, has_others).await {
            Ok(()) => self.answers(options, commands).await,
            Err(lost) if self.opening.is_some() => return Err(lost), // It goes on the next time.
            Err(lost) => Err(lost),
        };
        match answered {
            Ok(replies) => {
                (self.failures, self.rests) = (0, None);
                Ok(replies)
            }
            Err(lost) => {
                self.link = None;
                let delay = options.backoff.delay(self.failures, fastrand::f64());
                self.failures = self.failures.saturating_add(1);
                self.rests = Some((Instant::now() + delay, lost.clone()));
                Err(lost)
            }
        }
    }

    /// Connects, if it is not connected. `Err` with an opening that is left: not yet.
    async fn connect(&mut self, options: &Options, has_others: bool) -> Result<(), Lost> {
        if self.link.is_some() {
            return Ok(());
        }
        let opening = self.opening.get_or_insert_with(|| {
            let options = options.clone();
            let link = async move { Link::open(&options).await }.boxed();
            Opening { began: Instant::now(), link }
        });
        let opened = if has_others {
            timeout_at(opening.began + GRACE, &mut opening.link).await
        } else {
            Ok((&mut opening.link).await)
        };
        let Ok(opened) = opened else {
            return Err(Lost::new(options.to_string(), "it is being connected to"));
        };
        self.opening = None;
        self.link = Some(opened?);
        Ok(())
    }

    async fn answers(
        &mut self,
        options: &Options,
        commands: impl Iterator<Item = &Cmd>,
    ) -> Result<Vec<Reply>, Lost> {
        let Some(link) = &mut self.link else {
            return Err(Lost::new(options.to_string(), "there is no connection"));
        };
        let values = within(options.stall_timeout, options, link.ask_all(commands)).await?;
        let mut replies = Vec::with_capacity(values.len());
        for value in values {
            replies.push(match value {
                Value::ServerError(error) => {
                    let lost = link.lost(without_script(error_line(&error)));
                    if Refusal::of(&lost.reason) == Refusal::WrongServer {
                        return Err(lost); // Another connection may lead to a better one.
                    }
                    Err(lost)
                }
                value => Ok(value),
            });
        }
        Ok(replies)
    }
}

/// Whether a node has refused something, by its own words. Else it was not reached.
pub(super) fn is_refusal(reason: &str) -> bool {
    let code = reason.split(' ').next().unwrap_or_default();
    code.len() > 1 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Whether it may be otherwise soon.
pub(super) fn is_passing(Lost { reason, .. }: &Lost) -> bool {
    is_of_cluster(reason)
        || !is_refusal(reason)
        || matches!(Refusal::of(reason), Refusal::NotNow | Refusal::WrongServer)
}
