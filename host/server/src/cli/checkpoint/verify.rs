//! `statehouse checkpoint verify`.

use std::process::ExitCode;

use futures::executor::block_on;
use serde::Serialize;
use statehouse_checkpoint::{CheckpointStore, Epoch, Error};

use crate::cli::print;
use crate::format;

/// One checkpoint, read to the last byte.
#[derive(Debug, Serialize)]
struct Verified {
    epoch: Epoch,
    packs: usize,
    pack_bytes: u64,
    /// What is wrong; empty if nothing is.
    damage: Vec<String>,
}

pub(super) fn run(
    store: &CheckpointStore,
    epochs: &[Epoch],
    json: bool,
) -> anyhow::Result<ExitCode> {
    let mut all = Vec::new();
    for &epoch in epochs {
        let verified =
            verify(store, epoch).map_err(|error| anyhow::anyhow!("{}", error.chain()))?;
        if !json {
            print::if_read(print::data(text(&verified)))?;
        }
        all.push(verified);
    }
    let damaged = all.iter().filter(|verified| !verified.damage.is_empty()).count();
    let newest = all.iter().find(|verified| verified.damage.is_empty()).map(|found| found.epoch);
    if json {
        let report = serde_json::json!({ "checkpoints": all, "newest_verified": newest });
        print::if_read(print::json(&report))?;
    } else if all.is_empty() {
        print::remark("there is no checkpoint yet");
    } else if damaged > 0 {
        let first = all.first().map(|verified| verified.epoch);
        print::remark(match newest {
            Some(epoch) if newest == first => format!(
                "{damaged} of {} damaged; the newest, {epoch}, verifies: a run resumes from it",
                all.len()
            ),
            Some(epoch) => format!(
                "{damaged} of {} damaged; the newest that verifies is {epoch}: start from it with `statehouse run \
                 JOB.toml --from {epoch}`",
                all.len()
            ),
            None => format!(
                "{damaged} of {} damaged, and none of them verifies: restore the directory from a copy, or start from \
                 nothing with `statehouse run JOB.toml --fresh`",
                all.len()
            ),
        });
    }
    Ok(if damaged == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn verify(store: &CheckpointStore, epoch: Epoch) -> Result<Verified, Error> {
    let manifest = match block_on(store.read(epoch)) {
        Ok(manifest) => manifest,
        Err(error) if error.is_damage() => {
            return Ok(Verified { epoch, packs: 0, pack_bytes: 0, damage: vec![error.chain()] });
        }
        Err(error) => return Err(error),
    };
    let packs = manifest.packs();
    let damage = block_on(store.verify(&manifest))?;
    Ok(Verified {
        epoch,
        packs: packs.len(),
        pack_bytes: packs.iter().map(|pack| pack.length).sum(),
        damage: damage.iter().map(Error::chain).collect(),
    })
}

fn text(verified: &Verified) -> String {
    let Verified { epoch, packs, pack_bytes, damage } = verified;
    if damage.is_empty() {
        let size = format::bytes(*pack_bytes);
        let packs = format::counted(*packs as u64, "pack");
        return format!("checkpoint {epoch} verifies ({packs}, {size})\n");
    }
    let reasons: String = damage.iter().map(|reason| format!("  {reason}\n")).collect();
    format!("checkpoint {epoch} is damaged\n{reasons}")
}
