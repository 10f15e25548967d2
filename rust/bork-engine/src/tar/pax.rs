//! Records of an extended header: `length key=value\n`, where the length counts itself. A value may hold any byte.

use bork_format::item::Time;

/// Appends a record.
pub fn put(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3; // blank, equals sign, newline
    let mut length = rest + 1;
    while length != rest + digits(length) {
        length = rest + digits(length);
    }
    out.extend_from_slice(format!("{length} ").as_bytes());
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn digits(number: usize) -> usize {
    number.ilog10() as usize + 1
}

/// Key and value of the first record, and what follows it; `None` if there is no whole record.
pub fn take(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..blank]).ok()?.parse().ok()?;
    let record = bytes.get(blank + 1..length)?;
    let record = record.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], &bytes[length..]))
}

/// A time in decimal, with as many digits as it needs.
pub fn time_text(time: Time) -> String {
    let (mut seconds, mut nanoseconds, mut sign) = (i128::from(time.seconds), time.nanoseconds, "");
    if seconds < 0 {
        // The digits behind the point count away from zero.
        sign = "-";
        seconds = -seconds;
        if nanoseconds > 0 {
            (seconds, nanoseconds) = (seconds - 1, 1_000_000_000 - nanoseconds);
        }
    }
    let text = format!("{sign}{seconds}.{nanoseconds:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// The time of a decimal text; digits beyond nanoseconds are dropped.
pub fn take_time(text: &[u8]) -> Option<Time> {
    let text = std::str::from_utf8(text).ok()?;
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    Some(match (negative, nanoseconds) {
        (false, _) => Time { seconds, nanoseconds },
        (true, 0) => Time { seconds: -seconds, nanoseconds },
        (true, _) => Time { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds },
    })
}

/// Name of an attribute as a key: GNU tar's way to keep `=` out of it.
pub fn escape_key(name: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len());
    for byte in name {
        match byte {
            b'=' => key.extend_from_slice(b"%3D"),
            b'%' => key.extend_from_slice(b"%25"),
            byte => key.push(*byte),
        }
    }
    key
}

/// And back.
pub fn unescape_key(key: &[u8]) -> Vec<u8> {
    let (mut name, mut rest) = (Vec::with_capacity(key.len()), key);
    while let Some((first, behind)) = rest.split_first() {
        let (byte, behind) = match (rest.strip_prefix(b"%3D"), rest.strip_prefix(b"%25")) {
            (Some(behind), _) => (b'=', behind),
            (_, Some(behind)) => (b'%', behind),
            _ => (*first, behind),
        };
        name.push(byte);
        rest = behind;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_length_of_a_record_counts_itself() {
        let mut out = Vec::new();
        put(&mut out, b"path", b"a");
        assert_eq!(out, b"9 path=a\n");
        out.clear();
        put(&mut out, b"comment", &[b'x'; 87]);
        assert!(out.starts_with(b"99 comment="));
        out.clear();
        put(&mut out, b"comment", &[b'x'; 88]);
        assert!(out.starts_with(b"101 comment="));
    }

    #[test]
    fn times_before_1970_have_their_fraction_on_the_other_side() {
        let time = |seconds, nanoseconds| Time { seconds, nanoseconds };
        for (text, time) in [
            ("0", time(0, 0)),
            ("1.5", time(1, 500_000_000)),
            ("-1.5", time(-2, 500_000_000)),
            ("-0.000000001", time(-1, 999_999_999)),
            ("-3", time(-3, 0)),
        ] {
            assert_eq!(time_text(time), text);
            assert_eq!(take_time(text.as_bytes()), Some(time));
        }
        for text in ["", "-", ".5", "1.x", "1e3", "99999999999999999999"] {
            assert_eq!(take_time(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn records_survive_the_round_trip(
            key in "[A-Za-z.]{1,40}", value in prop::collection::vec(any::<u8>(), 0..1200), behind in any::<[u8; 3]>(),
        ) {
            let mut out = Vec::new();
            put(&mut out, key.as_bytes(), &value);
            out.extend_from_slice(&behind);
            prop_assert_eq!(take(&out), Some((key.as_bytes(), &value[..], &behind[..])));
        }

        #[test]
        fn no_bytes_make_the_reader_of_records_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = (take(&bytes), take_time(&bytes), unescape_key(&bytes));
        }

        #[test]
        fn times_and_keys_survive_the_round_trip(
            seconds in -(1_i64 << 60)..1_i64 << 60, nanoseconds in 0_u32..1_000_000_000, key in any::<Vec<u8>>(),
        ) {
            let time = Time { seconds, nanoseconds };
            prop_assert_eq!(take_time(time_text(time).as_bytes()), Some(time));
            prop_assert_eq!(unescape_key(&escape_key(&key)), key);
        }
    }
}
