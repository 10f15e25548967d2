//! Local time, fast: the C library says how far a day is from UTC, and the rest is arithmetic.
//!
//! `localtime_r` costs more than all the rest of a line. A backup has many times on few days, so the distance is kept
//! for days (of UTC) at whose first and last second it is the same; on the days of a change, each time is asked.

use super::spec::push_number;
use bork_format::item::Time;

const DAY: i64 = 86_400;
/// Days whose distance from UTC is remembered, in a table indexed by the low bits of the day.
const DAYS_KEPT: usize = 512;
/// Up to here Borg shows times, rounded as below: two days before the end of 32-bit time. Unit: seconds since 1970.
const BORG_TIME_MAX: i64 = (1 << 31) - 1 - 2 * DAY;
const WEEKDAYS: [&[u8; 3]; 7] = [b"Sun", b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat"];

/// Seconds east of UTC in the time zone of the process (`TZ`, or else /etc/localtime) at a number of seconds since
/// 1970. 0 for times that the C library cannot express. Both glibc and musl read `TZ` at the first call only.
pub fn local_offset(seconds: i64) -> i32 {
    let seconds: libc::time_t = seconds;
    // SAFETY: all fields of `tm` are numbers or a pointer that may be null, so zero bytes are a valid value.
    let mut tm: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are valid for the call, and nothing keeps them.
    let result = unsafe { libc::localtime_r(&seconds, &mut tm) };
    if result.is_null() { 0 } else { tm.tm_gmtoff as i32 }
}

/// Translates times to local ones.
pub(super) struct Clock {
    offset: fn(i64) -> i32,
    days: Vec<(i64, Option<i32>)>,
}

impl Clock {
    pub fn new(offset: fn(i64) -> i32) -> Clock {
        Clock { offset, days: vec![(i64::MIN, None); DAYS_KEPT] }
    }

    /// The time as Python's `datetime.fromtimestamp(ns / 1e9)` gives it, which Borg shows: rounded to a double, then to
    /// microseconds, half to even. Times that Borg cuts off are exact.
    pub fn local(&mut self, time: Time) -> Local {
        let (seconds, microsecond) = match time.seconds {
            0..=BORG_TIME_MAX => rounded(time),
            other => (other, time.nanoseconds / 1000),
        };
        Local::new(seconds, microsecond, self.offset_at(seconds))
    }

    fn offset_at(&mut self, seconds: i64) -> i32 {
        let day = seconds.div_euclid(DAY);
        let kept = &mut self.days[day.rem_euclid(DAYS_KEPT as i64) as usize];
        if kept.0 != day {
            let midnight = day.saturating_mul(DAY);
            let first = (self.offset)(midnight);
            let last = (self.offset)(midnight.saturating_add(DAY - 1));
            *kept = (day, (first == last).then_some(first));
        }
        kept.1.unwrap_or_else(|| (self.offset)(seconds))
    }
}

fn rounded(time: Time) -> (i64, u32) {
    let nanoseconds = time.seconds * 1_000_000_000 + i64::from(time.nanoseconds);
    let seconds = nanoseconds as f64 / 1e9;
    let microseconds = (seconds.fract() * 1e6).round_ties_even();
    match microseconds {
        1e6.. => (seconds.trunc() as i64 + 1, 0),
        _ => (seconds.trunc() as i64, microseconds as u32),
    }
}

/// A moment on the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Local {
    pub year: i64,
    pub month: u32,
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub second: u32,
    pub microsecond: u32,
    /// 0 is Sunday.
    pub weekday: u32,
    /// 0 is 1 January.
    pub day_of_year: u32,
}

/// Room for a moment in text: 34 bytes hold any year.
#[derive(Clone, Copy)]
pub(super) struct Text {
    bytes: [u8; 48],
    length: usize,
}

impl std::ops::Deref for Text {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Text {
    fn new() -> Text {
        Text { bytes: [0; 48], length: 0 }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    /// A separator and a number of `width` digits.
    fn digits(&mut self, separator: u8, number: u32, width: usize) {
        self.push(&[separator]);
        let end = self.length + width;
        let mut rest = number;
        for place in (self.length..end).rev() {
            self.bytes[place] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        self.length = end;
    }
}

impl Local {
    /// The calendar day is computed with the proleptic Gregorian algorithm of Howard Hinnant ("chrono-compatible
    /// low-level date algorithms"): years begin in March, so that the leap day is the last.
    pub fn new(seconds: i64, microsecond: u32, offset: i32) -> Local {
        let local = seconds.saturating_add(i64::from(offset));
        let (days, in_day) = (local.div_euclid(DAY), local.rem_euclid(DAY) as u32);
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_march_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_march_year + 2) / 153;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let leap = year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0);
        let day_of_year = if month <= 2 { day_of_march_year - 306 } else { day_of_march_year + 59 + i64::from(leap) };
        Local {
            year,
            month: month as u32,
            day: (day_of_march_year - (153 * march_month + 2) / 5 + 1) as u32,
            hour: in_day / 3600,
            minute: in_day / 60 % 60,
            second: in_day % 60,
            microsecond,
            weekday: (days + 4).rem_euclid(7) as u32,
            day_of_year: day_of_year as u32,
        }
    }

    /// `Mon, 2026-11-23 08:00:00`
    pub fn text(&self) -> Text {
        let mut out = Text::new();
        out.push(WEEKDAYS[self.weekday as usize]);
        out.push(b", ");
        self.date_and_time(b' ', &mut out);
        out
    }

    /// `2026-11-23T08:00:00.000000`
    pub fn iso(&self) -> Text {
        let mut out = Text::new();
        self.date_and_time(b'T', &mut out);
        out.digits(b'.', self.microsecond, 6);
        out
    }

    fn date_and_time(&self, between: u8, out: &mut Text) {
        match u32::try_from(self.year) {
            Ok(year @ 1000..=9999) => {
                out.push(&[year / 1000, year / 100, year / 10, year].map(|n| b'0' + (n % 10) as u8))
            }
            _ => {
                let mut digits = Vec::new();
                push_number(self.year.unsigned_abs(), &mut digits);
                out.push(if self.year < 0 { b"-" } else { b"" });
                out.push(&digits);
            }
        }
        out.digits(b'-', self.month, 2);
        out.digits(b'-', self.day, 2);
        out.digits(between, self.hour, 2);
        out.digits(b':', self.minute, 2);
        out.digits(b':', self.second, 2);
    }

    /// Appends the time in a format of Python's `datetime.strftime`: that of the C library, `%f` for microseconds, and
    /// nothing for `%z` and `%Z`. A format whose output is longer than 16 KiB gives nothing.
    pub fn strftime(&self, format: &str, out: &mut Vec<u8>) {
        let mut prepared = Vec::with_capacity(format.len() + 8);
        let mut characters = format.chars();
        while let Some(character) = characters.next() {
            match (character, character == '%') {
                (_, true) => match characters.next() {
                    Some('f') => prepared.extend_from_slice(format!("{:06}", self.microsecond).as_bytes()),
                    Some('z' | 'Z') => {}
                    Some(other) => prepared.extend_from_slice(format!("%{other}").as_bytes()),
                    None => prepared.extend_from_slice(b"%%"),
                },
                (other, _) => prepared.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        // The space makes any output longer than nothing, which is what an output that is too long gives.
        prepared.extend_from_slice(b" \0");
        let mut buffer = vec![0u8; 16 << 10];
        let tm = self.tm();
        // SAFETY: `buffer` has the length that is passed, `prepared` ends in a zero byte, and `tm` lives.
        let length = unsafe { libc::strftime(buffer.as_mut_ptr().cast(), buffer.len(), prepared.as_ptr().cast(), &tm) };
        out.extend_from_slice(&buffer[..length.saturating_sub(1)]);
    }

    fn tm(&self) -> libc::tm {
        // SAFETY: all fields of `tm` are numbers or a pointer that may be null, so zero bytes are a valid value.
        let mut tm: libc::tm = unsafe { std::mem::zeroed() };
        tm.tm_year = (self.year - 1900).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
        tm.tm_mon = self.month as i32 - 1;
        tm.tm_mday = self.day as i32;
        tm.tm_hour = self.hour as i32;
        tm.tm_min = self.minute as i32;
        tm.tm_sec = self.second as i32;
        tm.tm_wday = self.weekday as i32;
        tm.tm_yday = self.day_of_year as i32;
        tm
    }
}
