//! Backoff as a value: how long to wait before the next attempt, and nothing about what is attempted.

use std::time::Duration;

/// Capped exponential backoff with jitter ("full jitter" above a floor of half the step: two clients that lost the same
/// server do not come back in the same moment, and none comes back at once).
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    step: Duration,
}

impl Backoff {
    /// Starts at `first` and doubles up to `max`.
    pub fn new(first: Duration, max: Duration) -> Self {
        Backoff {
            first,
            max,
            step: first,
        }
    }

    /// The wait before the next attempt; each call doubles the step. `random` is uniform in 0..1.
    pub fn next_delay(&mut self, random: f64) -> Duration {
        let step = self.step;
        self.step = (step * 2).min(self.max);
        step / 2 + (step / 2).mul_f64(random.clamp(0.0, 1.0))
    }

    /// Forgets past failures: to be called after real progress, not after a mere connection.
    pub fn reset(&mut self) {
        self.step = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_cap_and_starts_over_after_progress() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        let longest: Vec<u64> = (0..4).map(|_| backoff.next_delay(1.0).as_secs()).collect();
        assert_eq!(longest, [1, 2, 4, 5]);
        backoff.reset();
        assert_eq!(backoff.next_delay(0.0), Duration::from_millis(500));
    }
}
