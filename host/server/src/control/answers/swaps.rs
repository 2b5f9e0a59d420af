//! What the endpoint answers about components and swaps.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::extract::{ConnectInfo, Path, State};

use super::super::messages::{ComponentTaken, CreateSwap, DecideSwap, SwapList, SwapStatus};
use super::super::peer::Peer;
use super::{Endpoint, Refused, blocking};
use crate::swap::NotAsked;

/// The longest component that is taken in. Whether an operator may have so much, its limits say.
pub(super) const COMPONENT_BYTES_MAX: usize = 64 << 20;

pub(super) async fn take_component(
    State(Endpoint { job, .. }): State<Endpoint>,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<Json<ComponentTaken>, Refused> {
    let bytes = bytes.map_err(|error| {
        let most = COMPONENT_BYTES_MAX;
        Refused::BadRequest(format!("{}: a component has at most {most} bytes", error.body_text()))
    })?;
    let size_bytes = bytes.len() as u64;
    let digest = job.conductor.take_component(bytes).to_string();
    Ok(Json(ComponentTaken { digest, size_bytes }))
}

pub(super) async fn create(
    State(Endpoint { job, .. }): State<Endpoint>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Result<Json<CreateSwap>, JsonRejection>,
) -> Result<Json<SwapStatus>, Refused> {
    let Json(request) = request.map_err(|error| Refused::BadRequest(error.body_text()))?;
    let asked = blocking(move || job.conductor.ask(request, peer.name())).await?;
    asked.map(Json).map_err(|refused| match refused {
        NotAsked::Bad(reason) => Refused::BadRequest(reason),
        NotAsked::Conflict(reason) => Refused::Conflict(reason),
    })
}

pub(super) async fn list(State(Endpoint { job, .. }): State<Endpoint>) -> Json<SwapList> {
    Json(SwapList { swaps: job.conductor.list() })
}

pub(super) async fn look(
    State(Endpoint { job, .. }): State<Endpoint>,
    Path(id): Path<String>,
) -> Result<Json<SwapStatus>, Refused> {
    job.conductor.find(&id).map(Json).ok_or_else(|| unknown(&id))
}

pub(super) async fn decide(
    State(Endpoint { job, .. }): State<Endpoint>,
    Path(id): Path<String>,
    request: Result<Json<DecideSwap>, JsonRejection>,
) -> Result<Json<SwapStatus>, Refused> {
    let Json(DecideSwap { decision }) =
        request.map_err(|error| Refused::BadRequest(error.body_text()))?;
    match job.conductor.decide(&id, decision) {
        None => Err(unknown(&id)),
        Some(decided) => decided.map(Json).map_err(Refused::Conflict),
    }
}

fn unknown(id: &str) -> Refused {
    Refused::Conflict(format!(
        "this run of the job knows no swap {id}; `GET /v1/swaps` lists those that it does"
    ))
}
