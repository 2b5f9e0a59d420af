//! Other declarations while the operator runs, in a time that does not depend on how much there is.
//!
//! What is there already stays where it is: states get other numbers, not other places. States that are added get a
//! sheet in each group, one for all those with one value a key, and a store each for the others. A sheet or a store of
//! which nothing is declared any more is taken out and freed piece by piece. A column whose state is gone, in a sheet
//! with others, is passed over from then on, and emptied row by row. The first sheet in which something is left becomes
//! the first one of all, so that an operator whose states have all moved on is as fast as one that began with them.
//!
//! While the backend is held, nothing is taken out: what is gone stays behind what is declared.

use std::sync::Arc;

use super::cleaner::Cleaner;
use super::row::Layout;
use super::sheet::{Any, Pick};
use super::{HeapBackend, Home, collections};
use crate::declaration::{self, StateDeclaration, StateId, TimerDeclaration};
use crate::error::Error;
use crate::segment::Schema;

/// The least rows that a commit empties of what is gone.
const BUDGET_MIN: usize = 64;

/// How far columns are emptied whose states are gone.
#[derive(Debug, Default)]
pub(super) struct Sweeper {
    sheet: usize,
    group: usize,
    row: u32,
}

impl HeapBackend {
    /// Serves these declarations from now on.
    pub(super) fn change_declarations(
        &mut self,
        states: &[StateDeclaration],
        timers: &[TimerDeclaration],
    ) -> Result<(), Error> {
        if let Some(running) = &self.running {
            return Err(Error::Access {
                reason: format!(
                    "states cannot change while the snapshot of epoch {} runs; finish it or give it up first",
                    running.epoch
                ),
            });
        }
        let mut schema = Schema::new(self.schema.key(), states, timers);
        if self.schema.drops_unclaimed() {
            schema.drop_unclaimed();
        }
        declaration::check_evolution(
            (self.schema.states(), self.schema.timers()),
            (states, timers),
        )?;
        self.invocation.end();
        self.expired.clear();
        self.cursor = None;
        let old = std::mem::replace(&mut self.schema, schema);
        let stays = |state: &StateDeclaration| states.iter().any(|new| new.is_same(state));
        let is_timer = |timer: &TimerDeclaration| timers.iter().any(|new| new.name == timer.name);
        let all_stay = old.states().iter().all(stays) && old.timers().iter().all(is_timer);
        self.place_states(&old);
        self.place_timers(&old);
        self.cleaner = Cleaner::new(states);
        if !all_stay {
            // The chain of segments holds what is gone; the next snapshot begins another one.
            self.groups.iter_mut().for_each(super::group::Group::abandon);
        }
        if self.held.is_none() {
            self.tidy();
        }
        Ok(())
    }

    /// Gives each state of the schema its home: that which it had, or a new one.
    fn place_states(&mut self, old: &Schema) {
        let home_before = |state: &StateDeclaration| {
            let before = old.states().iter().position(|other| other.is_same(state))?;
            Some(self.homes[before])
        };
        let kept: Vec<Option<Home>> = self.schema.states().iter().map(home_before).collect();
        let states = || (0..).map(StateId).zip(self.schema.states()).zip(&kept);
        let new = || states().filter(|(_, kept)| kept.is_none()).map(|(state, _)| state);
        let cells: Vec<_> = new().filter(|(_, state)| state.kind.is_cell()).collect();
        let sheet = self.layouts.len();
        let added = (!cells.is_empty()).then(|| Layout::new(self.schema.key(), &cells));
        let first_store = self.groups.first().map_or(0, |group| group.stores.len());
        for group in &mut self.groups {
            if added.is_some() {
                group.sheets.push();
            }
            let stores = new().filter(|(_, state)| state.kind.is_collection());
            group.stores.extend(stores.map(|(id, state)| collections::store(id, state)));
        }
        let (mut column, mut store) = (0, first_store);
        let home = |(kept, state): (&Option<Home>, &StateDeclaration)| {
            kept.unwrap_or_else(|| {
                let next = if state.kind.is_cell() { &mut column } else { &mut store };
                *next += 1;
                match state.kind.is_cell() {
                    true => Home::Column { sheet, column: *next - 1 },
                    false => Home::Store(*next - 1),
                }
            })
        };
        self.homes = kept.iter().zip(self.schema.states()).map(home).collect();
        self.layouts.extend(added);
        self.number_states();
    }

    /// Tells sheets and stores what states are in them.
    pub(super) fn number_states(&mut self) {
        for layout in &mut self.layouts {
            layout.ids.fill(None);
            layout.ttls.fill(None);
        }
        let states = (0..).map(StateId).zip(self.schema.states());
        for ((id, state), home) in states.zip(&self.homes) {
            match *home {
                Home::Column { sheet, column } => {
                    self.layouts[sheet].ids[column] = Some(id);
                    self.layouts[sheet].ttls[column] = state.ttl;
                }
                Home::Store(store) => {
                    let declare = |group: &mut super::group::Group| {
                        group.stores[store].declare(id, state.ttl);
                    };
                    self.groups.iter_mut().for_each(declare);
                }
            }
        }
    }

    fn place_timers(&mut self, old: &Schema) {
        let before = |timer: &TimerDeclaration| {
            old.timers().iter().position(|other| other.name == timer.name)
        };
        let order: Vec<_> = self.schema.timers().iter().map(before).collect();
        self.arrange_timers(&order);
    }

    /// Puts families of timers in another order, with those that it does not name behind.
    pub(super) fn arrange_timers(&mut self, order: &[Option<usize>]) {
        if let Some(held) = &mut self.held {
            held.arrange(order);
        }
        let families = self.held.as_ref().map(|held| Arc::clone(held.families()));
        for group in &mut self.groups {
            group.timers.arrange(order);
            if let (Some(undo), Some(families)) = (&mut group.undo, &families) {
                undo.arrange(families);
            }
        }
        self.heads.arrange(order);
    }

    /// Takes out what nothing is declared of.
    pub(super) fn tidy(&mut self) {
        let families = self.schema.timers().len();
        self.heads.truncate(families);
        let stores = self.groups.first().map_or(0, |group| group.stores.len());
        let is_used = |store: &usize| self.homes.contains(&Home::Store(*store));
        let used: Vec<bool> = (0..stores).map(|store| is_used(&store)).collect();
        let kept: Vec<bool> = self.layouts.iter().map(|layout| !layout.is_gone()).collect();
        for group in &mut self.groups {
            let gone = group.timers.split_off(families);
            gone.into_iter().for_each(|timers| self.doomed.timers(timers));
            if !used.iter().all(|used| *used) {
                let all = std::mem::take(&mut group.stores).into_iter().zip(&used);
                for (store, used) in all {
                    if *used { group.stores.push(store) } else { self.doomed.store(store) }
                }
            }
            if !kept.iter().all(|kept| *kept) {
                let gone = group.sheets.retain(|sheet| kept[sheet]);
                gone.into_iter().for_each(|sheet| self.doomed.table(sheet.table));
            }
        }
        let mut keep = kept.iter();
        self.layouts.retain(|_| *keep.next().expect("there is one for each"));
        if self.layouts.is_empty() {
            self.layouts.push(Layout::new(self.schema.key(), &[]));
        }
        let rank = |flags: &[bool], number: usize| flags[..number].iter().filter(|it| **it).count();
        for home in &mut self.homes {
            match home {
                Home::Column { sheet, .. } => *sheet = rank(&kept, *sheet),
                Home::Store(store) => *store = rank(&used, *store),
            }
        }
        let leftovers = self.layouts.iter().any(|layout| layout.doomed().next().is_some());
        self.sweeper = leftovers.then(Sweeper::default);
    }

    /// Frees some of what was taken out, and empties some rows of what is gone.
    pub(super) fn tidy_in_passing(&mut self) {
        if !self.doomed.is_empty() {
            self.doomed.shed();
        }
        if self.sweeper.is_some() && self.held.is_none() {
            self.sweep_columns();
        }
        if self.held.is_some() {
            self.limit_undo();
        }
    }

    fn sweep_columns(&mut self) {
        let mut budget = BUDGET_MIN + self.invocation.slots() / 4;
        let Some(Sweeper { sheet, group: at, row }) = &mut self.sweeper else { return };
        while budget > 0 {
            budget -= 1;
            let Some(layout) = self.layouts.get(*sheet) else {
                self.sweeper = None;
                return;
            };
            let Some(group) = self.groups.get_mut(*at).filter(|_| layout.doomed().next().is_some())
            else {
                (*sheet, *at, *row) = (*sheet + 1, 0, 0);
                continue;
            };
            let table = &mut Any(*sheet).of_mut(&mut group.sheets).table;
            if *row >= table.end() {
                group.compact(&self.layouts, self.version);
                (*at, *row) = (*at + 1, 0);
                continue;
            }
            table.empty_doomed(layout, *row);
            *row += 1;
        }
    }
}
