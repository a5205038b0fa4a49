//! The start-up of a connection: who the client is, and what the session begins with.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::fault::{Cause, Fault};
use super::database::Login;
use super::message::{
    Authentication, authentication, body_length, message, parameter, refusal, startup, violation,
};
use super::scram::{MECHANISM, Scram, md5_answer};
use super::stream::{Stream, lost};

/// The size limit for a message of the start-up.
const MAX_BODY: usize = 64 << 10;

/// Logs in. Returns what sqlx is to read as the server's answer to its own start-up.
pub(super) async fn log_in(stream: &mut dyn Stream, login: &Login) -> Result<Vec<u8>, Fault> {
    let mut parameters = vec![
        ("user", login.user.as_str()),
        ("database", &login.database),
        ("application_name", &login.application_name),
        ("client_encoding", "UTF8"),
        ("DateStyle", "ISO, MDY"),
        ("TimeZone", "UTC"),
    ];
    if let Some(options) = &login.options {
        parameters.push(("options", options));
    }
    send(stream, &startup(&parameters)).await?;
    authenticate(stream, login).await?;
    let mut greeting = message(b'R', &0_u32.to_be_bytes());
    loop {
        match receive(stream).await? {
            (b'S', body) => match parameter(&body) {
                Some(("server_version", _)) => greeting.extend(message(b'S', &body)),
                Some(("in_hot_standby" | "default_transaction_read_only", "on")) => {
                    return Err(read_only());
                }
                _ => {}
            },
            (b'Z', status) => {
                greeting.extend(message(b'Z', &status));
                return Ok(greeting);
            }
            // The key to cancel a statement; a notice; the protocol's version.
            (b'K' | b'N' | b'v', _) => {}
            _ => return Err(violation()),
        }
    }
}

async fn authenticate(stream: &mut dyn Stream, login: &Login) -> Result<(), Fault> {
    let password = login.password.as_deref();
    let needed = || password.ok_or_else(|| Fault::unreachable("the server wants a password"));
    let mut scram = None;
    let mut proved = true;
    loop {
        let (kind, body) = receive(stream).await?;
        match kind {
            b'R' => {}
            b'N' | b'v' => continue,
            _ => return Err(violation()),
        }
        let answer = match authentication(&body)? {
            Authentication::Ok if proved => return Ok(()),
            Authentication::Ok => return Err(unproved()),
            Authentication::Cleartext => terminated(needed()?),
            Authentication::Md5(salt) => terminated(&md5_answer(&login.user, needed()?, salt)),
            Authentication::Sasl(mechanisms) => {
                if !mechanisms.contains(&MECHANISM) {
                    return Err(unsupported(&mechanisms.join(", ")));
                }
                proved = false;
                let first = scram.insert(Scram::new(needed()?, nonce()?)).first();
                let length = u32::try_from(first.len()).unwrap_or(u32::MAX).to_be_bytes();
                [&*terminated(MECHANISM), &length, first.as_bytes()].concat()
            }
            Authentication::SaslContinue(text) => {
                scram.as_mut().ok_or_else(violation)?.answer(text)?.into_bytes()
            }
            Authentication::SaslFinal(text) => {
                proved = scram.as_ref().is_some_and(|scram| scram.is_proved_by(text));
                if proved { continue } else { return Err(unproved()) }
            }
            Authentication::Unsupported(number) => {
                return Err(unsupported(&format!("number {number}")));
            }
        };
        send(stream, &message(b'p', &answer)).await?;
    }
}

fn terminated(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

fn nonce() -> Result<String, Fault> {
    let mut bytes = [0; 18];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| Fault::unreachable("the system has no random numbers"))?;
    Ok(BASE64_STANDARD.encode(bytes))
}

/// Nothing can be stored there: another host of the server may be the one that takes writes.
fn read_only() -> Fault {
    let sqlstate = Some("25006".to_owned());
    Fault { cause: Cause::Database, sqlstate, message: "the server is read-only".to_owned() }
}

fn unproved() -> Fault {
    Fault::unreachable("the server does not prove that it knows the password")
}

fn unsupported(what: &str) -> Fault {
    Fault::unreachable(format!(
        "the server wants an authentication that is not supported ({what}): configure \
         scram-sha-256, md5 or password"
    ))
}

async fn send(stream: &mut dyn Stream, bytes: &[u8]) -> Result<(), Fault> {
    stream.write_all(bytes).await.map_err(lost)?;
    stream.flush().await.map_err(lost)
}

/// The next message: its type, and its body. A refusal is an error.
async fn receive(stream: &mut dyn Stream) -> Result<(u8, Vec<u8>), Fault> {
    let mut header = [0; 5];
    stream.read_exact(&mut header).await.map_err(lost)?;
    let length = body_length(header)?;
    if length > MAX_BODY {
        return Err(violation());
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.map_err(lost)?;
    if header[0] == b'E' { Err(refusal(&body)) } else { Ok((header[0], body)) }
}
