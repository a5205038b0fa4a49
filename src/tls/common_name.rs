//! The common names in a certificate's subject, which webpki does not read.

use crate::tls::der::{Elements, OBJECT_IDENTIFIER, SEQUENCE, SET};

/// The type of a common name: 2.5.4.3.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// The values of all common names in a subject: a sequence of sets of pairs of a type and a text.
pub(super) fn common_names(subject: &[u8]) -> impl Iterator<Item = &[u8]> {
    // Some hand over the sequence itself, some what is in it.
    let names = match (Elements { rest: subject }).next() {
        Some((SEQUENCE, names)) => names,
        _ => subject,
    };
    let sets = Elements { rest: names }.filter(|(tag, _)| *tag == SET);
    let pairs =
        sets.flat_map(|(_, set)| Elements { rest: set }).filter(|(tag, _)| *tag == SEQUENCE);
    pairs.filter_map(|(_, pair)| {
        let mut parts = Elements { rest: pair };
        let is_common_name = parts.next()? == (OBJECT_IDENTIFIER, COMMON_NAME.as_slice());
        let (_kind_of_text, text) = parts.next()?;
        is_common_name.then_some(text)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// C=DE, then O=x and CN=localhost in one set, then CN=other.
    const SUBJECT: &[u8] = b"\x31\x0b\x30\x09\x06\x03\x55\x04\x06\x13\x02DE\
        \x31\x1c\x30\x08\x06\x03\x55\x04\x0a\x0c\x01x\x30\x10\x06\x03\x55\x04\x03\x0c\x09localhost\
        \x31\x0e\x30\x0c\x06\x03\x55\x04\x03\x13\x05other";

    #[test]
    fn every_common_name_is_found_and_nothing_else() {
        let found: Vec<_> = common_names(SUBJECT).collect();
        assert_eq!(found, [b"localhost".as_slice(), b"other"]);
    }

    #[test]
    fn a_subject_in_its_sequence_is_the_same() {
        let whole = [&[SEQUENCE, u8::try_from(SUBJECT.len()).expect("short")], SUBJECT].concat();
        assert!(common_names(&whole).eq(common_names(SUBJECT)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>, cut in 0..=SUBJECT.len()) {
            common_names(&bytes).count();
            prop_assert!(common_names(&SUBJECT[..cut]).count() <= 2);
        }
    }
}
