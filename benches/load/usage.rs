//! What Linux says that a process uses; elsewhere nothing.

use std::time::Duration;

/// Memory now, and processor time so far.
pub(crate) struct Usage {
    pub(crate) resident_bytes: u64,
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

impl Usage {
    /// The time used since an earlier moment.
    pub(crate) fn since(&self, earlier: &Usage) -> Usage {
        Usage {
            resident_bytes: self.resident_bytes,
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }
}

pub(crate) fn usage(process: u32) -> Usage {
    let read =
        |file: &str| std::fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
    let pages: u64 = read("statm")
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(0);
    // User and system time, in hundredths of a second, are fields 14 and 15; the name before them may contain anything.
    let stat = read("stat");
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let time = |index: usize| {
        let ticks: Option<u64> = fields.get(index).and_then(|ticks| ticks.parse().ok());
        Duration::from_millis(ticks.unwrap_or(0) * 10)
    };
    Usage {
        resident_bytes: pages * 4096,
        user: time(11),
        system: time(12),
    }
}
