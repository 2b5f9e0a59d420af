//! What a run came to, for people and as JSON.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use statehouse_engine::{CheckpointRecord, JobHandle, TaskKind, TaskMetrics};

use crate::control::messages::EndStatus;
use crate::format::{self, Align};
use crate::launch::ResumedFrom;

/// The result of a run.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    job: String,
    /// How it ended.
    status: EndStatus,
    resumed_from: Option<Resumed>,
    duration_ms: u64,
    /// Records that the sources brought in.
    records: u64,
    rejected: u64,
    nodes: Vec<NodeSummary>,
    checkpoints: Vec<CheckpointSummary>,
}

#[derive(Debug, Serialize)]
struct Resumed {
    epoch: u64,
    savepoint: Option<String>,
    place: String,
}

#[derive(Debug, Serialize)]
struct NodeSummary {
    id: String,
    kind: &'static str,
    tasks: usize,
    records_in: u64,
    records_out: u64,
    rejected: u64,
}

#[derive(Debug, Serialize)]
struct CheckpointSummary {
    epoch: u64,
    duration_ms: u64,
    written_bytes: u64,
    state_bytes: u64,
}

impl From<CheckpointRecord> for CheckpointSummary {
    fn from(record: CheckpointRecord) -> Self {
        let CheckpointRecord { epoch, duration_ms, written_bytes, state_bytes, .. } = record;
        Self { epoch, duration_ms, written_bytes, state_bytes }
    }
}

impl Summary {
    pub(super) fn new(
        job: String,
        handle: &JobHandle,
        resumed_from: Option<ResumedFrom>,
        took: Duration,
        status: EndStatus,
    ) -> Self {
        let nodes = nodes(handle);
        let sources = nodes.iter().filter(|node| node.kind == "source");
        Self {
            job,
            status,
            resumed_from: resumed_from.map(|from| Resumed {
                epoch: from.epoch,
                savepoint: from.savepoint,
                place: from.place.to_string(),
            }),
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            records: sources.map(|node| node.records_out).sum(),
            rejected: nodes.iter().map(|node| node.rejected).sum(),
            nodes,
            checkpoints: handle.checkpoints().into_iter().map(CheckpointSummary::from).collect(),
        }
    }
}

fn nodes(handle: &JobHandle) -> Vec<NodeSummary> {
    let mut nodes: Vec<NodeSummary> = Vec::new();
    for task in handle.tasks() {
        if nodes.last().is_none_or(|node| node.id != task.node) {
            let kind = match task.kind {
                TaskKind::Source => "source",
                TaskKind::Operator => "operator",
                TaskKind::Sink => "sink",
            };
            let id = task.node.clone();
            let (tasks, records_in, records_out, rejected) = (0, 0, 0, 0);
            nodes.push(NodeSummary { id, kind, tasks, records_in, records_out, rejected });
        }
        let node = nodes.last_mut().expect("one was pushed if there was none");
        node.tasks += 1;
        node.records_in += TaskMetrics::read(&task.metrics.records_in);
        node.records_out += TaskMetrics::read(&task.metrics.records_out);
        node.rejected += TaskMetrics::read(&task.metrics.rejected);
    }
    nodes
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = Duration::from_millis(self.duration_ms);
        write!(f, "job `{}` {} in {}", self.job, self.status.name(), format::duration(took))?;
        match &self.resumed_from {
            Some(Resumed { savepoint: Some(name), .. }) => {
                write!(f, ", resumed from savepoint `{name}`")?;
            }
            Some(Resumed { epoch, .. }) => write!(f, ", resumed from checkpoint {epoch}")?,
            None => {}
        }
        write!(f, ": {}", format::counted(self.records, "record"))?;
        if self.duration_ms >= 100 {
            let per_second = self.records as f64 * 1000.0 / self.duration_ms as f64;
            write!(f, ", {}", format::rate(per_second))?;
        }
        f.write_str("\n\n")?;
        let number = |applies: bool, number| {
            if applies { format::count(number) } else { "-".to_owned() }
        };
        let rows: Vec<[String; 6]> = self
            .nodes
            .iter()
            .map(|node| {
                [
                    node.id.clone(),
                    node.kind.to_owned(),
                    node.tasks.to_string(),
                    number(node.kind != "source", node.records_in),
                    number(node.kind != "sink", node.records_out),
                    number(node.kind != "sink", node.rejected),
                ]
            })
            .collect();
        let columns = [
            ("node", Align::Left),
            ("kind", Align::Left),
            ("tasks", Align::Right),
            ("records in", Align::Right),
            ("records out", Align::Right),
            ("rejected", Align::Right),
        ];
        writeln!(f, "{}", format::table(columns, &rows))?;
        self.write_checkpoints(f)
    }
}

impl Summary {
    fn write_checkpoints(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = &self.checkpoints;
        let (Some(first), Some(last)) = (all.first(), all.last()) else {
            return writeln!(f, "no checkpoint was taken");
        };
        let longest = all.iter().map(|one| one.duration_ms).max().unwrap_or(0);
        let written: u64 = all.iter().map(|one| one.written_bytes).sum();
        let numbers = match all.len() {
            1 => format!("checkpoint {}", last.epoch),
            many => format!("{many} checkpoints ({} to {})", first.epoch, last.epoch),
        };
        writeln!(
            f,
            "{numbers}: {}{}, {} written, {} of state",
            if all.len() == 1 { "took " } else { "the longest took " },
            format::duration(Duration::from_millis(longest)),
            format::bytes(written),
            format::bytes(last.state_bytes)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_reads_as_text_and_as_json() {
        let node = |id: &str, kind, records_in, records_out| NodeSummary {
            id: id.to_owned(),
            kind,
            tasks: 1,
            records_in,
            records_out,
            rejected: 0,
        };
        let checkpoint = |epoch, duration_ms| CheckpointSummary {
            epoch,
            duration_ms,
            written_bytes: 2048,
            state_bytes: 4096,
        };
        let summary = Summary {
            job: "hello".into(),
            status: EndStatus::Completed,
            resumed_from: Some(Resumed { epoch: 3, savepoint: None, place: "checkpoints".into() }),
            duration_ms: 2000,
            records: 10_000,
            rejected: 0,
            nodes: vec![node("orders", "source", 0, 10_000), node("out", "sink", 10_000, 0)],
            checkpoints: vec![checkpoint(4, 12), checkpoint(5, 7)],
        };
        assert_eq!(
            summary.to_string(),
            "job `hello` completed in 2.0 s, resumed from checkpoint 3: 10,000 records, 5000/s\n\n\
             node    kind    tasks  records in  records out  rejected\n\
             orders  source      1           -       10,000         0\n\
             out     sink        1      10,000            -         -\n\n\
             2 checkpoints (4 to 5): the longest took 12 ms, 4.0 KiB written, 4.0 KiB of state\n"
        );
        let json = serde_json::to_value(&summary).unwrap();
        assert_eq!(json["status"], "completed");
        assert_eq!(json["resumed_from"]["epoch"], 3);
        assert_eq!(json["nodes"][0]["records_out"], 10_000);
        assert_eq!(json["checkpoints"][1]["duration_ms"], 7);
    }
}
