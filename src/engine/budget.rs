//! Memory that many share: one bound on the whole, taken and given back in parts.
//!
//! A bound a client is no bound on the process when there are hundreds of clients. What each may take is up to its owner;
//! here is only counted what all have.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many bytes for everybody together.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes_max: usize,
    taken: AtomicUsize,
}

/// Nothing is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exhausted;

/// A part of a budget, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    /// A budget of which nothing is taken.
    pub(crate) fn new(bytes_max: usize) -> Arc<Budget> {
        Arc::new(Budget {
            bytes_max,
            taken: AtomicUsize::new(0),
        })
    }

    /// What is left; nothing when more has been taken than there was.
    pub(crate) fn free(&self) -> usize {
        self.bytes_max
            .saturating_sub(self.taken.load(Ordering::Relaxed))
    }

    /// A share of nothing yet.
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share {
            budget: self.clone(),
            bytes: 0,
        }
    }

    /// A share of what is in memory already, whether or not so much is left.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Share {
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        Share {
            budget: self.clone(),
            bytes,
        }
    }
}

impl Share {
    /// How much it is.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes it `bytes` large.
    ///
    /// # Errors
    /// So much is not left; the share is as before.
    pub(crate) fn resize(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let taken = &self.budget.taken;
        if bytes <= self.bytes {
            taken.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        } else {
            let more = bytes - self.bytes;
            let within = |taken: usize| {
                let after = taken.checked_add(more)?;
                (after <= self.budget.bytes_max).then_some(after)
            };
            taken
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, within)
                .map_err(|_| Exhausted)?;
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_come_out_of_one_budget_and_go_back() {
        let budget = Budget::new(100);
        let (mut ann, mut bob) = (budget.share(), budget.share());
        assert_eq!(ann.resize(70), Ok(()));
        assert_eq!(bob.resize(40), Err(Exhausted));
        assert_eq!((bob.bytes(), budget.free()), (0, 30));
        assert_eq!(bob.resize(30), Ok(()));
        assert_eq!(ann.resize(10), Ok(()));
        assert_eq!(budget.free(), 60);
        drop(ann);
        assert_eq!(budget.free(), 70);
        drop(bob);
        assert_eq!(budget.free(), 100);
    }

    #[test]
    fn what_is_there_already_is_counted_even_beyond_the_bound() {
        let budget = Budget::new(100);
        let there = budget.take(150);
        assert_eq!(budget.free(), 0);
        assert_eq!(budget.share().resize(1), Err(Exhausted));
        drop(there);
        assert_eq!(budget.free(), 100);
    }
}
