//! Watermarks: generated behind the newest record, and merged over a task's channels.

/// Generates watermarks that stay a fixed lag behind the newest event time seen.
#[derive(Debug)]
pub(crate) struct Generator {
    lag: i64,
    current: i64,
}

impl Generator {
    /// `lag` in milliseconds; `restored` is the watermark that a checkpoint remembers.
    pub(crate) fn new(lag: i64, restored: Option<i64>) -> Self {
        Self { lag, current: restored.unwrap_or(i64::MIN) }
    }

    /// Sees event times, and yields the watermark if they moved it.
    pub(crate) fn observe(&mut self, times: &[i64]) -> Option<i64> {
        let newest = times.iter().copied().max()?;
        let watermark = newest.saturating_sub(self.lag);
        (watermark > self.current).then(|| {
            self.current = watermark;
            watermark
        })
    }

    /// The watermark, if there was one yet.
    pub(crate) fn current(&self) -> Option<i64> {
        (self.current > i64::MIN).then_some(self.current)
    }
}

/// The watermark of a task: the lowest of its channels'.
#[derive(Debug)]
pub(crate) struct Merged {
    channels: Vec<i64>,
    lowest: i64,
}

impl Merged {
    /// Each channel begins with the watermark that a checkpoint remembers for it, so that what was late before a
    /// failure is late after it; the lowest number if there is none.
    pub(crate) fn new(channels: Vec<i64>) -> Self {
        let lowest = channels.iter().copied().min().unwrap_or(i64::MIN);
        Self { channels, lowest }
    }

    /// Takes a channel's watermark, and yields the task's if that moved it.
    pub(crate) fn advance(&mut self, channel: usize, watermark: i64) -> Option<i64> {
        let mine = &mut self.channels[channel];
        *mine = (*mine).max(watermark);
        let lowest = self.channels.iter().copied().min().unwrap_or(i64::MIN);
        (lowest > self.lowest).then(|| {
            self.lowest = lowest;
            lowest
        })
    }

    pub(crate) fn current(&self) -> i64 {
        self.lowest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generator_follows_the_newest_record_and_never_goes_back() {
        let mut generator = Generator::new(10, None);
        assert_eq!((generator.current(), generator.observe(&[])), (None, None));
        assert_eq!(generator.observe(&[5, 30, 20]), Some(20));
        assert_eq!(generator.observe(&[25]), None);
        assert_eq!(generator.observe(&[31]), Some(21));
        assert_eq!(Generator::new(10, Some(21)).current(), Some(21));
        assert_eq!(Generator::new(10, None).observe(&[i64::MIN + 3]), None);
    }

    #[test]
    fn a_task_is_as_far_as_its_slowest_channel() {
        let mut merged = Merged::new(vec![i64::MIN; 2]);
        assert_eq!(merged.advance(0, 10), None);
        assert_eq!(merged.advance(1, 4), Some(4));
        assert_eq!(merged.advance(1, 3), None);
        assert_eq!(merged.advance(1, 50), Some(10));
        assert_eq!(merged.current(), 10);
    }

    #[test]
    fn a_restored_task_is_as_far_as_it_was() {
        let mut merged = Merged::new(vec![7, 9]);
        assert_eq!(merged.current(), 7);
        assert_eq!(merged.advance(0, 7), None);
        assert_eq!(merged.advance(0, 20), Some(9));
    }
}
