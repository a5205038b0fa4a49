//! A listener: a task that hears what a subscription tells, in order.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use synckairos_state::engine::subscription::{Event, Interest, Listening, Subscription};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::history::Ears;

/// How long anything may take that is to come: a machine that is busy is no fault.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What a listener is told to do. Each is answered when it is done.
enum Command {
    Listen(Interest, oneshot::Sender<()>),
    Reread(Vec<String>, u64, oneshot::Sender<String>),
    Reconnect(oneshot::Sender<()>),
}

#[derive(Default)]
struct Heard {
    lines: Mutex<Vec<String>>,
    more: Notify,
}

impl Heard {
    fn note(&self, line: String) {
        self.lines.lock().unwrap().push(line);
        self.more.notify_waiters();
    }
}

pub struct Listener {
    commands: mpsc::UnboundedSender<Command>,
    heard: Arc<Heard>,
    pub ears: Ears,
}

impl Listener {
    /// A listener to nothing yet.
    pub fn new(subscription: impl Subscription) -> Self {
        let (commands, told) = mpsc::unbounded_channel();
        let heard = Arc::new(Heard::default());
        tokio::spawn(listen(subscription, told, heard.clone()));
        Self { commands, heard, ears: Ears { updates: false, web_socket: false } }
    }

    /// Listens to this and nothing else; returns when that is confirmed.
    pub async fn listen_to(&mut self, ears: Ears) {
        self.ears = ears;
        let interest = Interest { updates: ears.updates, web_socket: ears.web_socket };
        self.ask(|done| Command::Listen(interest, done)).await;
    }

    /// Rereads sessions; returns what is stored.
    pub async fn reread(&self, session_ids: Vec<String>, marker: u64) -> String {
        self.ask(|done| Command::Reread(session_ids, marker, done)).await
    }

    /// Loses its connection; returns when the next is confirmed.
    pub async fn reconnect(&self) {
        self.ask(Command::Reconnect).await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> T {
        let (sender, done) = oneshot::channel();
        assert!(self.commands.send(command(sender)).is_ok(), "a listener has ended");
        let done = tokio::time::timeout(PATIENCE, done).await;
        done.expect("a subscription does not do what it is told").expect("a listener has ended")
    }

    /// Waits until it has heard something, and tells all up to that.
    pub async fn until(&self, sought: &str) -> Vec<String> {
        let heard = tokio::time::timeout(PATIENCE, async {
            loop {
                let more = self.heard.more.notified();
                let mut heard = self.heard();
                if let Some(at) = heard.iter().position(|line| line.contains(sought)) {
                    heard.truncate(at + 1);
                    return heard;
                }
                more.await;
            }
        });
        heard.await.unwrap_or_else(|_| panic!("{sought} was not heard: {:#?}", self.heard()))
    }

    /// All that it has heard.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lines.lock().unwrap().clone()
    }
}

async fn listen(
    mut subscription: impl Subscription,
    mut commands: mpsc::UnboundedReceiver<Command>,
    heard: Arc<Heard>,
) {
    let mut waiting: Option<oneshot::Sender<()>> = None;
    let mut marked = None;
    loop {
        let event = tokio::select! {
            biased;
            command = commands.recv() => match command {
                None => return,
                Some(Command::Listen(interest, done)) => {
                    match subscription.listen_to(interest).await {
                        Ok(Listening::Confirmed) => drop(done.send(())),
                        Ok(Listening::Later) => waiting = Some(done),
                        Err(lost) => panic!("{lost:?}"),
                    }
                    continue;
                }
                Some(Command::Reread(session_ids, marker, done)) => {
                    let stored = subscription.reread(&session_ids, marker).await;
                    drop(done.send(format!("{stored:?}")));
                    continue;
                }
                Some(Command::Reconnect(done)) => {
                    waiting = Some(done);
                    match subscription.give_up(String::from("on purpose")) {
                        Some(lost) => lost,
                        None => continue,
                    }
                }
            },
            event = subscription.next() => event,
        };
        match event {
            Event::Confirmed { gap, .. } => {
                if gap.is_some() {
                    heard.note(String::from("a gap"));
                    subscription.caught_up();
                }
                if let Some(done) = waiting.take() {
                    let _ = done.send(());
                }
            }
            // An engine that asks twice marks both moments; the first one counts.
            Event::Marker(marker) if marked == Some(marker) => {}
            event => {
                if let Event::Marker(marker) = event {
                    marked = Some(marker);
                }
                heard.note(format!("{event:?}"));
            }
        }
    }
}
