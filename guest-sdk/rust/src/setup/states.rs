//! Declaring states: those that stay, and those that expire.

use std::rc::Rc;

use super::Setup;
use crate::bindings::{
    KeyDescription, Merge, State as StateDescription, StateKind, TaskState, TaskStateKind,
    ValueDescription,
};
use crate::call::Pending;
use crate::codec::{Encode, Layout, Value};
use crate::state::aggregating::{Aggregate, AggregatingState};
use crate::state::append::AppendState;
use crate::state::list::ListState;
use crate::state::map::{MapState, check_key};
use crate::state::reducing::{Number, ReducingState};
use crate::state::set::SetState;
use crate::state::{Identity, ValueState};
use crate::task::TaskList;
use crate::task::broadcast::BroadcastState;
use crate::ttl::Ttl;

/// Keyed states. A name identifies a state across versions of the operator.
impl<O> Setup<O> {
    /// Declares a state with one value a key.
    pub fn value<T: Value>(&mut self, name: &str) -> ValueState<T> {
        self.lasting().value(name)
    }

    /// Declares a state with a list a key.
    pub fn list<T: Value>(&mut self, name: &str) -> ListState<T> {
        self.lasting().list(name)
    }

    /// Declares a state with a map a key.
    pub fn map<K: Value, V: Value>(&mut self, name: &str) -> MapState<K, V> {
        self.lasting().map(name)
    }

    /// Declares a sum a key. The host adds, without a read. Sums of integers wrap around.
    pub fn sum<T: Number>(&mut self, name: &str) -> ReducingState<T> {
        self.lasting().sum(name)
    }

    /// Declares a minimum a key. The host compares, without a read. NaN is passed over.
    pub fn min<T: Number>(&mut self, name: &str) -> ReducingState<T> {
        self.lasting().min(name)
    }

    /// Declares a maximum a key. The host compares, without a read. NaN is passed over.
    pub fn max<T: Number>(&mut self, name: &str) -> ReducingState<T> {
        self.lasting().max(name)
    }

    /// Declares a count a key. The host counts, without a read.
    pub fn count(&mut self, name: &str) -> ReducingState<u64> {
        self.lasting().count(name)
    }

    /// Declares bytes a key that grow at the end. The host appends, without a read.
    pub fn append(&mut self, name: &str) -> AppendState {
        self.lasting().append(name)
    }

    /// Declares a set a key. The host adds to it, without a read.
    pub fn set<T: Value>(&mut self, name: &str) -> SetState<T> {
        self.lasting().set(name)
    }

    /// Declares an aggregate a key.
    pub fn aggregating<A: Aggregate>(&mut self, name: &str) -> AggregatingState<A> {
        self.lasting().aggregating(name)
    }

    /// Declares states whose values expire: `setup.expiring(ttl).value("name")`.
    pub fn expiring(&mut self, ttl: Ttl) -> Expiring<'_, O> {
        Expiring { setup: self, ttl: Some(ttl) }
    }

    fn lasting(&mut self) -> Expiring<'_, O> {
        Expiring { setup: self, ttl: None }
    }
}

/// States of the task, which belong to no key. They are kept in memory and written as a whole with every checkpoint, so
/// they should be small.
impl<O> Setup<O> {
    /// Declares a list of the task's; when the parallelism changes, its elements are dealt out to the tasks.
    pub fn split<T: Value>(&mut self, name: &str) -> TaskList<T> {
        self.task_list(name, TaskStateKind::Split)
    }

    /// Declares a list of the task's; after a restart, every task gets the elements of all of them.
    pub fn union<T: Value>(&mut self, name: &str) -> TaskList<T> {
        self.task_list(name, TaskStateKind::Union)
    }

    /// Declares a map that is the same in every task, because it changes only with the records of
    /// [broadcast inputs](Setup::broadcast_input).
    pub fn broadcast<K: Value, V: Value>(&mut self, name: &str) -> BroadcastState<K, V> {
        if let Some(reason) = check_key::<K>() {
            self.refuse(format_args!("broadcast state `{name}`: {reason}"));
        }
        let map_key = Layout::described_key::<K>();
        let value = Layout::described_value::<V>();
        let of = self.add_task_state(name, TaskStateKind::Broadcast, value, map_key);
        let (state, pending) = BroadcastState::new(&self.call, of);
        self.pending.push(pending);
        state
    }

    fn task_list<T: Value>(&mut self, name: &str, kind: TaskStateKind) -> TaskList<T> {
        let value = Layout::described_value::<T>();
        let of = self.add_task_state(name, kind, value, None);
        let (state, pending) = TaskList::new(&self.call, of);
        self.pending.push(pending);
        state
    }

    fn add_task_state(
        &mut self,
        name: &str,
        kind: TaskStateKind,
        value: ValueDescription,
        map_key: Option<KeyDescription>,
    ) -> Identity {
        let states = &mut self.description.task_states;
        let index = states.len() as u32;
        states.push(TaskState { name: name.to_owned(), kind, value, map_key, schema_version: 1 });
        Identity { index, name: name.into(), touches: false }
    }
}

/// Declares states whose values expire; from [`Setup::expiring`].
///
/// ```
/// use std::time::Duration;
/// use statehouse::prelude::*;
///
/// struct Recent { count: ReducingState<u64>, shops: MapState<String, u64> }
///
/// impl Operator for Recent {
///     const NAME: &str = "recent";
///     fn new(setup: &mut Setup<Self>) -> Self {
///         setup.keyed_input("bills", |recent: &mut Self, bill: Record<u64, (String, u64)>| {
///             recent.count.add(1);
///             recent.shops.insert(&bill.value.0, bill.value.1);
///             Ok(())
///         });
///         let mut expiring = setup.expiring(Ttl::after(Duration::from_secs(60)));
///         Recent { count: expiring.count("count"), shops: expiring.map("shops") }
///     }
/// }
///
/// let mut harness = TestHarness::<Recent>::new();
/// harness.send("bills", 7_u64, ("tea house".to_owned(), 3_u64), 0);
/// harness.advance_processing_time(60_000);
/// assert_eq!(harness.state::<u64>("count", 7_u64), None);
/// assert!(harness.map::<String, u64>("shops", 7_u64).is_empty());
/// ```
pub struct Expiring<'s, O> {
    setup: &'s mut Setup<O>,
    ttl: Option<Ttl>,
}

impl<O> Expiring<'_, O> {
    /// Declares a state with one value a key.
    pub fn value<T: Value>(&mut self, name: &str) -> ValueState<T> {
        let of = self.add::<T>(name, StateKind::Value);
        self.made(|setup| ValueState::new(&setup.call, of))
    }

    /// Declares a state with a list a key; each element expires by itself.
    pub fn list<T: Value>(&mut self, name: &str) -> ListState<T> {
        let of = self.add::<T>(name, StateKind::List);
        self.made(|setup| ListState::new(&setup.call, of))
    }

    /// Declares a state with a map a key; each entry expires by itself.
    pub fn map<K: Value, V: Value>(&mut self, name: &str) -> MapState<K, V> {
        if let Some(reason) = check_key::<K>() {
            self.setup.refuse(format_args!("state `{name}`: {reason}"));
        }
        let of = self.add::<V>(name, StateKind::Map);
        if let Some(state) = self.setup.description.states.last_mut() {
            state.map_key = Layout::described_key::<K>();
        }
        self.made(|setup| MapState::new(&setup.call, of))
    }

    /// Declares a sum a key.
    pub fn sum<T: Number>(&mut self, name: &str) -> ReducingState<T> {
        self.reducing(name, Merge::Sum)
    }

    /// Declares a minimum a key.
    pub fn min<T: Number>(&mut self, name: &str) -> ReducingState<T> {
        self.reducing(name, Merge::Min)
    }

    /// Declares a maximum a key.
    pub fn max<T: Number>(&mut self, name: &str) -> ReducingState<T> {
        self.reducing(name, Merge::Max)
    }

    /// Declares a count a key.
    pub fn count(&mut self, name: &str) -> ReducingState<u64> {
        self.reducing(name, Merge::Count)
    }

    /// Declares bytes a key that grow at the end.
    pub fn append(&mut self, name: &str) -> AppendState {
        let of = self.add_merging::<Vec<u8>>(name, Merge::Append);
        self.made(|setup| AppendState::new(&setup.call, of))
    }

    /// Declares a set a key; it expires as a whole.
    pub fn set<T: Value>(&mut self, name: &str) -> SetState<T> {
        let of = self.add_merging::<Vec<u8>>(name, Merge::SetUnion);
        if let Some(state) = self.setup.description.states.last_mut() {
            state.value.schema = T::structure(Some(<T as Encode>::layout().elements()));
        }
        self.made(|setup| SetState::new(&setup.call, of))
    }

    /// Declares an aggregate a key.
    pub fn aggregating<A: Aggregate>(&mut self, name: &str) -> AggregatingState<A> {
        let of = self.add::<A::Accumulator>(name, StateKind::Aggregating);
        self.made(|setup| AggregatingState::new(&setup.call, of))
    }

    fn reducing<T: Number>(&mut self, name: &str, merge: Merge) -> ReducingState<T> {
        let of = self.add_merging::<T>(name, merge);
        self.made(|setup| ReducingState::new(&setup.call, of, merge))
    }

    fn made<S>(&mut self, make: impl FnOnce(&Setup<O>) -> (S, Rc<dyn Pending>)) -> S {
        let (state, pending) = make(self.setup);
        self.setup.pending.push(pending);
        state
    }

    fn add_merging<T: Value>(&mut self, name: &str, merge: Merge) -> Identity {
        let of = self.add::<T>(name, StateKind::Reducing);
        if let Some(state) = self.setup.description.states.last_mut() {
            state.merge = Some(merge);
        }
        of
    }

    fn add<T: Value>(&mut self, name: &str, kind: StateKind) -> Identity {
        let ttl = self.ttl.map(Ttl::describe);
        if ttl.is_some_and(|ttl| ttl.milliseconds == 0) {
            self.setup.refuse(format_args!("state `{name}`: it lives at least a millisecond"));
        }
        let states = &mut self.setup.description.states;
        let index = states.len() as u32;
        states.push(StateDescription {
            name: name.to_owned(),
            kind,
            value: Layout::described_value::<T>(),
            map_key: None,
            merge: None,
            ttl,
            schema_version: 1,
        });
        Identity { index, name: name.into(), touches: self.ttl.is_some_and(Ttl::touches) }
    }
}

#[cfg(test)]
mod tests;
