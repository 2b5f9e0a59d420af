//! The socket: where it is, and how it is reached under a path that is too long for a socket's address.
//!
//! An address holds about a hundred bytes. The way through an open folder, `/proc/self/fd/N/NAME`, always fits.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The socket's name in the folder of local state.
const SOCKET_FILE: &str = "control.sock";

/// A folder with a socket in it, held open so that the short way to it stays.
#[derive(Debug)]
pub(super) struct SocketFolder {
    directory: PathBuf,
    open: File,
}

impl SocketFolder {
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        Ok(Self { directory: directory.to_owned(), open: File::open(directory)? })
    }

    /// Where the socket is, for people.
    pub(super) fn path(&self) -> PathBuf {
        self.directory.join(SOCKET_FILE)
    }

    /// The short way to it, good for as long as this is there.
    pub(super) fn address(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{SOCKET_FILE}", self.open.as_raw_fd()))
    }

    /// Listens, for this user alone. Whoever calls must own the folder: what a dead process left is replaced.
    pub(super) fn listen(&self) -> io::Result<UnixListener> {
        self.remove()?;
        let listener = UnixListener::bind(self.address())?;
        fs::set_permissions(self.path(), Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// Whether somebody listens.
    pub(super) fn is_live(&self) -> io::Result<bool> {
        match UnixStream::connect(self.address()) {
            Ok(_) => Ok(true),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(false),
                _ => Err(error),
            },
        }
    }

    /// Takes the socket away: nobody finds it any more, and who has is served on.
    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(self.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
