//! The messages of PostgreSQL's protocol up to the first `ReadyForQuery`.

use super::super::fault::{Cause, Fault};

/// Asks the server for TLS. The server answers with one byte.
pub(super) const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Version 3.0 of the protocol.
const VERSION: u32 = 196_608;

/// The size limit for a message of the server.
pub(super) const MAX_MESSAGE: usize = 16 << 20;

/// The size limit for a row, which may hold a state: PostgreSQL's own for a value.
const MAX_ROW: usize = 1 << 30;

/// The start-up message: names and values, as they are.
pub(super) fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = VERSION.to_be_bytes().to_vec();
    for (name, value) in parameters {
        for text in [name, value] {
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
    }
    body.push(0);
    with_length(&body)
}

/// A message of a client: its type, and its body.
pub(super) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend(with_length(body));
    message
}

fn with_length(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    let mut message = length.to_be_bytes().to_vec();
    message.extend_from_slice(body);
    message
}

/// Checks the header of a message of the server, and returns the length of the body.
pub(super) fn body_length([kind, length @ ..]: [u8; 5]) -> Result<usize, Fault> {
    let length = u32::from_be_bytes(length) as usize;
    // sqlx would panic at these: a length below 4, no status of the transaction, no number of columns.
    let is_valid = match kind {
        b'Z' => length == 5,
        b'D' => (6..=MAX_ROW).contains(&length),
        b'T' | b't' if length < 6 => false,
        _ => (4..=MAX_MESSAGE).contains(&length),
    };
    if is_valid { Ok(length - 4) } else { Err(violation()) }
}

/// What the server wants for authentication.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Authentication<'a> {
    Ok,
    Cleartext,
    Md5([u8; 4]),
    /// The names of the mechanisms.
    Sasl(Vec<&'a str>),
    SaslContinue(&'a str),
    SaslFinal(&'a str),
    Unsupported(u32),
}

/// Reads the body of an authentication request.
pub(super) fn authentication(body: &[u8]) -> Result<Authentication<'_>, Fault> {
    let (kind, rest) = body.split_first_chunk::<4>().ok_or_else(violation)?;
    let text = || std::str::from_utf8(rest).map_err(|_| violation());
    Ok(match u32::from_be_bytes(*kind) {
        0 => Authentication::Ok,
        3 => Authentication::Cleartext,
        5 => Authentication::Md5(rest.try_into().map_err(|_| violation())?),
        10 => Authentication::Sasl(text()?.split('\0').filter(|name| !name.is_empty()).collect()),
        11 => Authentication::SaslContinue(text()?),
        12 => Authentication::SaslFinal(text()?),
        other => Authentication::Unsupported(other),
    })
}

/// Reads the body of an error: what refuses a connection is never a record's fault.
pub(super) fn refusal(body: &[u8]) -> Fault {
    let mut fault = Fault { cause: Cause::Database, sqlstate: None, message: String::new() };
    for field in body.split(|byte| *byte == 0) {
        let Some((kind, text)) = field.split_first() else { continue };
        let text = String::from_utf8_lossy(text).into_owned();
        match kind {
            b'C' => fault.sqlstate = Some(text),
            b'M' => fault.message = text,
            _ => {}
        }
    }
    fault
}

/// The name and the value of a parameter that the server reports.
pub(super) fn parameter(body: &[u8]) -> Option<(&str, &str)> {
    let mut texts = body.split(|byte| *byte == 0).map(|text| std::str::from_utf8(text).ok());
    Some((texts.next()??, texts.next()??))
}

/// The server does not keep to the protocol.
pub(super) fn violation() -> Fault {
    Fault::unreachable("the server does not speak PostgreSQL's protocol")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_startup_message_has_the_parameters_as_they_are() {
        let sent = startup(&[("user", "u"), ("options", "-c search_path=a,\\ b")]);
        assert_eq!(sent.len(), sent[3] as usize);
        assert!(sent.ends_with(b"user\0u\0options\0-c search_path=a,\\ b\0\0"));
    }

    #[test]
    fn a_header_with_an_impossible_length_is_a_violation() {
        let length = |kind, length: u32| {
            let [a, b, c, d] = length.to_be_bytes();
            body_length([kind, a, b, c, d])
        };
        assert_eq!(length(b'S', 4), Ok(0));
        assert_eq!(length(b'Z', 5), Ok(1));
        assert_eq!(length(b'D', 17 << 20), Ok((17 << 20) - 4));
        for (kind, wrong) in
            [(b'S', 0), (b'S', 3), (b'Z', 4), (b'Z', 6), (b'T', 5), (b'D', 5), (b'S', 17 << 20)]
        {
            assert_eq!(length(kind, wrong), Err(violation()), "{kind} {wrong}");
        }
    }

    #[test]
    fn requests_for_authentication_are_read() {
        let read = |kind: u32, rest: &[u8]| {
            let body = [&kind.to_be_bytes(), rest].concat();
            authentication(&body).map(|request| format!("{request:?}"))
        };
        assert_eq!(read(0, b""), Ok("Ok".into()));
        assert_eq!(read(5, b"salt"), Ok("Md5([115, 97, 108, 116])".into()));
        assert_eq!(read(10, b"A\0B\0\0"), Ok("Sasl([\"A\", \"B\"])".into()));
        assert_eq!(read(7, b""), Ok("Unsupported(7)".into()));
        assert_eq!(read(5, b"sal"), Err(violation()));
        assert_eq!(authentication(b"\0\0"), Err(violation()));
    }

    #[test]
    fn an_error_tells_its_code_and_its_message_and_nothing_else() {
        let fault = refusal(b"SFATAL\0C28P01\0Mno\0Dthe detail\0\0");
        assert_eq!((fault.sqlstate.as_deref(), &*fault.message), (Some("28P01"), "no"));
        assert_eq!(fault.cause, Cause::Database);
    }
}
