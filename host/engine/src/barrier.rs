//! Alignment of barriers, as a pure state machine.
//!
//! A task ends its epoch when the barrier has come in on every channel. A channel on which it has come is not read
//! until then. Channels keep order, so the barriers of two epochs never mix on one task.

use crate::element::Barrier;

/// Which channels the current barrier has come in on.
#[derive(Debug)]
pub(crate) struct Alignment {
    arrived: Vec<bool>,
    missing: usize,
    current: Option<Barrier>,
}

impl Alignment {
    pub(crate) fn new(channels: usize) -> Self {
        Self { arrived: vec![false; channels], missing: channels, current: None }
    }

    /// Whether the channel waits for the others.
    pub(crate) fn is_blocked(&self, channel: usize) -> bool {
        self.arrived[channel]
    }

    /// Takes a barrier, and yields it if it was the last one missing; then all channels are open again.
    pub(crate) fn arrive(&mut self, channel: usize, barrier: Barrier) -> Option<Barrier> {
        assert!(!self.arrived[channel], "a blocked channel is not read");
        let current = *self.current.get_or_insert(barrier);
        assert_eq!(current, barrier, "every channel carries every barrier");
        self.arrived[channel] = true;
        self.missing -= 1;
        if self.missing > 0 {
            return None;
        }
        self.missing = self.arrived.len();
        self.arrived.fill(false);
        self.current = None;
        Some(barrier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARRIER: Barrier = Barrier { epoch: 7, completed: Some(6), last: false };

    #[test]
    fn the_barrier_passes_when_it_has_come_in_on_every_channel() {
        let mut alignment = Alignment::new(3);
        assert_eq!(alignment.arrive(1, BARRIER), None);
        assert!(alignment.is_blocked(1) && !alignment.is_blocked(0) && !alignment.is_blocked(2));
        assert_eq!(alignment.arrive(0, BARRIER), None);
        assert_eq!(alignment.arrive(2, BARRIER), Some(BARRIER));
        assert!((0..3).all(|channel| !alignment.is_blocked(channel)));
    }

    #[test]
    fn one_channel_needs_no_waiting() {
        let mut alignment = Alignment::new(1);
        for epoch in 1..4 {
            let barrier = Barrier { epoch, completed: None, last: false };
            assert_eq!(alignment.arrive(0, barrier), Some(barrier));
        }
    }
}
