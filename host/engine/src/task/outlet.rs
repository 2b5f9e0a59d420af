//! A task's ways out: batches are cut to size, partitioned and queued; what finds no room waits here, in order.

use std::collections::VecDeque;

use statehouse_operator::Batch;
use statehouse_state::{Column, KeyGroups};

use crate::channel::Sender;
use crate::element::{Element, Report};
use crate::graph::{Exchange, Output};

/// The most rows that travel as one batch.
const BATCH_ROWS_MAX: usize = 2048;

/// The way to all tasks of one downstream node.
#[derive(Debug)]
pub(crate) struct Outlet {
    output: Output,
    exchange: Exchange,
    senders: Vec<Sender<Element>>,
    /// For keyed exchange, the rows for each task, while a batch is cut up.
    partitions: Vec<Batch>,
    /// For rebalancing, whose turn it is.
    turn: usize,
}

impl Outlet {
    /// `own` is the number of the task that sends, for forwarding.
    pub(crate) fn new(
        output: Output,
        exchange: Exchange,
        mut senders: Vec<Sender<Element>>,
        own: usize,
    ) -> Self {
        if exchange == Exchange::Forward {
            senders = vec![senders.swap_remove(own)];
        }
        Self { output, exchange, senders, partitions: Vec::new(), turn: own }
    }
}

/// All ways out of a task.
#[derive(Debug)]
pub(crate) struct Outlets {
    outlets: Vec<Outlet>,
    key_groups: KeyGroups,
    /// What could not be sent yet: outlet, sender, element.
    waiting: VecDeque<(usize, usize, Element)>,
}

impl Outlets {
    pub(crate) fn new(outlets: Vec<Outlet>, key_groups: KeyGroups) -> Self {
        Self { outlets, key_groups, waiting: VecDeque::new() }
    }

    /// Sends what waits, as far as there is room. Whether all is sent.
    pub(crate) fn flush(&mut self) -> bool {
        while let Some((outlet, to, element)) = self.waiting.pop_front() {
            if let Err(element) = self.outlets[outlet].senders[to].try_send(element) {
                self.waiting.push_front((outlet, to, element));
                return false;
            }
        }
        true
    }

    /// Sends a batch to all who take this output, leaving the batch empty and of the same kinds.
    pub(crate) fn send(&mut self, output: Output, batch: &mut Batch) {
        if batch.is_empty() {
            return;
        }
        let takers: Vec<usize> = (0..self.outlets.len())
            .filter(|&outlet| self.outlets[outlet].output == output)
            .collect();
        let Some((&last, others)) = takers.split_last() else {
            batch.clear();
            return;
        };
        let empty = batch.empty_like();
        let batch = std::mem::replace(batch, empty);
        for &outlet in others {
            self.send_to(outlet, batch.clone());
        }
        self.send_to(last, batch);
    }

    fn send_to(&mut self, outlet: usize, batch: Batch) {
        if batch.len() <= BATCH_ROWS_MAX {
            return self.exchange(outlet, batch);
        }
        for from in (0..batch.len()).step_by(BATCH_ROWS_MAX) {
            let mut part = batch.empty_like();
            part.extend_from_range(&batch, from, (from + BATCH_ROWS_MAX).min(batch.len()));
            self.exchange(outlet, part);
        }
    }

    fn exchange(&mut self, outlet: usize, mut batch: Batch) {
        let way = &mut self.outlets[outlet];
        match way.exchange {
            Exchange::Forward => self.waiting.push_back((outlet, 0, Element::Batch(batch))),
            Exchange::Rebalance => {
                way.turn = (way.turn + 1) % way.senders.len();
                self.waiting.push_back((outlet, way.turn, Element::Batch(batch)));
            }
            Exchange::Broadcast => {
                for to in 1..way.senders.len() {
                    self.waiting.push_back((outlet, to, Element::Batch(batch.clone())));
                }
                self.waiting.push_back((outlet, 0, Element::Batch(batch)));
            }
            Exchange::Keyed => {
                batch.hash_keys();
                if way.senders.len() == 1 {
                    self.waiting.push_back((outlet, 0, Element::Batch(batch)));
                    return;
                }
                partition(&mut way.partitions, &batch, self.key_groups, way.senders.len());
                for (to, part) in way.partitions.iter_mut().enumerate() {
                    if !part.is_empty() {
                        let empty = part.empty_like();
                        let part = std::mem::replace(part, empty);
                        self.waiting.push_back((outlet, to, Element::Batch(part)));
                    }
                }
            }
        }
    }

    /// Sends an element to every task downstream.
    pub(crate) fn broadcast(&mut self, element: impl Fn() -> Element) {
        for (outlet, way) in self.outlets.iter().enumerate() {
            for to in 0..way.senders.len() {
                self.waiting.push_back((outlet, to, element()));
            }
        }
    }
}

/// Cuts a batch up by the task that owns each row's key group.
fn partition(partitions: &mut Vec<Batch>, batch: &Batch, key_groups: KeyGroups, tasks: usize) {
    partitions.resize_with(tasks, || batch.empty_like());
    let task_of = |hash: u64| key_groups.task_of(key_groups.group_of(hash), tasks as u32) as usize;
    if let (Some(Column::Words(keys)), Column::Words(values)) = (&batch.keys, &batch.values) {
        let room = batch.len() / tasks + batch.len() / 8;
        for part in partitions.iter_mut() {
            part.times.reserve(room);
        }
        for (row, &hash) in batch.hashes.iter().enumerate() {
            let part = &mut partitions[task_of(hash)];
            part.times.push(batch.times[row]);
            part.hashes.push(hash);
            if let (Some(Column::Words(to)), Column::Words(out)) =
                (&mut part.keys, &mut part.values)
            {
                to.push(keys[row]);
                out.push(values[row]);
            }
        }
        return;
    }
    for (row, &hash) in batch.hashes.iter().enumerate() {
        partitions[task_of(hash)].push_from(batch, row);
    }
}

/// A task's line to the coordinator: reports wait here while there is no room.
#[derive(Debug)]
pub(crate) struct Reports {
    sender: Sender<Report>,
    waiting: VecDeque<Report>,
}

impl Reports {
    pub(crate) fn new(sender: Sender<Report>) -> Self {
        Self { sender, waiting: VecDeque::new() }
    }

    pub(crate) fn push(&mut self, report: Report) {
        self.waiting.push_back(report);
        self.flush();
    }

    /// Sends what waits, as far as there is room. Whether all is sent.
    pub(crate) fn flush(&mut self) -> bool {
        while let Some(report) = self.waiting.pop_front() {
            if let Err(report) = self.sender.try_send(report) {
                self.waiting.push_front(report);
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests;
