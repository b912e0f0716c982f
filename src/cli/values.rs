//! Values of flags, from text: pure, and each error says what would have been right.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo, Timestamp};
use tracing_subscriber::EnvFilter;

use crate::commands::ingest::{Rotate, Since, Speed};

/// A duration as people write it: `90s`, `10m`, `24h`, `7d`, `1h 30m`. A day is 24 hours.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let span: Span = text
        .parse()
        .map_err(|_| String::from("expected a time such as 90s, 10m, 24h or 7d"))?;
    let signed = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| String::from("months and years differ in length: give days"))?;
    Duration::try_from(signed).map_err(|_| String::from("a time cannot be negative"))
}

/// The pace of a recording: a positive number, or `max`.
pub(super) fn speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(Speed::Max);
    }
    match text.parse::<f64>() {
        Ok(times) if times.is_finite() && times > 0.0 => Ok(Speed::Times(times)),
        _ => Err(String::from("expected a positive number or `max`")),
    }
}

/// So long ago, or a point in time.
pub(super) fn since(text: &str) -> Result<Since, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Since::At(at));
    }
    duration(text).map(Since::Ago).map_err(|_| {
        String::from("expected a time ago such as 2h, or a time such as 2026-08-04T12:00:00Z")
    })
}

/// A size in bytes, or `hourly`. Units are powers of ten unless they are KiB, MiB, GiB.
pub(super) fn rotate(text: &str) -> Result<Rotate, String> {
    if text == "hourly" {
        return Ok(Rotate::Hourly);
    }
    let digits = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim() {
        "" | "B" => 1,
        "k" | "K" | "kB" | "KB" => 1_000,
        "M" | "MB" => 1_000_000,
        "G" | "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => 0,
    };
    match number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
    {
        Some(bytes) if bytes > 0 => Ok(Rotate::Size(bytes)),
        _ => Err(String::from(
            "expected a size such as 100MB or 1GiB, or `hourly`",
        )),
    }
}

/// An address to listen on: a host name or an IP address, and a port.
pub(super) fn host_port(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(text.into()),
        _ => Err(String::from("expected HOST:PORT, such as 127.0.0.1:8875")),
    }
}

/// Directives that tracing understands.
pub(super) fn log_filter(text: &str) -> Result<String, String> {
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.into()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_people_write_them() {
        let table = [
            ("90s", 90),
            ("10m", 600),
            ("24h", 86_400),
            ("7d", 604_800),
            ("1h 30m", 5_400),
            ("PT2H", 7_200),
        ];
        for (text, secs) in table {
            assert_eq!(duration(text), Ok(Duration::from_secs(secs)), "{text}");
        }
        for text in ["", "10", "ten", "-5s", "1 month", "5 parsecs"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn speeds_and_sizes_and_starts() {
        assert_eq!(speed("10"), Ok(Speed::Times(10.0)));
        assert_eq!(speed("max"), Ok(Speed::Max));
        for text in ["0", "-1", "NaN", "inf", "fast"] {
            assert!(speed(text).is_err(), "{text}");
        }
        assert_eq!(rotate("100MB"), Ok(Rotate::Size(100_000_000)));
        assert_eq!(rotate("1GiB"), Ok(Rotate::Size(1 << 30)));
        assert_eq!(rotate("hourly"), Ok(Rotate::Hourly));
        for text in ["", "0", "MB", "5 parsecs", "99999999999999999999"] {
            assert!(rotate(text).is_err(), "{text}");
        }
        assert_eq!(since("2h"), Ok(Since::Ago(Duration::from_secs(7_200))));
        assert_eq!(
            since("1970-01-01T00:00:00Z"),
            Ok(Since::At(Timestamp::UNIX_EPOCH))
        );
        assert!(since("yesterday").is_err());
    }

    #[test]
    fn addresses_to_listen_on() {
        for text in ["127.0.0.1:0", "localhost:8875", "[::1]:8875"] {
            assert!(host_port(text).is_ok(), "{text}");
        }
        for text in ["8875", ":8875", "localhost", "localhost:http"] {
            assert!(host_port(text).is_err(), "{text}");
        }
    }
}
