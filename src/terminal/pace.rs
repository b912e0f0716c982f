//! How fast something happens: a count a second over the last minute.

use std::collections::VecDeque;
use std::time::Duration;

/// Seconds that are remembered: the minute that a sparkline shows.
const SECONDS_MAX: u64 = 60;

/// Seconds over which the rate is taken: short enough to follow, long enough to be read.
const RATE_SECONDS: u64 = 10;

/// Counts a second, of the last minute. Time is what has passed since some start.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    seconds: VecDeque<(u64, u64)>,
    began: Option<Duration>,
}

impl Pace {
    /// Begins to count: the rate of the first seconds is taken over the time since then.
    pub fn begin(&mut self, now: Duration) {
        self.seconds.clear();
        self.began = Some(now);
    }

    /// Counts `n` more.
    pub fn add(&mut self, now: Duration, n: u64) {
        let second = now.as_secs();
        match self.seconds.back_mut() {
            Some((last, count)) if *last == second => *count += n,
            _ => self.seconds.push_back((second, n)),
        }
        while self
            .seconds
            .front()
            .is_some_and(|(first, _)| first + SECONDS_MAX <= second)
        {
            self.seconds.pop_front();
        }
    }

    /// How many a second lately; `None` in the first second, when nobody can say.
    pub fn rate(&self, now: Duration) -> Option<f64> {
        let since_began = now.saturating_sub(self.began?);
        // The present second is not over: it counts for as much of it as has passed.
        let present = now.as_secs();
        let from = present.saturating_sub(RATE_SECONDS);
        let window = now
            .saturating_sub(Duration::from_secs(from))
            .min(since_began);
        if window < Duration::from_secs(1) {
            return None;
        }
        let count: u64 = self
            .seconds
            .iter()
            .filter(|(second, _)| *second >= from)
            .map(|(_, count)| count)
            .sum();
        Some(count as f64 / window.as_secs_f64())
    }

    /// The whole seconds before this one, oldest first.
    pub fn seconds(&self, now: Duration) -> Vec<u64> {
        let present = now.as_secs();
        let mut out = vec![0; SECONDS_MAX as usize];
        for (second, count) in &self.seconds {
            let ago = present.saturating_sub(*second);
            if (1..=SECONDS_MAX).contains(&ago) {
                out[(SECONDS_MAX - ago) as usize] = *count;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_rate_is_over_the_time_that_was_watched() {
        let mut pace = Pace::default();
        pace.begin(at(500));
        for ms in (500..2_500).step_by(100) {
            pace.add(at(ms), 3);
        }
        assert_eq!(pace.rate(at(1_400)), None);
        assert_eq!(pace.rate(at(2_500)), Some(30.0));
        // Ten seconds later all of it has left the window.
        assert_eq!(pace.rate(at(13_000)), Some(0.0));
    }

    #[test]
    fn a_minute_of_seconds_oldest_first() {
        let mut pace = Pace::default();
        for (ms, n) in [(0, 1), (30_000, 2), (59_000, 3), (60_000, 4), (60_900, 5)] {
            pace.add(at(ms), n);
        }
        let seconds = pace.seconds(at(60_950));
        assert_eq!(seconds.len(), 60);
        // The first second left when the sixty-first began; the present one is not whole yet.
        assert_eq!((seconds[0], seconds[30], seconds[59]), (0, 2, 3));
        assert_eq!(pace.seconds(at(61_000))[59], 9);
    }
}
