//! Alignment of barriers, as a pure state machine.
//!
//! A task ends its epoch when the barrier has come in on every channel. With *exactly once* a channel on which it has
//! come is not read until then. With *at least once* all channels are read on, so that several barriers of one channel
//! may have come before the first of another. Channels keep order, so epochs end in order either way.

use std::collections::VecDeque;

use crate::element::Barrier;
use crate::settings::Mode;

/// Which channels which barriers have come in on.
#[derive(Debug)]
pub(crate) struct Alignment {
    mode: Mode,
    /// For each channel how many barriers have come in on it that have not come in on all.
    ahead: Vec<usize>,
    /// The barriers that have not come in on all channels, oldest first, each with the number of channels missing.
    current: VecDeque<(Barrier, usize)>,
}

impl Alignment {
    pub(crate) fn new(channels: usize, mode: Mode) -> Self {
        Self { mode, ahead: vec![0; channels], current: VecDeque::new() }
    }

    /// Whether the channel waits for the others.
    pub(crate) fn is_blocked(&self, channel: usize) -> bool {
        self.mode == Mode::ExactlyOnce && self.ahead[channel] > 0
    }

    /// Whether a barrier has come in on a channel and not on all.
    pub(crate) fn is_under_way(&self) -> bool {
        !self.current.is_empty()
    }

    /// Takes a barrier, and yields it if it was the last one missing.
    pub(crate) fn arrive(&mut self, channel: usize, barrier: Barrier) -> Option<Barrier> {
        assert!(!self.is_blocked(channel), "a blocked channel is not read");
        let at = self.ahead[channel];
        self.ahead[channel] += 1;
        if at == self.current.len() {
            self.current.push_back((barrier, self.ahead.len()));
        }
        let (current, missing) = &mut self.current[at];
        assert_eq!(*current, barrier, "every channel carries every barrier");
        *missing -= 1;
        let (barrier, _) = self.current.pop_front_if(|(_, missing)| *missing == 0)?;
        self.ahead.iter_mut().for_each(|ahead| *ahead -= 1);
        Some(barrier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::BarrierKind;

    fn barrier(epoch: u64) -> Barrier {
        Barrier {
            epoch,
            builds_on: epoch.checked_sub(1),
            last: None,
            kind: BarrierKind::Checkpoint,
        }
    }

    #[test]
    fn the_barrier_passes_when_it_has_come_in_on_every_channel() {
        let mut alignment = Alignment::new(3, Mode::ExactlyOnce);
        assert_eq!(alignment.arrive(1, barrier(7)), None);
        assert!(alignment.is_blocked(1) && !alignment.is_blocked(0) && !alignment.is_blocked(2));
        assert_eq!(alignment.arrive(0, barrier(7)), None);
        assert_eq!(alignment.arrive(2, barrier(7)), Some(barrier(7)));
        assert!((0..3).all(|channel| !alignment.is_blocked(channel)));
    }

    #[test]
    fn one_channel_needs_no_waiting() {
        let mut alignment = Alignment::new(1, Mode::ExactlyOnce);
        for epoch in 1..4 {
            assert_eq!(alignment.arrive(0, barrier(epoch)), Some(barrier(epoch)));
        }
    }

    #[test]
    fn at_least_once_no_channel_waits_and_epochs_end_in_order() {
        let mut alignment = Alignment::new(2, Mode::AtLeastOnce);
        for epoch in 1..=3 {
            assert_eq!(alignment.arrive(0, barrier(epoch)), None);
            assert!(!alignment.is_blocked(0) && !alignment.is_blocked(1));
        }
        assert_eq!(alignment.arrive(1, barrier(1)), Some(barrier(1)));
        assert_eq!(alignment.arrive(1, barrier(2)), Some(barrier(2)));
        assert_eq!(alignment.arrive(0, barrier(4)), None);
        assert_eq!(alignment.arrive(1, barrier(3)), Some(barrier(3)));
        assert_eq!(alignment.arrive(1, barrier(4)), Some(barrier(4)));
    }
}
