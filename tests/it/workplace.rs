//! A folder for one test, and the `statehouse` binary to run in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// The binary, built before the tests: `make integration` does both.
pub(crate) fn binary() -> PathBuf {
    let here = std::env::current_exe().expect("a running program has a path");
    let binary =
        here.parent().and_then(Path::parent).expect("tests lie in deps/").join("statehouse");
    assert!(binary.exists(), "{} is missing: build it by `make integration`", binary.display());
    binary
}

/// The root of the source tree.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root").to_owned()
}

/// A guest crate of the source tree, built once in a run of the tests.
fn built(once: &'static OnceLock<Vec<u8>>, guest: &str) -> &'static [u8] {
    once.get_or_init(|| build(guest, &[]))
}

fn build(guest: &str, arguments: &[&str]) -> Vec<u8> {
    let folder = TempDir::new().expect("a temporary folder");
    let output = folder.path().join("guest.wasm");
    let done = Command::new(binary())
        .args(["build".as_ref(), root().join(guest).as_os_str(), "--output".as_ref()])
        .arg(&output)
        .args(arguments)
        .output()
        .expect("the binary starts");
    assert!(done.status.success(), "{guest}: {}", String::from_utf8_lossy(&done.stderr));
    fs::read(output).expect("the component was written")
}

/// The component with the operators of `tests/guests`.
pub(crate) fn guests() -> &'static [u8] {
    static ONCE: OnceLock<Vec<u8>> = OnceLock::new();
    built(&ONCE, "tests/guests")
}

/// A component of `tests/ledgers` by its package: `ledger-v1`.
pub(crate) fn ledger(package: &str) -> &'static [u8] {
    static BUILT: Mutex<BTreeMap<String, &'static [u8]>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    // They are needed until the process ends.
    built
        .entry(package.to_owned())
        .or_insert_with(|| build("tests/ledgers", &["-p", package]).leak())
}

/// The component of `examples/flights`.
pub(crate) fn flights() -> &'static [u8] {
    static ONCE: OnceLock<Vec<u8>> = OnceLock::new();
    built(&ONCE, "examples/flights")
}

/// The component of `examples/nexmark`.
pub(crate) fn nexmark() -> &'static [u8] {
    static ONCE: OnceLock<Vec<u8>> = OnceLock::new();
    built(&ONCE, "examples/nexmark")
}

/// The component of `examples/wordcount`.
pub(crate) fn wordcount() -> &'static [u8] {
    static ONCE: OnceLock<Vec<u8>> = OnceLock::new();
    built(&ONCE, "examples/wordcount")
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    fn of(Output { status, stdout, stderr }: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the binary writes UTF-8");
        Self { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// Checks that the command failed and said all of this.
    #[track_caller]
    pub(crate) fn refused(&self, says: &[&str]) {
        assert_eq!(self.code, Some(1), "{self:#?}");
        for text in says {
            assert!(self.stderr.contains(text), "it does not say {text:?}:\n{}", self.stderr);
        }
        assert!(!self.stderr.contains("thread '"), "the host panicked: {}", self.stderr);
    }

    /// Checks that it succeeded.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Its JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// A folder with jobs, components and data, and a cache of its own for compiled components.
pub(crate) struct Workplace {
    folder: TempDir,
}

/// A job that runs beside the test. It is killed when this is dropped.
pub(crate) struct RunningJob {
    child: Option<Child>,
}

impl RunningJob {
    fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("it is there until the end")
    }

    /// Waits that long, or until the job has ended by itself. Whether it is still there.
    pub(crate) fn goes_on(&mut self, time: Duration) -> bool {
        crate::kill::wait(self.child(), time)
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&mut self, name: &str) {
        let id = self.child().id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status();
        assert!(sent.expect("there is a kill").success());
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> Done {
        let child = self.child.take().expect("it is there until the end");
        Done::of(child.wait_with_output().expect("the process can be waited for"))
    }
}

impl Drop for RunningJob {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Workplace {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().expect("a temporary folder") }
    }

    /// A place with this job file and the guests' component as `guests.wasm`.
    pub(crate) fn with_guests(job: &str) -> Self {
        let place = Self::new();
        place.write("guests.wasm", guests());
        place.write("job.toml", job.as_bytes());
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).current_dir(self.folder.path());
        command.env("NO_COLOR", "1");
        if arguments.first() != Some(&"build") {
            // What is compiled here stays here; building guests needs the toolchain in the real cache.
            command.env("STATEHOUSE_CACHE", self.path("cache"));
        }
        command.env_remove("STATEHOUSE_LOG").stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        Done::of(self.command(arguments).output().expect("the binary starts"))
    }

    /// The same, with nobody to read what it prints.
    pub(crate) fn run_unread(&self, arguments: &[&str]) -> Done {
        let (reader, writer) = std::io::pipe().expect("there are pipes");
        drop(reader);
        let mut command = self.command(arguments);
        let child = command.stdout(writer).stderr(Stdio::piped()).spawn();
        Done::of(child.and_then(Child::wait_with_output).expect("the binary starts"))
    }

    /// Starts a command and lets it run.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts")
    }

    /// Starts `run` with these arguments and waits until the job answers. `state` is its folder of local state.
    #[track_caller]
    pub(crate) fn start_job(&self, arguments: &[&str], state: &str) -> RunningJob {
        let mut command = self.command(&[&["run"], arguments].concat());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut job = RunningJob { child: Some(child.expect("the binary starts")) };
        let socket = self.path(state).join("control.sock");
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            if !job.goes_on(Duration::from_millis(5)) {
                panic!("the job ended before it answered: {:#?}", job.end());
            }
        }
        job
    }

    /// Every file below a folder, with its bytes: to see that nothing was changed. A lock tells who held it last, and
    /// is left out.
    pub(crate) fn files(&self, folder: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.path(folder)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.path() {
                    path if path.is_dir() => folders.push(path),
                    path if path.ends_with(".lock") => {}
                    path => {
                        let bytes = fs::read(&path).unwrap();
                        files.insert(path, bytes);
                    }
                }
            }
        }
        files
    }

    /// The lines of all visible parts of an output folder, sorted.
    pub(crate) fn lines(&self, folder: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for (path, bytes) in self.files(folder) {
            if !path.components().any(|part| part.as_os_str() == ".pending") {
                lines.extend(String::from_utf8(bytes).unwrap().lines().map(str::to_owned));
            }
        }
        lines.sort();
        lines
    }

    /// The same as JSON.
    pub(crate) fn rows(&self, folder: &str) -> Vec<Value> {
        let parse = |line: &String| serde_json::from_str(line).unwrap();
        self.lines(folder).iter().map(parse).collect()
    }
}
