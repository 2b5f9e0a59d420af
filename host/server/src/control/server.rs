//! Serving the endpoint, on a thread of its own beside the job.

use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::answers::{self, RunningJob};
use super::messages::JobEnded;
use super::peer::Peer;
use super::socket::SocketFolder;

/// How long answers may take after the job has ended.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// The endpoint of a job that runs in this process.
#[derive(Debug)]
pub struct Control {
    folder: SocketFolder,
    ended: watch::Sender<Option<JobEnded>>,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    /// Starts to serve. This process must own the folder.
    ///
    /// # Errors
    /// If the socket cannot be made.
    pub fn start(directory: &Path, job: RunningJob) -> io::Result<Self> {
        let folder = SocketFolder::open(directory)?;
        let listener = folder.listen()?;
        let (ended, ending) = watch::channel(None);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("control".to_owned());
        let thread = thread.spawn(move || serve(runtime, listener, job, ending))?;
        Ok(Self { folder, ended, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn path(&self) -> PathBuf {
        self.folder.path()
    }

    /// Takes the socket away. Comes before the folder has another owner, who makes one of its own.
    pub fn close(&self) {
        // What stays behind is replaced by the next owner.
        let _ = self.folder.remove();
    }

    /// Answers those who wait for the job's end, and ends.
    pub fn finish(mut self, how: JobEnded) {
        self.close();
        self.ended.send_replace(Some(how));
        if let Some(thread) = self.thread.take() {
            // It only answers; if that went wrong the job did not.
            let _ = thread.join();
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.close();
    }
}

fn serve(
    runtime: Runtime,
    listener: UnixListener,
    job: RunningJob,
    ending: watch::Receiver<Option<JobEnded>>,
) {
    let served = runtime.block_on(async {
        let listener = tokio::net::UnixListener::from_std(listener)?;
        let (over, patience) = (ended(ending.clone()), ended(ending.clone()));
        let router = answers::router(Arc::new(job), ending);
        let service = router.into_make_service_with_connect_info::<Peer>();
        let serving = axum::serve(listener, service).with_graceful_shutdown(over);
        tokio::select! {
            served = serving => served,
            () = async { patience.await; tokio::time::sleep(LAST_ANSWERS).await } => Ok(()),
        }
    });
    if let Err(error) = served {
        tracing::warn!("the control endpoint does not answer any more: {error}");
    }
    // Who still waits for a savepoint waits on a thread that nobody needs.
    runtime.shutdown_background();
}

/// Waits for the job's end, or for the loss of whoever would tell.
async fn ended(mut ending: watch::Receiver<Option<JobEnded>>) {
    let _ = ending.wait_for(Option::is_some).await;
}
