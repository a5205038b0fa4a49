//! Dates in documents, as JavaScript writes them.

use chrono::{DateTime, Datelike, Timelike};

/// Milliseconds since the epoch as `Date.prototype.toISOString()` writes them.
///
/// A date whose year does not fit four digits becomes the epoch. Each write needs a timestamp, and
/// `format!` takes three times as long as placing the digits.
pub fn iso_timestamp(epoch_ms: i64) -> String {
    let date = DateTime::from_timestamp_millis(epoch_ms)
        .filter(|date| (0..=9999).contains(&date.year()))
        .unwrap_or(DateTime::UNIX_EPOCH);
    let mut text = String::with_capacity("0000-00-00T00:00:00.000Z".len());
    push_digits::<4>(&mut text, date.year().unsigned_abs());
    text.push('-');
    push_digits::<2>(&mut text, date.month());
    text.push('-');
    push_digits::<2>(&mut text, date.day());
    text.push('T');
    push_digits::<2>(&mut text, date.hour());
    text.push(':');
    push_digits::<2>(&mut text, date.minute());
    text.push(':');
    push_digits::<2>(&mut text, date.second());
    text.push('.');
    push_digits::<3>(&mut text, date.timestamp_subsec_millis());
    text.push('Z');
    text
}

/// Appends the last `N` decimal digits of a number.
fn push_digits<const N: usize>(text: &mut String, mut number: u32) {
    let mut digits = ['0'; N];
    for digit in digits.iter_mut().rev() {
        *digit = char::from(b'0' + (number % 10) as u8);
        number /= 10;
    }
    text.extend(digits);
}

/// How many strings in a JSON text look exactly like what `toISOString()` writes.
///
/// The reader turns such strings into dates wherever they stand. Counting them here, off the
/// JavaScript thread, lets it skip the walk through a document that has none besides the five
/// known fields.
pub fn count_iso_strings(text: &str) -> u32 {
    const PATTERN: &[u8; 26] = b"\"0000-00-00T00:00:00.000Z\"";
    let bytes = text.as_bytes();
    let mut count = 0;
    for z in memchr::memchr_iter(b'Z', bytes) {
        let Some(start) = z.checked_sub(24) else { continue };
        let Some(found) = bytes.get(start..z + 2) else { continue };
        if found.iter().zip(PATTERN).all(|(byte, pattern)| match pattern {
            b'0' => byte.is_ascii_digit(),
            _ => byte == pattern,
        }) {
            count += 1;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-02T03:04:05.006Z";

    #[test]
    fn timestamps_are_those_of_javascript() {
        assert_eq!(iso_timestamp(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso_timestamp(1_767_323_045_006), NOW);
        assert_eq!(iso_timestamp(951_827_696_789), "2000-02-29T12:34:56.789Z");
        assert_eq!(iso_timestamp(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(iso_timestamp(-62_167_219_200_000), "0000-01-01T00:00:00.000Z");
        assert_eq!(iso_timestamp(253_402_300_799_999), "9999-12-31T23:59:59.999Z");
        for beyond in [253_402_300_800_000, -62_167_219_200_001, i64::MAX, i64::MIN] {
            assert_eq!(iso_timestamp(beyond), "1970-01-01T00:00:00.000Z");
        }
    }

    #[test]
    fn only_exact_iso_strings_are_counted() {
        assert_eq!(count_iso_strings(&format!(r#"{{"a":"{NOW}","b":["{NOW}"]}}"#)), 2);
        for text in [
            "",
            "Z",
            r#""Z""#,
            "2026-01-02T03:04:05.006Z",
            r#"{"a":"2026-01-02T03:04:05Z"}"#,
            r#"{"a":"x2026-01-02T03:04:05.006Z"}"#,
            r#"{"a":"2026-01-02T03:04:05.006Zx"}"#,
            r#"{"a":"2026-01-02 03:04:05.006Z"}"#,
        ] {
            assert_eq!(count_iso_strings(text), 0, "{text}");
        }
    }
}
