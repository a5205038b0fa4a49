//! SCRAM-SHA-256 (RFC 5802, RFC 7677), and the older MD5 exchange.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest as _, Md5};
use ring::digest::{SHA256, digest};
use ring::{hmac, pbkdf2};

use super::super::fault::Fault;

pub(super) const MECHANISM: &str = "SCRAM-SHA-256";

/// A server that asks for more rounds would keep the thread busy: these take some tenths of a second.
/// PostgreSQL's `scram_iterations` is 4096 by default; people set it to 600 000.
const MAX_ROUNDS: u32 = 1_000_000;

/// One exchange.
pub(super) struct Scram {
    nonce: String,
    password: Vec<u8>,
    /// What the server has to prove that it knows, once the exchange is that far.
    expected: Option<String>,
}

impl Scram {
    /// `nonce` is random text without a comma.
    pub fn new(password: &str, nonce: String) -> Self {
        Self { nonce, password: prepared(password), expected: None }
    }

    /// The first message.
    pub fn first(&self) -> String {
        format!("n,,{}", self.first_bare())
    }

    /// The user's name is that of the start-up message.
    fn first_bare(&self) -> String {
        format!("n=,r={}", self.nonce)
    }

    /// The answer to the server's first message.
    pub fn answer(&mut self, server_first: &str) -> Result<String, Fault> {
        let (nonce, salt, rounds) = parts(server_first).ok_or_else(unacceptable)?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(unacceptable());
        }
        if rounds.get() > MAX_ROUNDS {
            return Err(Fault::unreachable(format!(
                "the server wants the password hashed {rounds} times, more than {MAX_ROUNDS}: lower \
                 scram_iterations there, and set the password again"
            )));
        }
        let mut salted = [0; 32];
        let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
        pbkdf2::derive(algorithm, rounds, &salt, &self.password, &mut salted);
        let client_key = mac(&salted, b"Client Key");
        let unproved = format!("c=biws,r={nonce}");
        let signed = format!("{},{server_first},{unproved}", self.first_bare());
        let signature = mac(digest(&SHA256, &client_key).as_ref(), signed.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        let server = mac(&mac(&salted, b"Server Key"), signed.as_bytes());
        self.expected = Some(format!("v={}", BASE64_STANDARD.encode(server)));
        Ok(format!("{unproved},p={}", BASE64_STANDARD.encode(proof)))
    }

    /// Whether the server's last message proves that it knows the password, too.
    pub fn is_proved_by(&self, server_final: &str) -> bool {
        self.expected.as_deref() == server_final.split(',').next()
    }
}

/// The server's nonce, its salt and the number of rounds.
fn parts(server_first: &str) -> Option<(&str, Vec<u8>, NonZeroU32)> {
    let mut fields = server_first.split(',');
    let nonce = fields.next()?.strip_prefix("r=")?;
    let salt = BASE64_STANDARD.decode(fields.next()?.strip_prefix("s=")?).ok()?;
    let rounds: u32 = fields.next()?.strip_prefix("i=")?.parse().ok()?;
    Some((nonce, salt, NonZeroU32::new(rounds)?))
}

/// As in PostgreSQL: what SASLprep does not allow (an emoji) is taken as it is.
fn prepared(password: &str) -> Vec<u8> {
    match stringprep::saslprep(password) {
        Ok(prepared) => prepared.as_bytes().to_vec(),
        Err(_) => password.as_bytes().to_vec(),
    }
}

fn mac(key: &[u8], data: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data).as_ref().to_vec()
}

fn unacceptable() -> Fault {
    Fault::unreachable("the server's part of the password exchange is not acceptable")
}

/// The answer to a request for MD5.
pub(super) fn md5_answer(user: &str, password: &str, salt: [u8; 4]) -> String {
    let inner = hex(&Md5::digest(format!("{password}{user}")));
    format!("md5{}", hex(&Md5::digest([inner.as_bytes(), &salt].concat())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677, but for the user's name, which PostgreSQL ignores.
    fn exchange() -> (Scram, &'static str) {
        let scram = Scram::new("pencil", "rOprNGfwEbeRWgbNEkqO".into());
        let first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                     s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        (scram, first)
    }

    #[test]
    fn a_server_without_the_password_is_found_out() {
        let (mut scram, first) = exchange();
        assert!(!scram.is_proved_by(""));
        let answer = scram.answer(first).unwrap();
        assert!(
            answer.starts_with("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=")
        );
        assert!(!scram.is_proved_by("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        assert!(!scram.is_proved_by("e=invalid-proof"));
    }

    #[test]
    fn an_unacceptable_first_message_is_refused() {
        for first in [
            "",
            "r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=*,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=0",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=2000000000",
        ] {
            assert!(exchange().0.answer(first).is_err(), "{first}");
        }
    }

    #[test]
    fn many_rounds_are_done_and_too_many_are_refused_by_name() {
        let answer = |rounds: u32| {
            let first = format!("r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i={rounds}");
            exchange().0.answer(&first).map_err(|fault| fault.message)
        };
        assert!(answer(600_000).is_ok());
        assert!(answer(2_000_000_000).is_err_and(|message| message.contains("scram_iterations")));
    }

    #[test]
    fn md5_as_the_server_computes_it() {
        // In PostgreSQL: 'md5' || md5(md5('secret' || 'user') || 'salt')
        let inner = hex(&Md5::digest("secretuser"));
        let expected = hex(&Md5::digest(format!("{inner}salt")));
        assert_eq!(md5_answer("user", "secret", *b"salt"), format!("md5{expected}"));
    }
}
