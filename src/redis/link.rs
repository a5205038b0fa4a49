//! An established connection in the hands of one task: it asks, and waits for the answers; and it
//! takes what the server pushes.

use std::collections::VecDeque;
use std::fmt;
use std::pin::pin;

use futures_util::FutureExt;
use redis::{Cmd, PushInfo, PushKind, Value};
use tokio::task::yield_now;
use tokio::time::{Duration, Instant, timeout};

use crate::redis::conversation::{Conversation, Sending};
use crate::redis::greeting::{CLUSTER, Expected, Greeting, Identity, Next, Protocol, Question};
use crate::redis::options::{Address, Options};
use crate::redis::refusal::{Refusal, error_line};
use crate::redis::resp::decoder::{Decoder, Frame};
use crate::redis::transport::{Reader, Writer, connect, describe};

/// How many bytes of pushes are kept while an answer is awaited.
const PUSHED_BYTES: usize = 64 << 20;

/// Why a sentinel is no place for sessions.
const SENTINEL: &str = "it is a sentinel: use redis-sentinel://host:port/name, with the name that it \
    has for the master";

/// Why a connection is given up that goes on pushing.
const ENDLESS: &str = "it pushes without end, and does not answer";

/// Why a connection is not to be used any longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost {
    /// The server's name in errors.
    pub server: String,
    /// In words.
    pub reason: String,
    /// Whether the server is a part of a cluster, and none was expected.
    pub is_cluster: bool,
}

impl Lost {
    pub fn new(server: String, reason: impl Into<String>) -> Self {
        Self { server, reason: reason.into(), is_cluster: false }
    }

    /// The reason, for whoever names `server` by itself. Another server is named with it.
    pub fn reason_of(self, server: &str) -> String {
        if self.server == server { self.reason } else { self.to_string() }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.server, self.reason)
    }
}

/// What a command is answered with.
#[derive(Debug, Clone, PartialEq)]
enum Answer {
    /// A reply.
    Reply,
    /// So many pushes of this kind, which confirm a subscription or its end; or an error.
    Confirmations(PushKind, usize),
}

/// An established connection.
pub(crate) struct Link {
    /// The server's name in errors.
    pub server: String,
    /// What the server knows this connection by; `None` where the user may not ask.
    pub identity: Option<Identity>,
    /// What it speaks.
    pub protocol: Protocol,
    /// What the server tells its role by: `None` where it does not.
    pub question: Option<Question>,
    /// What the server is to be, as long as the connection is used.
    pub expected: Expected,
    reader: Reader,
    writer: Writer,
    decoder: Decoder,
    conversation: Conversation<Answer>,
    /// What the socket has not taken yet.
    unsent: Vec<u8>,
    replies: Vec<Value>,
    /// With the bytes that each takes, and all together.
    pushes: VecDeque<(PushInfo, usize)>,
    pushed_bytes: usize,
}

/// Bounds work with a server in time.
pub(crate) async fn within<T>(
    limit: Duration,
    options: &Options,
    work: impl Future<Output = Result<T, Lost>>,
) -> Result<T, Lost> {
    let mut work = pin!(work);
    if let Ok(done) = timeout(limit, &mut work).await {
        return done;
    }
    // A process that stood still learns of the time before it learns of what has arrived.
    yield_now().await;
    let lost = || {
        let reason = options.explained(String::from("it did not answer in time"));
        Lost::new(options.present(), reason)
    };
    work.now_or_never().unwrap_or_else(|| Err(lost()))
}

impl Link {
    /// Connects and greets, within the time that the options give.
    pub async fn open(options: &Options) -> Result<Self, Lost> {
        within(options.connect_timeout, options, async {
            let address = options.address().await;
            let address = address.map_err(|reason| Lost::new(options.to_string(), reason))?;
            let server = address.to_string();
            tokio::select! {
                biased;
                reason = options.moved(&server) => Err(Lost::new(server.clone(), reason)),
                opened = Self::open_at(&address, options) => opened,
            }
        })
        .await
    }

    async fn open_at(address: &Address, options: &Options) -> Result<Self, Lost> {
        let server = address.to_string();
        let connected = connect(address, options.connect_timeout).await;
        let (reader, writer) = connected
            .map_err(|error| Lost::new(server.clone(), options.explained(describe(&error))))?;
        let mut link = Self {
            server,
            identity: None,
            protocol: options.protocol,
            question: None,
            expected: options.expected,
            reader,
            writer,
            decoder: Decoder::default(),
            conversation: Conversation::new(options.stall_timeout, Instant::now()),
            unsent: Vec::new(),
            replies: Vec::new(),
            pushes: VecDeque::new(),
            pushed_bytes: 0,
        };
        let greeting = Greeting::new(&options.login, options.protocol, options.expected);
        let is_sentinel = link.greet(greeting).await?;
        if is_sentinel && options.expected != Expected::Sentinel {
            return Err(link.lost(SENTINEL));
        }
        options.reached();
        Ok(link)
    }

    /// Whether the server is a sentinel.
    async fn greet(&mut self, mut greeting: Greeting) -> Result<bool, Lost> {
        loop {
            for command in greeting.commands() {
                self.send(&command, Answer::Reply);
            }
            let answers = match self.answers().await {
                Ok(answers) => answers,
                Err(lost) => return Err(self.farewell().unwrap_or(lost)),
            };
            let next = greeting
                .answered(answers)
                .map_err(|reason| Lost { is_cluster: reason == CLUSTER, ..self.lost(reason) })?;
            match next {
                Next::Again(other) => greeting = other,
                Next::Done(greeted) => {
                    self.identity = greeted.identity;
                    self.protocol = greeted.protocol;
                    self.question = greeted.question;
                    return Ok(greeted.is_sentinel);
                }
            }
        }
    }

    /// What the server has said before it ended the connection, such as that it has too many.
    fn farewell(&self) -> Option<Lost> {
        self.replies.iter().find_map(|reply| match reply {
            Value::ServerError(error) => Some(self.lost(error_line(error))),
            _ => None,
        })
    }

    /// The halves of the connection, for another way to use it. There is nothing that was received
    /// and not looked at.
    pub fn into_parts(self) -> (Reader, Writer, Decoder) {
        (self.reader, self.writer, self.decoder)
    }

    /// One command, and its answer: what the server refuses is a value, too. Not to be given up
    /// before its end, unless the link is given up as well.
    pub async fn ask(&mut self, command: &Cmd) -> Result<Value, Lost> {
        self.send(command, Answer::Reply);
        self.last_answer().await
    }

    /// Several commands in one go, and their answers, as with [`ask`](Self::ask).
    pub async fn ask_all<'a>(
        &mut self,
        commands: impl Iterator<Item = &'a Cmd>,
    ) -> Result<Vec<Value>, Lost> {
        for command in commands {
            self.send(command, Answer::Reply);
        }
        self.answers().await
    }

    /// Begins or ends to listen to `topics` by `command`, such as `PSUBSCRIBE`. Messages that come
    /// meanwhile are pushes, as always. The inner error is Redis' refusal, of all of them.
    pub async fn confirm<'a>(
        &mut self,
        command: &str,
        topics: impl ExactSizeIterator<Item = &'a String>,
    ) -> Result<Result<(), String>, Lost> {
        let refusals = self.confirm_each(command, std::iter::once(topics)).await?;
        Ok(refusals.into_iter().next().flatten().map_or(Ok(()), Err))
    }

    /// The same by several commands, which are sent together: the refusal of each, where it was refused.
    pub async fn confirm_each<'a, T: ExactSizeIterator<Item = &'a String>>(
        &mut self,
        command: &str,
        each: impl Iterator<Item = T>,
    ) -> Result<Vec<Option<String>>, Lost> {
        if self.protocol == Protocol::Resp2 {
            self.decoder.read_listed_pushes();
        }
        // The answers to what was given up before come first.
        self.answers().await?;
        for topics in each {
            let confirmations = Answer::Confirmations(confirmation_of(command), topics.len());
            let mut listen = redis::cmd(command);
            for topic in topics {
                listen.arg(topic);
            }
            self.send(&listen, confirmations);
        }
        let refusal = |answer| match answer {
            Value::ServerError(error) => Some(error_line(&error)),
            _ => None,
        };
        Ok(self.answers().await?.into_iter().map(refusal).collect())
    }

    /// One command, and its answer, whose moment the unsubscription of `marker` marks among the
    /// pushes: its confirmation comes between those that were pushed before the answer and after.
    pub async fn ask_marked(&mut self, marker: &str, command: &Cmd) -> Result<Value, Lost> {
        // A confirmation is the one answer that comes in the order of the pushes. Redis takes both
        // commands from one buffer, one after the other.
        let unsubscribe = redis::cmd("UNSUBSCRIBE").arg(marker).to_owned();
        // The answers to what was given up before come first.
        self.answers().await?;
        self.send(&unsubscribe, Answer::Confirmations(PushKind::Unsubscribe, 1));
        self.send(command, Answer::Reply);
        // Where the marker is refused, the answer has no place among the pushes.
        let mut answers = self.answers().await?.into_iter();
        let marked = answers.next().filter(|marked| matches!(marked, Value::ServerError(_)));
        marked.or_else(|| answers.next()).ok_or_else(|| self.lost("it gave no answer"))
    }

    /// Waits for a push that is none of those that wait to be taken already.
    pub async fn pushed_next(&mut self, is_it: impl Fn(&PushInfo) -> bool) -> Result<(), Lost> {
        let mut seen = self.pushes.len();
        loop {
            if self.pushes.iter().skip(seen).any(|(push, _)| is_it(push)) {
                return Ok(());
            }
            seen = self.pushes.len();
            self.receive().await?;
            if self.pushed_bytes > PUSHED_BYTES {
                return Err(self.lost(ENDLESS));
            }
        }
    }

    /// The next push. Cancel-safe.
    pub async fn push(&mut self) -> Result<PushInfo, Lost> {
        loop {
            if let Some((push, size)) = self.pushes.pop_front() {
                self.pushed_bytes -= size;
                return Ok(push);
            }
            self.receive().await?;
        }
    }

    /// Makes sure that the server will execute nothing more that came by the connection `old`.
    /// `false` where the server does not let this user do that.
    ///
    /// Closing our end is not enough: what the server has received and not yet read would still
    /// be applied, perhaps after the repeat of the same command on this connection.
    pub async fn fence(&mut self, old: &Identity) -> Result<bool, Lost> {
        let find = redis::cmd("CLIENT").arg("LIST").arg("ID").arg(old.id).to_owned();
        let found = match self.ask(&find).await? {
            Value::ServerError(error) => return self.without_right(&error_line(&error)),
            value => redis::from_redis_value::<String>(value).unwrap_or_default(),
        };
        let ours = format!("name={}", old.name);
        if !found.split_ascii_whitespace().any(|word| word == ours) {
            return Ok(true); // Gone already, or another connection has that id by now.
        }
        let kill = redis::cmd("CLIENT").arg("KILL").arg("ID").arg(old.id).to_owned();
        match self.ask(&kill).await? {
            Value::ServerError(error) => self.without_right(&error_line(&error)),
            _ => Ok(true),
        }
    }

    /// Ends what a connection waits for in a blocking command, as if its time were up. `false` where
    /// the server does not let this user do that.
    pub async fn unblock(&mut self, connection: &Identity) -> Result<bool, Lost> {
        let command = redis::cmd("CLIENT").arg("UNBLOCK").arg(connection.id).to_owned();
        Ok(!matches!(self.ask(&command).await?, Value::ServerError(_)))
    }

    /// Only a missing right means that there is no fence; any other refusal, that this connection
    /// cannot be used yet.
    fn without_right(&self, line: &str) -> Result<bool, Lost> {
        if Refusal::is_for_good(line) { Ok(false) } else { Err(self.lost(line)) }
    }

    fn send(&mut self, command: &Cmd, answer: Answer) {
        let sending = Sending { changes: false, documents: 0, replies: 1, blocks: Duration::ZERO };
        self.conversation.send(answer, sending, Instant::now(), |_, out| {
            command.write_packed_command(out);
        });
    }

    /// Until everything that was sent is answered: the replies; and for confirmations `Okay`, or the error in
    /// their place.
    async fn answers(&mut self) -> Result<Vec<Value>, Lost> {
        self.replies.clear();
        loop {
            self.write().await?;
            if self.conversation.is_idle() {
                return Ok(std::mem::take(&mut self.replies));
            }
            self.receive().await?;
        }
    }

    async fn last_answer(&mut self) -> Result<Value, Lost> {
        self.answers().await?.pop().ok_or_else(|| self.lost("it gave no answer"))
    }

    /// Cancel-safe: what was not written is written by the next call.
    async fn write(&mut self) -> Result<(), Lost> {
        loop {
            if self.unsent.is_empty() {
                self.conversation.take_unsent(&mut self.unsent);
            }
            let written = self.writer.write(&self.unsent);
            let written = written.map_err(|error| self.lost(describe(&error)))?;
            self.unsent.drain(..written.taken);
            if !written.is_blocked && self.unsent.is_empty() {
                return Ok(());
            }
            if written.is_blocked {
                let writable = self.writer.writable().changed().await;
                writable.map_err(|error| self.lost(describe(&error)))?;
            }
        }
    }

    /// Takes in what arrives next. Cancel-safe.
    async fn receive(&mut self) -> Result<(), Lost> {
        let read = self.reader.read(self.decoder.buffer()).await;
        let read = read.map_err(|error| self.lost(describe(&error)))?;
        if !read.is_open {
            return Err(self.lost("the connection was lost"));
        }
        if read.must_write {
            self.writer.write(&[]).map_err(|error| self.lost(describe(&error)))?;
        }
        while let Some(frame) = self.decoder.next().map_err(|error| self.lost(error.to_string()))? {
            let taken = match frame {
                Frame::Reply(value, size) => self.replied(value, size),
                Frame::Push(push) => self.pushed(push),
            };
            taken.map_err(|reason| self.lost(reason))?;
        }
        Ok(())
    }

    fn replied(&mut self, value: Value, size: usize) -> Result<(), String> {
        match self.conversation.replied(size)? {
            Some(Answer::Confirmations(..)) if !matches!(value, Value::ServerError(_)) => {
                Err(String::from("it confirmed a subscription by a reply"))
            }
            _ => {
                self.replies.push(value);
                Ok(())
            }
        }
    }

    fn pushed(&mut self, push: PushInfo) -> Result<(), String> {
        if let Some(Answer::Confirmations(kind, missing)) = self.conversation.next_mut()
            && *kind == push.kind
        {
            *missing = missing.saturating_sub(1);
            if *missing == 0 {
                self.conversation.replied(0)?;
                self.replies.push(Value::Okay);
            }
        }
        let size = size(&push);
        self.pushed_bytes += size;
        self.pushes.push_back((push, size));
        if self.pushed_bytes > PUSHED_BYTES && !self.conversation.is_idle() {
            return Err(String::from(ENDLESS));
        }
        Ok(())
    }

    /// Why this connection is given up.
    pub fn lost(&self, reason: impl Into<String>) -> Lost {
        Lost::new(self.server.clone(), reason)
    }
}

/// The pushes that confirm what this command asks for.
fn confirmation_of(command: &str) -> PushKind {
    match command {
        "SUBSCRIBE" => PushKind::Subscribe,
        "PSUBSCRIBE" => PushKind::PSubscribe,
        "SSUBSCRIBE" => PushKind::SSubscribe,
        "PUNSUBSCRIBE" => PushKind::PUnsubscribe,
        "SUNSUBSCRIBE" => PushKind::SUnsubscribe,
        _ => PushKind::Unsubscribe,
    }
}

/// How many bytes a push takes, about.
fn size(push: &PushInfo) -> usize {
    let of = |value: &Value| match value {
        Value::BulkString(bytes) => bytes.len() + 64,
        _ => 64,
    };
    push.data.iter().map(of).sum()
}
