//! The names of objects in the store. No other file builds or parses one.
//!
//! ```text
//! packs/<first two digits>/<64 hexadecimal digits>           the BLAKE3 hash of its bytes
//! manifests/<epoch, 20 digits>-<generation, 20 digits>.json  one for each checkpoint
//! manifests/<epoch, 20 digits>.json                          the same, by releases before format 3
//! generations/<generation, 20 digits>                        one for each owner that the job ever had
//! generations/<generation, 20 digits>-<16 digits>            the same, in a store without conditional writes
//! starts/<generation, 20 digits>.json                        what an owner continued from
//! savepoints/<name>.json                                     a checkpoint that belongs to the user
//! pins/<id>.json                                             a checkpoint that someone else still needs
//! origins/<id>.json                                          another store that holds packs of this one
//! condemned/<generation, 20 digits>-<number, 20 digits>.json what a collection is about to delete
//! components/<64 hexadecimal digits>.wasm                    a component; the BLAKE3 hash of its bytes
//! history/<generation, 20 digits>-<number, 20 digits>.json   what an owner did with the job's components
//! .probe                                                     tells whether conditions of writes are honoured
//! ```
//!
//! Numbers are padded so that the order of names is the order of numbers.

#[cfg(test)]
mod tests;

use std::fmt;

use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::{Epoch, Generation};

const PACKS: &str = "packs";
const MANIFESTS: &str = "manifests";
const GENERATIONS: &str = "generations";
const STARTS: &str = "starts";
const SAVEPOINTS: &str = "savepoints";
const PINS: &str = "pins";
const ORIGINS: &str = "origins";
const CONDEMNED: &str = "condemned";
const COMPONENTS: &str = "components";
const HISTORY: &str = "history";

/// How the name of every file of JSON ends.
const JSON: &str = ".json";

/// How the name of every component ends.
const WASM: &str = ".wasm";

/// The longest name of a savepoint.
const NAME_BYTES_MAX: usize = 150;

/// The longest id of a pin: pins are made from names of savepoints.
const PIN_BYTES_MAX: usize = 200;

/// Which checkpoint a manifest's name stands for. Ordered as the names are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "(u64, u64)", from = "(u64, u64)")]
pub(crate) struct ManifestName {
    /// The epoch.
    pub epoch: Epoch,
    /// The generation of its owner; 0 for names without one, which releases before format 3 wrote.
    pub generation: Generation,
}

impl fmt::Debug for ManifestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.generation)
    }
}

impl From<ManifestName> for (u64, u64) {
    fn from(name: ManifestName) -> Self {
        (name.epoch.0, name.generation.0)
    }
}

impl From<(u64, u64)> for ManifestName {
    fn from((epoch, generation): (u64, u64)) -> Self {
        Self { epoch: Epoch(epoch), generation: Generation(generation) }
    }
}

/// The name of the pack with this digest.
pub(crate) fn pack(digest: Digest) -> Path {
    let hex = digest.to_string();
    Path::from_iter([PACKS, &hex[..2], &hex])
}

/// Where packs are listed.
pub(crate) fn packs() -> Path {
    Path::from(PACKS)
}

/// The digest in a pack's name; `None` for anything else that may lie there.
pub(crate) fn pack_digest(name: &Path) -> Option<Digest> {
    let digest = name.filename()?.parse().ok()?;
    (*name == pack(digest)).then_some(digest)
}

/// The name of a manifest.
pub(crate) fn manifest(name: ManifestName) -> Path {
    let ManifestName { epoch, generation } = name;
    let file = match generation.0 {
        0 => format!("{:020}{JSON}", epoch.0),
        generation => format!("{:020}-{generation:020}{JSON}", epoch.0),
    };
    Path::from_iter([MANIFESTS, &file])
}

/// Where manifests are listed.
pub(crate) fn manifests() -> Path {
    Path::from(MANIFESTS)
}

/// What a manifest's name says; `None` for anything else that may lie there.
pub(crate) fn manifest_name(name: &Path) -> Option<ManifestName> {
    let stem = name.filename()?.strip_suffix(JSON)?;
    let (epoch, generation) = match stem.split_once('-') {
        Some((epoch, generation)) => (number(epoch)?, number(generation)?),
        None => (number(stem)?, 0),
    };
    let found = ManifestName { epoch: Epoch(epoch), generation: Generation(generation) };
    (*name == manifest(found)).then_some(found)
}

/// The name of a generation's claim.
pub(crate) fn generation(generation: Generation) -> Path {
    Path::from_iter([GENERATIONS, &format!("{:020}", generation.0)])
}

/// The name of a generation's claim in a store where two processes can write the same name.
pub(crate) fn contested_generation(generation: Generation, nonce: u64) -> Path {
    Path::from_iter([GENERATIONS, &format!("{:020}-{nonce:016x}", generation.0)])
}

/// Where generations are listed.
pub(crate) fn generations() -> Path {
    Path::from(GENERATIONS)
}

/// The generation of a claim's name; `None` for anything else that may lie there.
pub(crate) fn claimed_generation(name: &Path) -> Option<Generation> {
    let (claimed, nonce) = match name.filename()?.split_once('-') {
        Some((claimed, nonce)) => (claimed, Some(u64::from_str_radix(nonce, 16).ok()?)),
        None => (name.filename()?, None),
    };
    let found = Generation(number(claimed)?);
    let expected = match nonce {
        Some(nonce) => contested_generation(found, nonce),
        None => generation(found),
    };
    (*name == expected).then_some(found)
}

/// The name of an owner's start record.
pub(crate) fn start(generation: Generation) -> Path {
    Path::from_iter([STARTS, &format!("{:020}{JSON}", generation.0)])
}

/// Where start records are listed.
pub(crate) fn starts() -> Path {
    Path::from(STARTS)
}

/// The generation of a start record's name; `None` for anything else that may lie there.
pub(crate) fn started_generation(name: &Path) -> Option<Generation> {
    let found = Generation(number(name.filename()?.strip_suffix(JSON)?)?);
    (*name == start(found)).then_some(found)
}

/// The object of a savepoint.
pub(crate) fn savepoint(name: &str) -> Result<Path, Error> {
    named(SAVEPOINTS, name, NAME_BYTES_MAX)
}

/// Where savepoints are listed.
pub(crate) fn savepoints() -> Path {
    Path::from(SAVEPOINTS)
}

/// The object of a pin.
pub(crate) fn pin(id: &str) -> Result<Path, Error> {
    named(PINS, id, PIN_BYTES_MAX)
}

/// Where pins are listed.
pub(crate) fn pins() -> Path {
    Path::from(PINS)
}

/// The object that says where an origin is.
pub(crate) fn origin(id: &str) -> Result<Path, Error> {
    named(ORIGINS, id, PIN_BYTES_MAX)
}

/// Where origins are listed.
pub(crate) fn origins() -> Path {
    Path::from(ORIGINS)
}

/// The name of a list of condemned objects.
pub(crate) fn condemned(generation: Generation, sequence: u64) -> Path {
    Path::from_iter([CONDEMNED, &numbered(generation, sequence)])
}

/// Where lists of condemned objects are listed.
pub(crate) fn condemned_lists() -> Path {
    Path::from(CONDEMNED)
}

/// Generation and number of a list of condemned objects; `None` for anything else that may lie there.
pub(crate) fn condemned_by(name: &Path) -> Option<(Generation, u64)> {
    let found = numbered_by(name)?;
    (*name == condemned(found.0, found.1)).then_some(found)
}

/// The name of the component with this digest.
pub(crate) fn component(digest: Digest) -> Path {
    Path::from_iter([COMPONENTS, &format!("{digest}{WASM}")])
}

/// Where components are listed.
pub(crate) fn components() -> Path {
    Path::from(COMPONENTS)
}

/// The digest in a component's name; `None` for anything else that may lie there.
pub(crate) fn component_digest(name: &Path) -> Option<Digest> {
    let digest = name.filename()?.strip_suffix(WASM)?.parse().ok()?;
    (*name == component(digest)).then_some(digest)
}

/// The name of an entry of the history.
pub(crate) fn history(generation: Generation, sequence: u64) -> Path {
    Path::from_iter([HISTORY, &numbered(generation, sequence)])
}

/// Where the history is listed.
pub(crate) fn histories() -> Path {
    Path::from(HISTORY)
}

/// Generation and number of an entry of the history; `None` for anything else that may lie there.
pub(crate) fn history_of(name: &Path) -> Option<(Generation, u64)> {
    let found = numbered_by(name)?;
    (*name == history(found.0, found.1)).then_some(found)
}

/// What a new owner creates twice, to learn whether the store honours conditions.
pub(crate) fn probe() -> Path {
    Path::from(".probe")
}

/// The name in `<folder>/<name>.json`; `None` for anything else that may lie there.
pub(crate) fn given_name(object: &Path) -> Option<&str> {
    let name = object.filename()?.strip_suffix(JSON)?;
    (is_plain(name) && object.parts().count() == 2).then_some(name)
}

/// An object whose name comes from outside.
fn named(folder: &'static str, name: &str, bytes_max: usize) -> Result<Path, Error> {
    if !is_plain(name) || name.len() > bytes_max {
        return Err(Error::Name { name: name.to_owned() });
    }
    Ok(Path::from_iter([folder, &format!("{name}{JSON}")]))
}

/// Whether every store and file system takes the name as it is.
fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    name.bytes().all(plain)
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
}

/// The file of one of the objects that an owner numbers.
fn numbered(generation: Generation, sequence: u64) -> String {
    format!("{:020}-{sequence:020}{JSON}", generation.0)
}

fn numbered_by(name: &Path) -> Option<(Generation, u64)> {
    let (owner, sequence) = name.filename()?.strip_suffix(JSON)?.split_once('-')?;
    Some((Generation(number(owner)?), number(sequence)?))
}

fn number(digits: &str) -> Option<u64> {
    let all_digits = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits { digits.parse().ok() } else { None }
}
