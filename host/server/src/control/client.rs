//! Asking a running job.

use std::io;
use std::path::Path;

use reqwest::{Method, RequestBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::messages::{
    CheckpointStatus, ComponentTaken, CreateSavepoint, CreateSwap, DecideSwap, JobEnded, JobStatus,
    Refusal, SavepointCreated, SwapDecision, SwapList, SwapStatus, path,
};
use super::socket::SocketFolder;

/// Why a running job did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ControlError {
    #[error(
        "the control socket in `{directory}` cannot be used: {source}; the user who runs the job can"
    )]
    Socket {
        directory: String,
        #[source]
        source: io::Error,
    },
    #[error(
        "the job did not answer: {reason}; it may have ended meanwhile, and what it logged says why"
    )]
    NoAnswer { reason: String },
    #[error("{error}")]
    Refused { code: String, error: String },
}

/// One who asks.
#[derive(Debug)]
pub struct Client {
    runtime: tokio::runtime::Runtime,
    requests: reqwest::Client,
    /// Keeps the way to the socket.
    _folder: SocketFolder,
}

impl Client {
    /// Reaches the job whose folder of local state this is; `None` if it is not running.
    ///
    /// # Errors
    /// If the socket is there and cannot be used.
    pub fn connect(directory: &Path) -> Result<Option<Self>, ControlError> {
        let failed = |source| {
            let directory = directory.display().to_string();
            ControlError::Socket { directory, source }
        };
        let folder = match SocketFolder::open(directory) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        if !folder.is_live().map_err(failed)? {
            return Ok(None);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let requests = reqwest::Client::builder().no_proxy().unix_socket(folder.address()).build();
        let requests = requests.map_err(|error| failed(io::Error::other(error)))?;
        Ok(Some(Self { runtime: runtime.map_err(failed)?, requests, _folder: folder }))
    }

    /// What the job is about.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn job(&self) -> Result<JobStatus, ControlError> {
        self.ask(Method::GET, path::JOB, &())
    }

    /// Has a savepoint made, and waits for it; also for the job's end, if that is asked for.
    ///
    /// # Errors
    /// If it cannot be made, or the job does not answer.
    pub fn create_savepoint(
        &self,
        request: &CreateSavepoint,
    ) -> Result<SavepointCreated, ControlError> {
        self.ask(Method::POST, path::SAVEPOINTS, request)
    }

    /// Has a checkpoint made now, and waits for it.
    ///
    /// # Errors
    /// If it cannot be made, or the job does not answer.
    pub fn create_checkpoint(&self) -> Result<CheckpointStatus, ControlError> {
        self.ask(Method::POST, path::CHECKPOINTS, &())
    }

    /// Cancels the job, and waits for its end.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn cancel(&self) -> Result<JobEnded, ControlError> {
        self.ask(Method::POST, path::CANCEL, &())
    }

    /// Hands a component in, for a swap that names it.
    ///
    /// # Errors
    /// If it is too large, or the job does not answer.
    pub fn put_component(&self, bytes: Vec<u8>) -> Result<ComponentTaken, ControlError> {
        self.send(Method::PUT, path::COMPONENTS, |request| request.body(bytes))
    }

    /// Asks for a swap, or for its plan. It goes on by itself: [`Client::swap`].
    ///
    /// # Errors
    /// If it cannot be taken up, or the job does not answer.
    pub fn create_swap(&self, request: &CreateSwap) -> Result<SwapStatus, ControlError> {
        self.ask(Method::POST, path::SWAPS, request)
    }

    /// How far a swap is.
    ///
    /// # Errors
    /// If there is none of that name, or the job does not answer.
    pub fn swap(&self, id: &str) -> Result<SwapStatus, ControlError> {
        self.ask(Method::GET, &path::SWAP.replace("{id}", id), &())
    }

    /// All swaps that the run of the job knows, oldest first.
    ///
    /// # Errors
    /// If the job does not answer.
    pub fn swaps(&self) -> Result<SwapList, ControlError> {
        self.ask(Method::GET, path::SWAPS, &())
    }

    /// Ends a trial, or gives up what has not come to it.
    ///
    /// # Errors
    /// If nothing can be decided, or the job does not answer.
    pub fn decide(&self, id: &str, decision: SwapDecision) -> Result<SwapStatus, ControlError> {
        let path = path::DECISION.replace("{id}", id);
        self.ask(Method::POST, &path, &DecideSwap { decision })
    }

    fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        request: &impl Serialize,
    ) -> Result<T, ControlError> {
        self.send(method, path, |sent| sent.json(request))
    }

    fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<T, ControlError> {
        let no_answer = |error: &dyn std::error::Error| {
            let mut reason = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                reason.push_str(&format!(": {error}"));
                cause = error.source();
            }
            ControlError::NoAnswer { reason }
        };
        let (status, body) = self
            .runtime
            .block_on(async {
                // The host is for the protocol's sake: there is one at the other end of the socket.
                let url = format!("http://statehouse{path}");
                let answer = body(self.requests.request(method, url)).send().await?;
                Ok::<_, reqwest::Error>((answer.status(), answer.bytes().await?))
            })
            .map_err(|error| no_answer(&error))?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| no_answer(&error));
        }
        let Refusal { code, error } = serde_json::from_slice(&body).map_err(|_| {
            let reason = format!("it said {status}");
            ControlError::NoAnswer { reason }
        })?;
        Err(ControlError::Refused { code, error })
    }
}
