//! A swap as it is seen from outside: how far it is, and what the user decides about it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::control::messages::{CreateSwap, SwapDecision, SwapStageName, SwapStatus};

/// A swap that was asked for.
#[derive(Debug)]
pub(super) struct Progress {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    status: SwapStatus,
    plan_only: bool,
    decision: Option<SwapDecision>,
}

impl Progress {
    pub(super) fn new(id: String, request: &CreateSwap, who: String, now: i64) -> Self {
        let status = SwapStatus {
            id,
            plan_only: request.plan_only,
            stage: SwapStageName::Queued,
            passed: vec![(SwapStageName::Queued, now)],
            asked_ms: now,
            who,
            operators: request.operators.iter().map(|operator| operator.id.clone()).collect(),
            plan: None,
            shadow: Vec::new(),
            savepoint: None,
            epoch: None,
            trial_since_ms: None,
            watch_ms: request.watch.for_ms,
            counted: Vec::new(),
            reason: None,
        };
        Self { inner: Mutex::new(Inner { status, plan_only: request.plan_only, decision: None }) }
    }

    pub(super) fn status(&self) -> SwapStatus {
        self.inner().status.clone()
    }

    pub(super) fn id(&self) -> String {
        self.inner().status.id.clone()
    }

    pub(super) fn stage(&self) -> SwapStageName {
        self.inner().status.stage
    }

    /// Says something about it.
    pub(super) fn note(&self, change: impl FnOnce(&mut SwapStatus)) {
        change(&mut self.inner().status);
    }

    /// Whether no other swap can be taken up.
    pub(super) fn is_in_the_way(&self) -> bool {
        let inner = self.inner();
        !inner.plan_only && !inner.status.stage.is_over()
    }

    /// It has come to this stage.
    pub(super) fn advance(&self, stage: SwapStageName, now: i64) {
        let mut inner = self.inner();
        if inner.status.stage != stage {
            inner.status.stage = stage;
            inner.status.passed.push((stage, now));
        }
    }

    pub(super) fn decide(&self, decision: SwapDecision) {
        self.inner().decision = Some(decision);
    }

    pub(super) fn decided(&self) -> Option<SwapDecision> {
        self.inner().decision
    }

    /// What was decided, once.
    pub(super) fn take_decision(&self) -> Option<SwapDecision> {
        self.inner().decision.take()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
