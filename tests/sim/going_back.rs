//! A job that rolls back a swap, put together again in the same process.

use std::sync::Arc;

use futures::executor::block_on;
use statehouse_checkpoint::{Check, Epoch, StartPlace, StartPoint};
use statehouse_engine::{Assembled, Checkpoints, Clock, JobPlan, RestorePoint, Rollback, assemble};

use crate::backends::Backends;
use crate::scheduler::{Life, Scenario};

impl Scenario {
    /// Goes on, in the same process, from where the swap was pinned.
    pub(crate) fn go_back(&mut self, life: Life) -> Result<Life, String> {
        let Life { job, turns, backends, folder, .. } = life;
        let Assembled { tasks, mut driver, publisher, .. } = job;
        let rollback = driver.roll_back(tasks.into_iter().map(|(task, _)| task).collect());
        drop((driver, publisher));
        let (to, warm) = (rollback.to_epoch, rollback.warm.backends());
        if let Some(conductor) = &mut self.conductor {
            conductor.rolled_back(warm);
        }
        self.trace.push(format!("back to {to} with {warm} backends: {}", rollback.reason));
        let clock = Arc::new(self.clock.clone());
        let job = self.assemble_again(rollback, &backends, clock)?;
        let mut life = self.live(job, backends, folder);
        life.turns = turns;
        Ok(life)
    }

    /// Puts the job together from what is left, to run by this clock.
    pub(crate) fn assemble_again(
        &mut self,
        rollback: Rollback,
        backends: &Backends,
        clock: Arc<dyn Clock>,
    ) -> Result<Assembled, String> {
        let Rollback { to_epoch, graph, warm, .. } = rollback;
        let store = self.world.store.checkpoints();
        let lease = block_on(store.claim()).map_err(|error| error.chain())?;
        let found = block_on(store.newest_valid(Check::Manifest)).map_err(|error| error.chain())?;
        let newest = found.manifest.filter(|newest| newest.epoch == Epoch(to_epoch));
        let (manifest, point) = match newest {
            Some(newest) => (newest, found.point),
            // Checkpoints went on during the trial.
            None => {
                let name = self.conductor.as_ref().unwrap().savepoint.clone();
                let manifest = block_on(store.read_savepoint(&name));
                let (epoch, place) = (Epoch(to_epoch), StartPlace::Savepoint(name));
                let point = Some(StartPoint { epoch, place, fork: false });
                (manifest.map_err(|error| error.chain())?, point)
            }
        };
        let restore = RestorePoint {
            store: store.clone(),
            manifest,
            point,
            continues: true,
            drop_unclaimed: false,
            fork: false,
        };
        let plan = JobPlan {
            graph,
            settings: self.settings(),
            checkpoints: Some(Checkpoints { store, lease }),
            restore: Some(restore),
            clock,
            backend: Arc::clone(&backends.factory),
            scratch: Some(backends.scratch.clone()),
            restores_max: self.restores_max,
            seed: 7,
            warm,
        };
        assemble(plan).map_err(|error| error.to_string())
    }
}
