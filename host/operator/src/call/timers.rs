//! Timers, those included that are still under a name before.

use statehouse_state::{TimerChange, TimerDeclaration, TimerId};

use super::check::same_length;
use super::{Call, trapped};
use crate::failure::Failure;
use crate::limits::TIMER_CHANGES_MAX;

impl Call {
    /// Sets (or deletes) timers: `times[i]` of `slots[i]`.
    ///
    /// # Errors
    /// If there is no such timer or slot, or the columns differ in length.
    pub fn change_timers(
        &mut self,
        timer: TimerId,
        slots: &[u32],
        times: &[i64],
        set: bool,
    ) -> Result<(), Failure> {
        self.check_timers(timer, slots, times)?;
        for (&slot, &time) in slots.iter().zip(times) {
            self.forget_retired(TimerChange { timer, slot, namespace: 0, time, set: false });
            self.writes.change_timer(TimerChange { timer, slot, namespace: 0, time, set });
        }
        Ok(())
    }

    /// Sets (or deletes) timers: `times[i]` of `slots[i]` in `namespaces[i]`.
    ///
    /// # Errors
    /// As [`change_timers`](Call::change_timers).
    pub fn change_timers_in(
        &mut self,
        timer: TimerId,
        slots: &[u32],
        times: &[i64],
        namespaces: &[u64],
        set: bool,
    ) -> Result<(), Failure> {
        self.check_timers(timer, slots, times)?;
        same_length("slots", slots.len(), "namespaces", namespaces.len())?;
        for ((&slot, &time), &namespace) in slots.iter().zip(times).zip(namespaces) {
            self.forget_retired(TimerChange { timer, slot, namespace, time, set: false });
            self.writes.change_timer(TimerChange { timer, slot, namespace, time, set });
        }
        Ok(())
    }

    /// Deletes a timer under the names that it had before: it is set once, and deleted under any name.
    #[inline]
    fn forget_retired(&mut self, change: TimerChange) {
        for &(retired, _) in self.aliases.iter().filter(|(_, now)| *now == change.timer) {
            self.writes.change_timer(TimerChange { timer: retired, ..change });
        }
    }

    /// The family that timers fire as: their own, unless they are under a name before.
    pub(crate) fn fired_as(&self, timer: TimerId) -> TimerId {
        let alias = self.aliases.iter().find(|(retired, _)| *retired == timer);
        alias.map_or(timer, |&(_, now)| now)
    }

    /// What the backend serves beside the timers of the description.
    pub(crate) fn retired_timers(&self) -> &[TimerDeclaration] {
        &self.retired_timers
    }

    fn check_timers(&self, timer: TimerId, slots: &[u32], times: &[i64]) -> Result<(), Failure> {
        if timer.0 as usize >= self.timers.len() {
            return Err(trapped(format!("there is no timer {}", timer.0)));
        }
        same_length("slots", slots.len(), "times", times.len())?;
        if self.writes.timers().len() + slots.len() > TIMER_CHANGES_MAX {
            return Err(trapped(format!(
                "more than {TIMER_CHANGES_MAX} timers set or deleted in one invocation"
            )));
        }
        self.check_slots(slots)
    }

    /// The timer families, in the order of the description.
    pub fn timer_families(&self) -> &[TimerDeclaration] {
        &self.timers
    }
}
