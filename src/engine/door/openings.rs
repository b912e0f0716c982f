//! Connections that have not yet said who they are. They are kept apart from sessions, so that a thousand of them that say
//! nothing keep nobody out.

use std::collections::VecDeque;

use tokio::sync::oneshot;

/// Connections that may be about to begin: each takes a millisecond on loopback, a socket and some kilobytes. When there are
/// more, the one that has taken longest makes room, as it is the least likely ever to begin.
pub(super) const OPENINGS_MAX: usize = 256;

/// The places of those connections, the longest held first.
#[derive(Debug, Default)]
pub(super) struct Openings {
    places: VecDeque<oneshot::Sender<()>>,
}

/// A place among them, until it is dropped.
#[derive(Debug)]
pub(super) struct Opening(oneshot::Receiver<()>);

impl Openings {
    /// Gives out a place; if there is none, the longest held one is lost.
    pub(super) fn enter(&mut self) -> Opening {
        if self.places.len() >= OPENINGS_MAX {
            self.places.retain(|place| !place.is_closed());
        }
        if self.places.len() >= OPENINGS_MAX {
            self.places.pop_front();
        }
        let (place, opening) = oneshot::channel();
        self.places.push_back(place);
        Opening(opening)
    }
}

impl Opening {
    /// Resolves when others need the place.
    pub(super) async fn lost(&mut self) {
        // Nothing is ever sent: the place goes with its sender.
        let _ = (&mut self.0).await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn the_longest_held_place_is_lost() {
        let mut openings = Openings::default();
        let mut held: Vec<Opening> = (0..OPENINGS_MAX).map(|_| openings.enter()).collect();
        held.remove(1);
        let mut newest = openings.enter();
        assert!(
            held.iter_mut()
                .all(|place| place.lost().now_or_never().is_none())
        );
        openings.enter();
        let lost: Vec<bool> = held
            .iter_mut()
            .map(|place| place.lost().now_or_never().is_some())
            .collect();
        assert_eq!(lost.iter().filter(|lost| **lost).count(), 1);
        assert!(lost[0]);
        assert!(newest.lost().now_or_never().is_none());
    }
}
