//! List state: a list a key.

use statehouse_state::{Column, Entries, Scan, StateId, StateKind, WriteOp};

use super::cells::lives_on_reads;
use super::check::same_length;
use super::collections::empty_entries;
use super::overlay::HALF;
use super::{Call, trapped};
use crate::failure::Failure;

/// How many elements are marked as read in one step.
const TOUCHED_AT_ONCE: usize = 1024;

impl Call {
    /// Adds row `i` to the end of the list of `slots[i]`.
    ///
    /// # Errors
    /// If there is no such list or slot, or the values are of another layout or too large.
    pub fn append(
        &mut self,
        state: StateId,
        slots: &[u32],
        values: &Column,
    ) -> Result<(), Failure> {
        self.check_store(self.of_kind(state, StateKind::List)?, state, slots, values)?;
        self.writes.append(state, slots, values);
        Ok(())
    }

    /// Replaces lists: that of `slots[i]` becomes the next `counts[i]` values.
    ///
    /// # Errors
    /// As [`append`](Call::append); also if the counts do not add up.
    pub fn replace(
        &mut self,
        state: StateId,
        slots: &[u32],
        counts: &[u32],
        values: &Column,
    ) -> Result<(), Failure> {
        let declared = self.of_kind(state, StateKind::List)?;
        self.check_values(declared, values)?;
        same_length("slots", slots.len(), "counts", counts.len())?;
        let counted: u64 = counts.iter().map(|&count| u64::from(count)).sum();
        if counted != values.len() as u64 {
            return Err(trapped(format!("counts of {counted} for {} values", values.len())));
        }
        self.check_slots(slots)?;
        self.check_written(state, slots.len() + values.len(), values.size_bytes())?;
        let mut owners = Vec::with_capacity(values.len());
        if slots.is_sorted_by(|one, next| one < next) {
            for (&slot, &count) in slots.iter().zip(counts) {
                owners.resize(owners.len() + count as usize, slot);
            }
            self.writes.clear_entries(state, slots);
            self.writes.append(state, &owners, values);
            return Ok(());
        }
        // A slot may occur twice, so the order counts.
        let mut part = Column::empty(values.is_words());
        let mut from = 0;
        for (slot, &count) in slots.iter().zip(counts) {
            owners.clear();
            owners.resize(count as usize, *slot);
            part.clear();
            part.extend_from_range(values, from, from + count as usize);
            from += count as usize;
            self.writes.clear_entries(state, &[*slot]);
            self.writes.append(state, &owners, &part);
        }
        Ok(())
    }

    /// Removes the element `numbers[i]` of `slots[i]`.
    ///
    /// # Errors
    /// If there is no such list or slot.
    pub fn remove_elements(
        &mut self,
        state: StateId,
        slots: &[u32],
        numbers: &[u64],
    ) -> Result<(), Failure> {
        self.of_kind(state, StateKind::List)?;
        same_length("slots", slots.len(), "numbers", numbers.len())?;
        self.check_slots(slots)?;
        self.check_written(state, slots.len(), size_of_val(numbers))?;
        if numbers.iter().all(|&number| number < HALF) {
            let numbers = Column::Words(numbers.to_vec());
            self.writes.remove_entries(state, slots, &numbers);
            return Ok(());
        }
        for (&slot, &number) in slots.iter().zip(numbers) {
            if number < HALF {
                self.writes.remove_entries(state, &[slot], &Column::Words(vec![number]));
            } else {
                self.take_back(state, slot, number);
            }
        }
        Ok(())
    }

    /// Takes back an element that this invocation added.
    fn take_back(&mut self, state: StateId, slot: u32, number: u64) {
        let write = (number & !HALF) as usize;
        let writes = self.writes.state(state);
        if writes.ops.get(write) == Some(&WriteOp::Append) && writes.slots[write] == slot {
            self.writes.cancel_append(state, write);
            self.overlays[state.0 as usize].forget(slot, number);
        }
    }

    /// The whole list of one slot, if its elements have at most `bytes` bytes.
    ///
    /// # Errors
    /// If there is no such list or slot, or it is larger.
    pub fn list(&mut self, state: StateId, slot: u32, bytes: usize) -> Result<Column, Failure> {
        let mut found = empty_entries(self.of_kind(state, StateKind::List)?);
        let more = self.scan(state, &Scan::all(slot, usize::MAX), bytes, &mut found)?;
        if more {
            let name = &self.states[state.0 as usize].name;
            return Err(trapped(format!(
                "the list of state `{name}` for slot {slot} has more than {bytes} bytes, which are too many for one \
                 call; scan it page by page"
            )));
        }
        Ok(found.values)
    }

    /// Says that all elements of these slots were read. Does nothing where reads make nothing live longer.
    ///
    /// # Errors
    /// If there is no such list or slot.
    pub fn touch_lists(&mut self, state: StateId, slots: &[u32]) -> Result<(), Failure> {
        let declared = self.of_kind(state, StateKind::List)?;
        let (counts, mut page) = (lives_on_reads(declared), empty_entries(declared));
        self.check_slots(slots)?;
        if counts {
            slots.iter().try_for_each(|&slot| self.touch_list(state, slot, &mut page))?;
        }
        Ok(())
    }

    fn touch_list(&mut self, state: StateId, slot: u32, page: &mut Entries) -> Result<(), Failure> {
        let mut scan = Scan::all(slot, TOUCHED_AT_ONCE);
        loop {
            page.clear();
            let more = self.read_committed(state, &scan, self.limits.value_bytes, page)?;
            let Column::Words(numbers) = &page.keys else { return Ok(()) };
            self.check_written(state, numbers.len(), size_of_val(numbers.as_slice()))?;
            let owners = vec![slot; numbers.len()];
            self.writes.touch_entries(state, &owners, &page.keys);
            match numbers.last() {
                Some(&last) if more => {
                    scan.from = std::ops::Bound::Excluded(statehouse_state::Cell::Word(last));
                }
                _ => return Ok(()),
            }
        }
    }
}
