//! One established connection. It lives until it breaks; whoever owns it makes the next.

use std::future::Future;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, Pipeline, PushInfo, PushKind, RedisResult, Value};
use tokio::sync::mpsc;

use crate::keys;
use crate::redis::options::Options;
use crate::redis::tracking::{InvalidationSink, pass_on};

/// An established connection (RESP3: the server's pushes and the news of its end arrive in
/// `pushes`, in the order in which the server sent them).
pub(crate) struct Link {
    pub connection: MultiplexedConnection,
    pub pushes: mpsc::UnboundedReceiver<PushInfo>,
    /// What the server knows this connection by; `None` where the user may not ask.
    pub identity: Option<Identity>,
}

/// Enough to find a connection again from another one. Ids alone are not: a restarted server
/// hands them out again from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// What the server calls it.
    pub id: i64,
    /// What it has called itself.
    pub name: String,
}

/// Bounds a conversation with the server.
pub(crate) async fn within<T>(
    timeout: Duration,
    conversation: impl Future<Output = RedisResult<T>>,
) -> RedisResult<T> {
    tokio::time::timeout(timeout, conversation)
        .await
        .unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
}

impl Link {
    /// Unbounded in time but for the handshake: see [`within`].
    pub async fn open(options: &Options) -> RedisResult<Self> {
        let (sender, pushes) = mpsc::unbounded_channel();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(options.connect_timeout))
            // Deadlines are the supervisor's: a time-out here would leave the answer in the
            // stream and the command applied.
            .set_response_timeout(None)
            .set_push_sender(sender);
        let mut connection = Client::open(options.info.clone())?
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let identity = Identity::claim(&mut connection).await?;
        Ok(Self { connection, pushes, identity })
    }

    /// Passes on what the server pushes, and resolves when the connection has broken. Cancel-safe.
    pub async fn broken(&mut self, invalidated: &InvalidationSink) {
        while let Some(push) = self.pushes.recv().await {
            if ends(push, invalidated) {
                break;
            }
        }
    }

    /// Passes on what the server has pushed so far. Whether the connection has broken.
    pub fn has_broken(&mut self, invalidated: &InvalidationSink) -> bool {
        std::iter::from_fn(|| self.pushes.try_recv().ok()).any(|push| ends(push, invalidated))
    }

    /// Makes sure that the server will execute nothing more that came by the connection `old`.
    /// `false` where that cannot be known.
    ///
    /// Closing our end is not enough: what the server has received and not yet read would still
    /// be applied, perhaps after the repeat of the same command on this connection.
    pub fn fence(
        &self,
        old: Option<Identity>,
    ) -> impl Future<Output = RedisResult<bool>> + Send + use<> {
        let mut connection = self.connection.clone();
        async move {
            let Some(old) = old else { return Ok(false) };
            let find = redis::cmd("CLIENT").arg("LIST").arg("ID").arg(old.id).to_owned();
            let found = match connection.send_packed_command(&find).await? {
                Value::ServerError(_) => return Ok(false),
                value => redis::from_redis_value::<String>(value).unwrap_or_default(),
            };
            let ours = format!("name={}", old.name);
            if !found.split_ascii_whitespace().any(|word| word == ours) {
                return Ok(true); // Gone already, or another connection has that id by now.
            }
            let kill = redis::cmd("CLIENT").arg("KILL").arg("ID").arg(old.id).to_owned();
            Ok(!matches!(connection.send_packed_command(&kill).await?, Value::ServerError(_)))
        }
    }

    /// Ends what the connection `other` waits for in a blocking command, as if its time were up.
    pub async fn unblock(&mut self, other: &Identity) -> RedisResult<()> {
        let command = redis::cmd("CLIENT").arg("UNBLOCK").arg(other.id).to_owned();
        self.ask(&command).await.map(drop)
    }

    /// One command, and its answer: what the server refuses is a value, too.
    pub async fn ask(&mut self, command: &Cmd) -> RedisResult<Value> {
        self.connection.send_packed_command(command).await
    }
}

/// Passes on a push, unless it is the news of the connection's end.
fn ends(PushInfo { kind, data }: PushInfo, invalidated: &InvalidationSink) -> bool {
    if kind == PushKind::Invalidate {
        pass_on(data, invalidated);
    }
    kind == PushKind::Disconnection
}

impl Identity {
    /// Names the connection, for the fence and for whoever reads `CLIENT LIST`.
    async fn claim(connection: &mut MultiplexedConnection) -> RedisResult<Option<Self>> {
        let name = keys::link_name(fastrand::u64(..));
        let mut pipeline = Pipeline::new();
        pipeline.cmd("CLIENT").arg("SETNAME").arg(&name).cmd("CLIENT").arg("ID");
        let answers = connection.send_packed_commands(&pipeline, 0, 2).await?;
        Ok(match answers.as_slice() {
            [Value::Okay, Value::Int(id)] => Some(Self { id: *id, name }),
            _ => None,
        })
    }
}
