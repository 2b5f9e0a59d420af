//! Compiled code, kept between runs.
//!
//! Compiled code is native code that will be run without further checks, so a file of the cache is loaded only if
//! nobody else can have written it: folder and file belong to the user who runs the host, and neither group nor
//! others may write to them. The hash in the file does not protect against others (they could write it too); it
//! protects against damage.
//!
//! *Layout of a file*, named after the component's BLAKE3 hash and the engine's compatibility hash:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `SHCODE` and two zero bytes |
//! | 4 | version of this layout, little-endian |
//! | 32 | the engine's compatibility hash: wasmtime version, machine and compile settings |
//! | 32 | BLAKE3 of what follows |
//! | rest | the code, as wasmtime serialises it |
//!
//! *Crash safety.* A file appears under its name when it is complete. A file that cannot be used is replaced.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::Engine;
use wasmtime::component::Component;

const MAGIC: [u8; 8] = *b"SHCODE\0\0";
const LAYOUT: u32 = 1;
const HEADER_BYTES: usize = 8 + 4 + 32 + 32;

/// A folder of compiled code for one configuration of the engine.
#[derive(Debug)]
pub(crate) struct CodeCache {
    folder: PathBuf,
    compatibility: [u8; 32],
}

/// Why compiled code is not loaded, or not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("`{}` cannot be read or written: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("`{}` belongs to user {owner}, not to the user who runs this", path.display())]
    Owner { path: PathBuf, owner: u32 },
    #[error(
        "`{}` can be written by others (mode {mode:03o}): `chmod go-w` it if they did not change it", path.display()
    )]
    Writable { path: PathBuf, mode: u32 },
    #[error("`{}` is damaged: {what}", path.display())]
    Damaged { path: PathBuf, what: &'static str },
    #[error("`{}` was compiled by another engine version or for another machine", path.display())]
    OtherEngine { path: PathBuf },
    #[error("`{}` is refused by the engine: {reason}", path.display())]
    Refused { path: PathBuf, reason: String },
}

impl CodeCache {
    /// A cache in that folder, which need not be there yet.
    pub(crate) fn new(folder: PathBuf, engine: &Engine) -> Self {
        let mut hasher = Blake3Hasher(blake3::Hasher::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self { folder, compatibility: *hasher.0.finalize().as_bytes() }
    }

    /// Where the code of a component is kept.
    pub(crate) fn path(&self, component: blake3::Hash) -> PathBuf {
        let engine = blake3::Hash::from_bytes(self.compatibility).to_hex();
        self.folder.join(format!("{}-{}.code", component.to_hex(), &engine[..16]))
    }

    /// The compiled code of a component, if it is there.
    pub(crate) fn get(
        &self,
        engine: &Engine,
        component: blake3::Hash,
    ) -> Result<Option<Component>, Unusable> {
        let path = self.path(component);
        let Some(bytes) = self.read(&path)? else { return Ok(None) };
        let code = self.check(&path, &bytes)?;
        self.deserialize(engine, &path, code).map(Some)
    }

    #[expect(unsafe_code, reason = "wasmtime cannot know who wrote the code; this module does")]
    fn deserialize(
        &self,
        engine: &Engine,
        path: &Path,
        code: &[u8],
    ) -> Result<Component, Unusable> {
        // SAFETY: the bytes must be what `Component::serialize` made, unchanged. They were read from a file that
        // only this user could write, in a folder that only this user could write (checked on the open handle, by
        // `read`); this program writes nothing else into such files, and their hash holds (checked by `check`).
        let component = unsafe { Component::deserialize(engine, code) };
        component.map_err(|error| Unusable::Refused {
            path: path.to_owned(),
            reason: format!("{error:#}"),
        })
    }

    /// Reads a file that nobody else can have written.
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, Unusable> {
        let folder = match std::fs::metadata(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|source| unreadable(&self.folder, source))?,
        };
        check_ours(&self.folder, &folder)?;
        let mut file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|source| unreadable(path, source))?,
        };
        let metadata = file.metadata().map_err(|source| unreadable(path, source))?;
        check_ours(path, &metadata)?;
        let mut bytes = Vec::with_capacity(metadata.len() as usize);
        file.read_to_end(&mut bytes).map_err(|source| unreadable(path, source))?;
        Ok(Some(bytes))
    }

    /// The code in a file's bytes, if the file is whole and meant for this engine.
    fn check<'a>(&self, path: &Path, bytes: &'a [u8]) -> Result<&'a [u8], Unusable> {
        let damaged = |what| Unusable::Damaged { path: path.to_owned(), what };
        let Some((header, code)) = bytes.split_at_checked(HEADER_BYTES) else {
            return Err(damaged("it is too short"));
        };
        if header[..8] != MAGIC {
            return Err(damaged("it does not begin like compiled code"));
        }
        if header[8..12] != LAYOUT.to_le_bytes() || header[12..44] != self.compatibility {
            return Err(Unusable::OtherEngine { path: path.to_owned() });
        }
        if header[44..] != *blake3::hash(code).as_bytes() {
            return Err(damaged("its hash does not match"));
        }
        Ok(code)
    }

    /// Keeps the compiled code of a component.
    pub(crate) fn put(&self, component: blake3::Hash, code: &[u8]) -> Result<(), Unusable> {
        let folder = &self.folder;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|source| unreadable(folder, source))?;
        let metadata = std::fs::metadata(folder).map_err(|source| unreadable(folder, source))?;
        check_ours(folder, &metadata)?;
        let path = self.path(component);
        let partial = path.with_extension(partial_extension());
        self.write(&partial, code).and_then(|()| std::fs::rename(&partial, &path)).map_err(
            |source| {
                // Nobody reads a partial file; that it stays behind does no harm.
                let _ = std::fs::remove_file(&partial);
                unreadable(&path, source)
            },
        )
    }

    fn write(&self, path: &Path, code: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(&MAGIC)?;
        file.write_all(&LAYOUT.to_le_bytes())?;
        file.write_all(&self.compatibility)?;
        file.write_all(blake3::hash(code).as_bytes())?;
        file.write_all(code)
    }
}

/// A name of its own for each file that this process writes.
fn partial_extension() -> String {
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let count = WRITTEN.fetch_add(1, Ordering::Relaxed);
    format!("{}-{count}.partial", std::process::id())
}

fn unreadable(path: &Path, source: io::Error) -> Unusable {
    Unusable::Io { path: path.to_owned(), source }
}

fn check_ours(path: &Path, metadata: &Metadata) -> Result<(), Unusable> {
    let path = || path.to_owned();
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(Unusable::Owner { path: path(), owner: metadata.uid() });
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(Unusable::Writable { path: path(), mode: metadata.mode() & 0o777 });
    }
    Ok(())
}

/// Lets what wasmtime hashes be hashed by a hash that stays the same from run to run.
struct Blake3Hasher(blake3::Hasher);

impl Hasher for Blake3Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let hash = self.0.finalize();
        u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("a hash has 32 bytes"))
    }
}

#[cfg(test)]
mod tests;
