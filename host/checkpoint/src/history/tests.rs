//! The history: entries in order, of several owners, that nothing overwrites.

use futures::executor::block_on;

use super::*;
use crate::testing::FaultStore;

fn entry(event: HistoryEvent, at_ms: i64) -> HistoryEntry {
    let version = |text: &str| ComponentVersion {
        component: Digest::of(text.as_bytes()),
        operator: "sum".to_owned(),
        version: text.to_owned(),
    };
    HistoryEntry {
        at_ms,
        event,
        swap: Some("1-0".to_owned()),
        epoch: Some(Epoch(7)),
        operators: vec![HistoryOperator {
            id: "sum".to_owned(),
            from: Some(version("1.0")),
            to: version("2.0"),
            declared: None,
        }],
        who: "ann".to_owned(),
        reason: None,
        savepoint: Some(SwapSavepoint { name: "swap-1".to_owned(), is_users: false }),
        watch: Value::Null,
    }
}

#[test]
fn entries_are_read_in_the_order_in_which_they_were_written() {
    block_on(async {
        let store = CheckpointStore::in_memory();
        let first = store.history_writer(&store.claim().await.unwrap());
        first.record(&entry(HistoryEvent::Started, 1)).await.unwrap();
        first.record(&entry(HistoryEvent::Swapped, 2)).await.unwrap();
        let second = store.history_writer(&store.claim().await.unwrap());
        second.record(&entry(HistoryEvent::Interrupted, 3)).await.unwrap();
        let history = store.read_history().await.unwrap();
        let places: Vec<_> = history
            .iter()
            .map(|record| (record.generation.0, record.number, record.entry.at_ms))
            .collect();
        assert_eq!(places, [(1, 0, 1), (1, 1, 2), (2, 0, 3)]);
        assert_eq!(history[1].entry, entry(HistoryEvent::Swapped, 2));
        assert!(store.scrub(None).await.unwrap().is_clean());
    });
}

#[test]
fn an_owner_that_was_overtaken_adds_nothing() {
    block_on(async {
        let store = CheckpointStore::in_memory();
        let first = store.history_writer(&store.claim().await.unwrap());
        let _second = store.claim().await.unwrap();
        let refused = first.record(&entry(HistoryEvent::Kept, 1)).await.unwrap_err();
        assert!(refused.is_fenced(), "{refused}");
        assert_eq!(store.read_history().await.unwrap(), []);
    });
}

#[test]
fn an_entry_never_takes_the_place_of_another() {
    block_on(async {
        let store = CheckpointStore::in_memory();
        let lease = store.claim().await.unwrap();
        store.history_writer(&lease).record(&entry(HistoryEvent::Started, 1)).await.unwrap();
        // One that does not know of the first, as after an answer that was lost.
        let again = store.history_writer(&lease);
        again.record(&entry(HistoryEvent::Started, 1)).await.unwrap();
        assert_eq!(store.read_history().await.unwrap().len(), 1, "the same entry again");
        again.record(&entry(HistoryEvent::Kept, 2)).await.unwrap();
        let other = store.history_writer(&lease);
        other.record(&entry(HistoryEvent::Kept, 3)).await.unwrap();
        let times: Vec<i64> =
            store.read_history().await.unwrap().iter().map(|record| record.entry.at_ms).collect();
        assert_eq!(times, [1, 2, 3]);
    });
}

#[test]
fn damage_to_an_entry_is_found() {
    block_on(async {
        let faults = FaultStore::in_memory();
        let store = faults.checkpoints();
        let writer = store.history_writer(&store.claim().await.unwrap());
        writer.record(&entry(HistoryEvent::Started, 1)).await.unwrap();
        let object = paths::history(Generation(1), 0).to_string();
        let mut bytes = faults.bytes(&object).await.unwrap().to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        faults.replace(&object, bytes).await.unwrap();
        let report = store.scrub(None).await.unwrap();
        assert_eq!(report.damage.len(), 1);
        assert_eq!(report.damage[0].object, object);
        assert!(store.read_history().await.unwrap_err().is_damage());
    });
}
