//! Other declarations for what a task keeps.

use super::{TaskState, TaskStates};
use crate::task_state::TaskStateDeclaration;

impl TaskStates {
    /// The same under other declarations: states keep what they hold, by name, if they are of the same kind and
    /// layouts; others are empty; those that are not declared are gone. Between invocations.
    #[must_use]
    pub fn evolved(self, declarations: &[TaskStateDeclaration]) -> Self {
        let mut evolved = Self::new(declarations);
        for TaskState { declaration: before, contents, undo } in self.states {
            debug_assert!(undo.is_empty(), "an invocation has ended before");
            let fits = |state: &&mut TaskState| {
                let now = &state.declaration;
                let shape = (now.kind, now.value, now.map_key);
                now.name == before.name && shape == (before.kind, before.value, before.map_key)
            };
            if let Some(state) = evolved.states.iter_mut().find(fits) {
                state.contents = contents;
            }
        }
        evolved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, TaskStateKind, ValueLayout};

    fn declared(name: &str, value: ValueLayout) -> TaskStateDeclaration {
        TaskStateDeclaration {
            name: name.into(),
            kind: TaskStateKind::Split,
            value,
            codec: "raw".into(),
            schema: None,
            map_key: None,
            map_key_codec: None,
            map_key_schema: None,
            schema_version: 1,
        }
    }

    #[test]
    fn states_are_kept_by_name_and_shape() {
        let (u64, s64) = (ValueLayout::U64, ValueLayout::S64);
        let mut before = TaskStates::new(&[declared("seen", u64), declared("old", u64)]);
        before.append(0, &Column::Words(vec![1, 2])).unwrap();
        before.append(1, &Column::Words(vec![3])).unwrap();
        before.commit();
        let now = [declared("new", u64), declared("old", s64), declared("seen", u64)];
        let evolved = before.evolved(&now);
        let empty = Column::Words(vec![]);
        assert_eq!((evolved.list(0).unwrap(), evolved.list(1).unwrap()), (&empty, &empty));
        assert_eq!(evolved.list(2).unwrap(), &Column::Words(vec![1, 2]));
    }
}
