//! What the endpoint answers.

mod swaps;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use statehouse_checkpoint::CheckpointStore;
use statehouse_engine::{
    CheckpointRecord, JobHandle, SavepointRecord, SavepointRequest, Stop, TaskEntry, TaskKind,
    TaskMetrics,
};
use tokio::sync::{Semaphore, watch};

use super::messages::{
    CheckpointStatus, CreateSavepoint, JobEnded, JobState, JobStatus, Refusal, SavepointCreated,
    TaskStatus, Then, path,
};
use super::requests::{NotAsked, SavepointRequests};
use crate::live_job::LiveJob;
use crate::swap::Conductor;

/// How many requests may be under way.
const REQUESTS_MAX: usize = 64;

/// How many checkpoints a look at the job shows.
const CHECKPOINTS_SHOWN: usize = 20;

/// The longest that a request waits for a checkpoint. The job's own timeout and patience with failures come first.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// The job that the endpoint is about.
#[derive(Debug)]
pub struct RunningJob {
    /// The job itself.
    pub live: LiveJob,
    /// Its name.
    pub name: String,
    /// When it started, in milliseconds since 1970.
    pub started_ms: i64,
    /// Where its checkpoints are, if anywhere.
    pub place: Option<String>,
    /// What is there.
    pub store: Option<CheckpointStore>,
    /// The checkpoint that it resumed from.
    pub resumed_from: Option<u64>,
    /// The savepoints that were asked for.
    pub savepoints: SavepointRequests,
    /// Takes swaps through their stages.
    pub conductor: Conductor,
}

#[derive(Debug, Clone)]
struct Endpoint {
    job: Arc<RunningJob>,
    ended: watch::Receiver<Option<JobEnded>>,
    permits: Arc<Semaphore>,
}

pub(super) fn router(job: Arc<RunningJob>, ended: watch::Receiver<Option<JobEnded>>) -> Router {
    let endpoint = Endpoint { job, ended, permits: Arc::new(Semaphore::new(REQUESTS_MAX)) };
    Router::new()
        .route(path::JOB, get(look))
        .route(path::SAVEPOINTS, post(savepoint))
        .route(path::CHECKPOINTS, post(checkpoint))
        .route(path::CANCEL, post(cancel))
        .route(
            path::COMPONENTS,
            put(swaps::take_component).layer(DefaultBodyLimit::max(swaps::COMPONENT_BYTES_MAX)),
        )
        .route(path::SWAPS, get(swaps::list).post(swaps::create))
        .route(path::SWAP, get(swaps::look))
        .route(path::DECISION, post(swaps::decide))
        .fallback(async || Refused::NotFound)
        .layer(axum::middleware::from_fn_with_state(endpoint.clone(), within_limit))
        .with_state(endpoint)
}

/// Why a request is not done.
enum Refused {
    NotFound,
    Busy,
    BadRequest(String),
    Conflict(String),
    Failed(String),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, code, error) = match self {
            Self::NotFound => {
                let error = format!(
                    "there is no such path; there are: GET {}, POST {}, POST {}, POST {}, PUT {}, GET and POST {}, \
                     GET {}, POST {}",
                    path::JOB,
                    path::SAVEPOINTS,
                    path::CHECKPOINTS,
                    path::CANCEL,
                    path::COMPONENTS,
                    path::SWAPS,
                    path::SWAP,
                    path::DECISION
                );
                (StatusCode::NOT_FOUND, "not-found", error)
            }
            Self::Busy => {
                let error = format!("{REQUESTS_MAX} requests are under way: try again");
                (StatusCode::SERVICE_UNAVAILABLE, "busy", error)
            }
            Self::BadRequest(error) => (StatusCode::BAD_REQUEST, "bad-request", error),
            Self::Conflict(error) => (StatusCode::CONFLICT, "conflict", error),
            Self::Failed(error) => (StatusCode::INTERNAL_SERVER_ERROR, "failed", error),
        };
        (status, Json(Refusal { code: code.to_owned(), error })).into_response()
    }
}

async fn within_limit(State(endpoint): State<Endpoint>, request: Request, next: Next) -> Response {
    match endpoint.permits.try_acquire() {
        Ok(_permit) => next.run(request).await,
        Err(_) => Refused::Busy.into_response(),
    }
}

async fn look(State(Endpoint { job, .. }): State<Endpoint>) -> Json<JobStatus> {
    let handle = job.live.handle();
    let checkpoints = handle.as_ref().map(JobHandle::checkpoints).unwrap_or_default();
    let shown = checkpoints.len().saturating_sub(CHECKPOINTS_SHOWN);
    Json(JobStatus {
        name: job.name.clone(),
        state: match (job.live.is_ending(), &handle) {
            (true, _) => JobState::Ending,
            (false, Some(_)) => JobState::Running,
            (false, None) => JobState::Starting,
        },
        pid: std::process::id(),
        started_ms: job.started_ms,
        place: job.place.clone(),
        resumed_from: job.resumed_from,
        tasks: handle.iter().flat_map(JobHandle::tasks).map(task).collect(),
        checkpoint_count: job.live.checkpoint_count(),
        checkpoints: checkpoints.into_iter().skip(shown).map(CheckpointStatus::from).collect(),
    })
}

fn task(entry: &TaskEntry) -> TaskStatus {
    let metrics = &entry.metrics;
    let watermark = metrics.watermark.load(Ordering::Relaxed);
    TaskStatus {
        node: entry.node.clone(),
        task: entry.task,
        kind: match entry.kind {
            TaskKind::Source => "source",
            TaskKind::Operator => "operator",
            TaskKind::Sink => "sink",
        }
        .to_owned(),
        records_in: TaskMetrics::read(&metrics.records_in),
        batches_in: TaskMetrics::read(&metrics.batches_in),
        records_out: TaskMetrics::read(&metrics.records_out),
        rejected: TaskMetrics::read(&metrics.rejected),
        progress_done: TaskMetrics::read(&metrics.progress_done),
        progress_total: TaskMetrics::read(&metrics.progress_total),
        watermark_ms: Some(watermark).filter(|mark| ![0, i64::MIN, i64::MAX].contains(mark)),
    }
}

impl From<CheckpointRecord> for CheckpointStatus {
    fn from(record: CheckpointRecord) -> Self {
        let CheckpointRecord { epoch, triggered_ms, duration_ms, written_bytes, state_bytes } =
            record;
        Self { epoch, triggered_ms, duration_ms, written_bytes, state_bytes }
    }
}

async fn savepoint(
    State(endpoint): State<Endpoint>,
    request: Result<Json<CreateSavepoint>, JsonRejection>,
) -> Result<Json<SavepointCreated>, Refused> {
    let Json(CreateSavepoint { name, then }) =
        request.map_err(|error| Refused::BadRequest(error.body_text()))?;
    check_name(&name).map_err(Refused::BadRequest)?;
    let job = &endpoint.job;
    let store = durable(job)?;
    let then = then.map(|then| match then {
        Then::Stop => Stop::Checkpoint,
        Then::Drain => Stop::Drain,
    });
    let handle = running(job).await?;
    let asked = job.savepoints.ask(&handle, store, &name, then).await;
    let ticket = asked.map_err(|refused| match refused {
        NotAsked::Taken(reason) => Refused::Conflict(reason),
        NotAsked::Unknown(reason) => Refused::Failed(reason),
    })?;
    if let Some(then) = then {
        job.live.expect_end(then);
    }
    let record = match blocking(move || ticket.wait(PATIENCE)).await? {
        Ok(record) => record,
        Err(reason) => return Err(Refused::Conflict(not_made(&name, &reason, then))),
    };
    let ended = match then {
        Some(_) => Some(end(endpoint.ended).await?),
        None => None,
    };
    let (epoch, duration_ms) = (record.epoch, record.duration_ms);
    Ok(Json(SavepointCreated { name, epoch, duration_ms, ended }))
}

fn not_made(name: &str, reason: &str, then: Option<Stop>) -> String {
    let next = match then {
        // The barrier that it was to be made of was the last.
        Some(_) => {
            "; the job ends all the same, and its checkpoints stay: when it has ended, `statehouse savepoint create` \
             makes a savepoint of the newest"
        }
        None => "",
    };
    format!("savepoint `{name}` was not made: {reason}{next}")
}

async fn checkpoint(
    State(Endpoint { job, .. }): State<Endpoint>,
) -> Result<Json<CheckpointStatus>, Refused> {
    durable(&job)?;
    let ticket = running(&job).await?.savepoint(SavepointRequest { name: None, then: None });
    match blocking(move || ticket.wait(PATIENCE)).await? {
        Ok(record) => {
            let SavepointRecord { epoch, triggered_ms, duration_ms, .. } = record;
            let SavepointRecord { written_bytes, state_bytes, .. } = record;
            Ok(Json(CheckpointStatus {
                epoch,
                triggered_ms,
                duration_ms,
                written_bytes,
                state_bytes,
            }))
        }
        Err(reason) => Err(Refused::Conflict(format!("no checkpoint was made: {reason}"))),
    }
}

async fn cancel(
    State(Endpoint { job, ended, .. }): State<Endpoint>,
) -> Result<Json<JobEnded>, Refused> {
    job.live.stop(Stop::Cancel);
    end(ended).await.map(Json)
}

/// The job, as soon as it runs.
async fn running(job: &RunningJob) -> Result<JobHandle, Refused> {
    let ended = || Refused::Conflict("the job ended before it ran".to_owned());
    job.live.wait().await.ok_or_else(ended)
}

/// A job without checkpoints has nothing that could be pinned.
fn durable(job: &RunningJob) -> Result<&CheckpointStore, Refused> {
    let reason = "the job file has no `[checkpoint]` table: give it one, and start the job again";
    job.store.as_ref().ok_or_else(|| Refused::Conflict(reason.to_owned()))
}

/// Runs what waits without a runtime.
async fn blocking<T: Send + 'static>(
    wait: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refused> {
    let waited = tokio::task::spawn_blocking(wait).await;
    waited.map_err(|_| Refused::Failed("the job ended before it answered".to_owned()))
}

async fn end(mut ended: watch::Receiver<Option<JobEnded>>) -> Result<JobEnded, Refused> {
    let how = ended.wait_for(Option::is_some).await.ok().and_then(|how| how.clone());
    how.ok_or_else(|| Refused::Failed("the process ended before the job did".to_owned()))
}

/// The longest name of a savepoint.
const NAME_MAX: usize = 100;

/// Checks a savepoint's name: it becomes the name of an object.
///
/// # Errors
/// What is wrong with it, and what it may be.
pub fn check_name(name: &str) -> Result<(), String> {
    let usable = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts && name.len() <= NAME_MAX && name.chars().all(usable) && !is_number(name) {
        return Ok(());
    }
    Err(format!(
        "`{name}` cannot be the name of a savepoint: it is at most {NAME_MAX} letters, digits, `-`, `_` and `.`, \
         begins with a letter or a digit, and is not a number, which would be a checkpoint's"
    ))
}

fn is_number(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_digit())
}
