//! The slot of a key: which of 16384 parts of a cluster's keys it is in.

use std::ops::RangeInclusive;

/// One of the parts into which a cluster divides its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Slot(u16);

/// Slots that follow each other.
pub(crate) type SlotRange = RangeInclusive<u16>;

impl Slot {
    /// How many there are.
    pub const COUNT: u16 = 16_384;

    /// The slot of this number; `None` where there is none.
    pub fn new(number: u16) -> Option<Self> {
        (number < Self::COUNT).then_some(Self(number))
    }

    /// The slot of a key. Keys with the same hash tag, the part between the first `{` and the next
    /// `}`, share one.
    pub fn of(key: &[u8]) -> Self {
        Self(crc16(tag_of(key).unwrap_or(key)) % Self::COUNT)
    }

    /// Its number.
    pub fn number(self) -> u16 {
        self.0
    }
}

/// The hash tag of a key, where it has one.
pub(crate) fn tag_of(key: &[u8]) -> Option<&[u8]> {
    let begin = key.iter().position(|byte| *byte == b'{')? + 1;
    let rest = key.get(begin..)?;
    let length = rest.iter().position(|byte| *byte == b'}')?;
    rest.get(..length).filter(|tag| !tag.is_empty())
}

/// CRC-16/XMODEM.
pub(super) fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
    }

    #[test]
    fn slots_are_those_of_the_server() {
        for (key, slot) in [("", 0), ("foo", 12_182), ("bar", 5061), ("user:1000", 1649)] {
            assert_eq!(Slot::of(key.as_bytes()).number(), slot, "{key}");
        }
    }

    #[test]
    fn the_first_tag_counts_unless_it_is_empty() {
        let of = |key: &str| Slot::of(key.as_bytes());
        assert_eq!(of("session:{foo}:a"), of("foo"));
        assert_eq!(of("session:{foo}:{bar}"), of("foo"));
        assert_eq!(of("{{foo}}"), of("{foo"));
        assert_eq!(of("a{}{foo}"), Slot(crc16(b"a{}{foo}") % Slot::COUNT));
        assert_eq!(of("a{foo"), Slot(crc16(b"a{foo") % Slot::COUNT));
    }
}
