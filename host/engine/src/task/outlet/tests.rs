//! Tests of partitioning and of what waits.

use crossbeam_utils::sync::Parker;

use super::*;
use crate::channel::{Receiver, bounded};

fn outlets(exchange: Exchange, tasks: usize, room: usize) -> (Outlets, Vec<Receiver<Element>>) {
    let parker = Parker::new();
    let ends: Vec<_> = (0..tasks)
        .map(|_| bounded(room, parker.unparker().clone(), parker.unparker().clone()))
        .collect();
    let (senders, receivers) = ends.into_iter().unzip();
    let outlet = Outlet::new(Output::Port(0), exchange, senders, 0);
    (Outlets::new(vec![outlet], KeyGroups::DEFAULT), receivers)
}

fn batch(keys: impl Iterator<Item = u64>) -> Batch {
    let keys: Vec<u64> = keys.collect();
    Batch {
        times: vec![0; keys.len()],
        values: Column::Words(keys.iter().map(|key| key * 10).collect()),
        keys: Some(Column::Words(keys)),
        hashes: Vec::new(),
    }
}

fn received(receiver: &Receiver<Element>) -> Vec<Batch> {
    std::iter::from_fn(|| receiver.try_receive())
        .map(|element| match element {
            Element::Batch(batch) => batch,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn every_row_goes_to_the_task_that_owns_its_key_group_and_keeps_its_place() {
    let (mut outlets, receivers) = outlets(Exchange::Keyed, 3, 16);
    outlets.send(Output::Port(0), &mut batch((0..1000).chain(0..1000)));
    assert!(outlets.flush());
    let mut rows = 0;
    for (task, receiver) in receivers.iter().enumerate() {
        for batch in received(receiver) {
            let Some(Column::Words(keys)) = &batch.keys else { panic!() };
            let Column::Words(values) = &batch.values else { panic!() };
            for ((&key, &value), &hash) in keys.iter().zip(values).zip(&batch.hashes) {
                let group = KeyGroups::DEFAULT.group_of(hash);
                assert_eq!(hash, statehouse_state::key::hash_word(key));
                assert_eq!(KeyGroups::DEFAULT.task_of(group, 3) as usize, task);
                assert_eq!(value, key * 10);
            }
            let half = keys.len() / 2;
            assert_eq!(keys[..half], keys[half..], "rows keep their order");
            rows += keys.len();
        }
    }
    assert_eq!(rows, 2000);
}

#[test]
fn what_finds_no_room_waits_in_order() {
    let (mut outlets, receivers) = outlets(Exchange::Forward, 1, 1);
    outlets.send(Output::Port(0), &mut batch(0..1));
    outlets.send(Output::Port(0), &mut batch(1..2));
    outlets.broadcast(|| Element::Watermark(9));
    assert!(!outlets.flush());
    assert_eq!(received(&receivers[0])[0], batch(0..1));
    assert!(!outlets.flush());
    assert_eq!(received(&receivers[0])[0], batch(1..2));
    assert!(outlets.flush());
    assert!(matches!(receivers[0].try_receive(), Some(Element::Watermark(9))));
}

#[test]
fn large_batches_are_cut_and_unwanted_outputs_dropped() {
    let (mut outlets, receivers) = outlets(Exchange::Rebalance, 2, 16);
    let mut large = batch(0..(3 * BATCH_ROWS_MAX as u64 + 1));
    outlets.send(Output::Port(0), &mut large);
    assert!(large.is_empty());
    outlets.send(Output::DeadLetters, &mut batch(0..5));
    assert!(outlets.flush());
    let lengths: Vec<Vec<usize>> = receivers
        .iter()
        .map(|receiver| received(receiver).iter().map(Batch::len).collect())
        .collect();
    assert_eq!(lengths, [vec![BATCH_ROWS_MAX, 1], vec![BATCH_ROWS_MAX, BATCH_ROWS_MAX]]);
}

#[test]
fn a_broadcast_input_gets_every_record_in_every_task() {
    let (mut outlets, receivers) = outlets(Exchange::Broadcast, 3, 16);
    outlets.send(Output::Port(0), &mut batch(0..5));
    outlets.send(Output::Port(0), &mut batch(5..7));
    assert!(outlets.flush());
    for receiver in &receivers {
        assert_eq!(received(receiver), [batch(0..5), batch(5..7)]);
    }
}
