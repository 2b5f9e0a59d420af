//! Real servers of object stores, on a free port of loopback, for tests. `scripts/servers` installs them.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without ends it")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How often it is tried to reach a server that has been started.
const TRIES_MAX: u32 = 600;

/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// The account and key that every Azurite has.
const AZURE_ACCOUNT: &str = "devstoreaccount1";
const AZURE_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Makes a container, with the signature that takes. There is no client for this among our libraries.
const MAKE_CONTAINER: &str = r#"
import base64, email.utils, hashlib, hmac, http.client, sys
port, account, key, name = sys.argv[1:]
headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
canonical = "".join("%s:%s\n" % header for header in sorted(headers.items()))
text = "PUT" + "\n" * 12 + canonical + "/%s/%s/%s\nrestype:container" % (account, account, name)
signed = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()
headers["Authorization"] = "SharedKey %s:%s" % (account, base64.b64encode(signed).decode())
connection = http.client.HTTPConnection("127.0.0.1", int(port))
connection.request("PUT", "/%s/%s?restype=container" % (account, name), headers=headers)
answer = connection.getresponse()
sys.exit(0 if answer.status == 201 else "%d %s" % (answer.status, answer.read()))
"#;

/// A server of an object store. It ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    process: Child,
    scheme: &'static str,
    options: BTreeMap<String, String>,
    /// Where it keeps its data.
    _directory: tempfile::TempDir,
}

impl Server {
    /// Moto: an S3 server in memory that honours conditions of writes.
    pub fn s3() -> Self {
        let port = free_port();
        let mut command = Command::new(installed("python/bin/moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        let server = Self::start(command, port, "s3", s3_options(port, "testing"));
        let request = "PUT /jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "no bucket was made: {answer}");
        server
    }

    /// From now on requests are taken and not answered.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Answers what has waited, and what comes.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.process.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// S3rver: an S3 server on files that ignores conditions of writes.
    pub fn s3_without_conditions() -> Self {
        let port = free_port();
        let mut command = Command::new(installed("node/node_modules/.bin/s3rver"));
        command.args(["-a", "127.0.0.1", "-p", &port.to_string(), "--silent"]);
        command.args(["--configure-bucket", "jobs"]);
        Self::start_in(command, "-d", port, "s3", s3_options(port, "S3RVER"))
    }

    /// Azurite: an Azure Blob Storage server.
    pub fn azure() -> Self {
        let port = free_port();
        let mut command = Command::new(installed("node/node_modules/.bin/azurite-blob"));
        command.args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()]);
        command.args(["--skipApiVersionCheck", "--silent", "--disableTelemetry"]);
        let endpoint = format!("http://127.0.0.1:{port}/{AZURE_ACCOUNT}");
        let options = [
            ("account-name", AZURE_ACCOUNT),
            ("access-key", AZURE_KEY),
            ("endpoint", &endpoint),
            ("allow-http", "true"),
        ];
        let server = Self::start_in(command, "--location", port, "az", owned(&options));
        let made = Command::new("python3")
            .args(["-c", MAKE_CONTAINER, &port.to_string(), AZURE_ACCOUNT, AZURE_KEY, "jobs"])
            .status()
            .unwrap();
        assert!(made.success(), "no container was made");
        server
    }

    /// The URL of a store in it.
    pub fn location(&self, name: &str) -> String {
        format!("{}://jobs/{name}", self.scheme)
    }

    /// The options for opening it.
    pub fn options(&self) -> &BTreeMap<String, String> {
        &self.options
    }

    fn start(
        command: Command,
        port: u16,
        scheme: &'static str,
        options: BTreeMap<String, String>,
    ) -> Self {
        Self::spawn(command, tempfile::tempdir().unwrap(), port, scheme, options)
    }

    /// Starts a server that is told by `flag` where to keep its data.
    fn start_in(
        mut command: Command,
        flag: &str,
        port: u16,
        scheme: &'static str,
        options: BTreeMap<String, String>,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        command.arg(flag).arg(directory.path());
        Self::spawn(command, directory, port, scheme, options)
    }

    fn spawn(
        mut command: Command,
        directory: tempfile::TempDir,
        port: u16,
        scheme: &'static str,
        options: BTreeMap<String, String>,
    ) -> Self {
        command.current_dir(directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap_or_else(|error| {
            panic!(
                "cannot start {}: {error}; `scripts/servers` installs it",
                command.get_program().display()
            )
        });
        let server = Self { process, scheme, options, _directory: directory };
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        for _ in 0..TRIES_MAX {
            if TcpStream::connect(address).is_ok() {
                return server;
            }
            std::thread::park_timeout(PAUSE);
        }
        panic!("{} does not answer", command.get_program().display());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // If it has ended by itself, that is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn s3_options(port: u16, key: &str) -> BTreeMap<String, String> {
    let endpoint = format!("http://127.0.0.1:{port}");
    owned(&[
        ("endpoint", &endpoint),
        ("access-key-id", key),
        ("secret-access-key", key),
        ("region", "us-east-1"),
        ("allow-http", "true"),
    ])
}

fn owned(options: &[(&str, &str)]) -> BTreeMap<String, String> {
    options.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A port that nobody listened on a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The path of a server's program in the cache.
#[expect(clippy::disallowed_methods, reason = "tests find the cache as the Makefile does")]
fn installed(program: &str) -> PathBuf {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let cache = variable("STATEHOUSE_CACHE").map(PathBuf::from).or_else(|| {
        let base = variable("XDG_CACHE_HOME").map(PathBuf::from);
        let base = base.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache")))?;
        Some(base.join("statehouse"))
    });
    cache.expect("there is a home directory").join("servers").join(program)
}

/// Whether tests that need these servers are left out, because they cannot be installed.
pub fn are_left_out() -> bool {
    std::env::var_os("STATEHOUSE_WITHOUT_SERVERS").is_some_and(|value| !value.is_empty())
}
