//! The lock of a local checkpoint directory: one live process owns it.
//!
//! The kernel holds the lock (`flock`) and lets go of it when the process ends, however it ends.
//! The file stays behind and means nothing. Generations fence owners on every store; this lock is
//! beside them because on one machine a second process can be told at once who is in its way.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// The name of the lock's file. It holds the owner's process number.
const LOCK_FILE: &str = ".lock";

/// Ownership of a checkpoint directory. Dropping it, or the end of the process, ends it.
#[derive(Debug)]
pub struct DirectoryLock {
    directory: PathBuf,
    /// Open as long as the lock is held; closing it releases the lock.
    _file: File,
}

impl DirectoryLock {
    /// Makes this process the owner of `directory`, which is created if it does not exist.
    ///
    /// # Errors
    /// [`Error::Locked`] if a live process owns it: nothing has been touched.
    /// [`Error::Directory`] if it cannot be created or written.
    pub fn acquire(directory: impl AsRef<Path>) -> Result<Self, Error> {
        let directory = directory.as_ref().to_path_buf();
        match lock(&directory) {
            Ok(file) => Ok(Self { directory, _file: file }),
            Err(Refusal::Owned(pid)) => Err(Error::Locked { directory, pid }),
            Err(Refusal::Io(source)) => Err(Error::Directory { directory, source }),
        }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

enum Refusal {
    Owned(Option<u32>),
    Io(std::io::Error),
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

fn lock(directory: &Path) -> Result<File, Refusal> {
    std::fs::create_dir_all(directory)?;
    let mut options = OpenOptions::new();
    // Not truncated: the file may be another owner's.
    let mut file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(directory.join(LOCK_FILE))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // The owner may be about to write its number; without it the message is still true.
            let read = file.read_to_string(&mut pid);
            return Err(Refusal::Owned(read.ok().and_then(|_| pid.trim().parse().ok())));
        }
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn second_owner_is_told_who_the_first_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/checkpoints");
        let lock = DirectoryLock::acquire(&path).unwrap();
        let error = DirectoryLock::acquire(&path).unwrap_err();
        assert!(
            matches!(&error, Error::Locked { pid: Some(pid), .. } if *pid == std::process::id())
        );
        let text = error.to_string();
        assert!(text.contains(path.to_str().unwrap()), "{text}");
        assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
        drop(lock);
        assert_eq!(DirectoryLock::acquire(&path).unwrap().directory(), path);
    }

    #[test]
    fn places_that_cannot_be_a_directory_are_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for path in [file.path(), Path::new("/proc/checkpoints")] {
            let error = DirectoryLock::acquire(path).unwrap_err();
            assert!(matches!(error, Error::Directory { .. }), "{error}");
            assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        }
    }

    /// The name of the variable that makes this test binary the process to be killed.
    const DIRECTORY_VARIABLE: &str = "STATEHOUSE_TEST_LOCK_DIRECTORY";

    #[test]
    fn lock_of_a_killed_process_is_free() {
        if let Some(directory) = std::env::var_os(DIRECTORY_VARIABLE) {
            let _lock = DirectoryLock::acquire(directory).unwrap();
            println!("\nlocked");
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "lock::tests::lock_of_a_killed_process_is_free", "--nocapture"])
            .env(DIRECTORY_VARIABLE, directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "locked"));
        let error = DirectoryLock::acquire(directory.path()).unwrap_err();
        assert!(matches!(error, Error::Locked { pid: Some(pid), .. } if pid == child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        DirectoryLock::acquire(directory.path()).unwrap();
    }
}
