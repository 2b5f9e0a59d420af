//! Tests of the cache of compiled code: what is not loaded, and what happens then.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::component::CodeOrigin;
use crate::fixture::{Guest, keyed};
use crate::{Limits, WasmEngine, WasmSettings};

/// A cache in a folder of its own, with the code of one component in it.
struct Kept {
    folder: tempfile::TempDir,
    engine: WasmEngine,
    component: Vec<u8>,
}

impl Kept {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = Some(folder.path().join("code"));
        let engine = WasmEngine::new(WasmSettings { instances: 2, cache }).unwrap();
        let kept = Self { folder, engine, component: Guest::new(keyed("sum")).build() };
        assert_eq!(kept.load(), CodeOrigin::Compiled);
        assert_eq!(kept.load(), CodeOrigin::Cache);
        kept
    }

    fn load(&self) -> CodeOrigin {
        let limits = Limits::default();
        crate::Component::load(&self.engine, &self.component, &limits).unwrap().origin()
    }

    fn folder(&self) -> PathBuf {
        self.folder.path().join("code")
    }

    fn file(&self) -> PathBuf {
        self.engine.cache().unwrap().path(blake3::hash(&self.component))
    }

    /// Why the code is not loaded.
    fn refusal(&self) -> Unusable {
        let digest = blake3::hash(&self.component);
        self.engine.cache().unwrap().get(self.engine.wasmtime(), digest).err().unwrap()
    }

    /// The code is made anew, put in place of what was there, and loaded the next time.
    fn check_replaced(&self) {
        assert_eq!(self.load(), CodeOrigin::Compiled);
        assert_eq!(self.load(), CodeOrigin::Cache);
    }

    fn edit(&self, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = std::fs::read(self.file()).unwrap();
        edit(&mut bytes);
        std::fs::write(self.file(), bytes).unwrap();
    }
}

#[test]
fn folder_and_files_are_for_their_owner_only() {
    let kept = Kept::new();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&kept.folder()), 0o700);
    assert_eq!(mode(&kept.file()), 0o600);
    assert_eq!(std::fs::read_dir(kept.folder()).unwrap().count(), 1, "nothing partial stays");
}

#[test]
fn damaged_code_is_not_loaded_and_replaced() {
    let kept = Kept::new();
    let edits: [fn(&mut Vec<u8>); 5] = [
        |bytes| *bytes.last_mut().unwrap() ^= 1,
        |bytes| bytes[HEADER_BYTES + 100] ^= 0x80,
        |bytes| bytes.truncate(bytes.len() - 1),
        |bytes| bytes.truncate(HEADER_BYTES - 1),
        |bytes| bytes[0] = b'X',
    ];
    for edit in edits {
        kept.edit(edit);
        assert!(matches!(kept.refusal(), Unusable::Damaged { .. }));
        kept.check_replaced();
    }
}

#[test]
fn code_of_another_engine_version_is_not_loaded_and_replaced() {
    let kept = Kept::new();
    for at in [8, 12, 43] {
        kept.edit(|bytes| bytes[at] ^= 1);
        assert!(matches!(kept.refusal(), Unusable::OtherEngine { .. }));
        kept.check_replaced();
    }
}

#[test]
fn what_is_whole_but_no_code_of_this_engine_is_not_loaded_and_replaced() {
    let kept = Kept::new();
    kept.edit(|bytes| {
        bytes.truncate(HEADER_BYTES);
        bytes.extend_from_slice(b"not code");
        let hash = blake3::hash(&bytes[HEADER_BYTES..]);
        bytes[44..HEADER_BYTES].copy_from_slice(hash.as_bytes());
    });
    assert!(matches!(kept.refusal(), Unusable::Refused { .. }));
    kept.check_replaced();
}

#[test]
fn a_file_that_others_can_write_is_not_loaded_and_replaced() {
    let kept = Kept::new();
    for mode in [0o620, 0o602, 0o666] {
        std::fs::set_permissions(kept.file(), Permissions::from_mode(mode)).unwrap();
        let refusal = kept.refusal();
        assert!(refusal.to_string().contains("can be written by others"), "{refusal}");
        kept.check_replaced();
    }
}

#[test]
fn a_folder_that_others_can_write_is_neither_read_nor_written() {
    let kept = Kept::new();
    let before = std::fs::read(kept.file()).unwrap();
    for mode in [0o720, 0o702, 0o777] {
        std::fs::set_permissions(kept.folder(), Permissions::from_mode(mode)).unwrap();
        assert!(matches!(kept.refusal(), Unusable::Writable { .. }));
        assert_eq!(kept.load(), CodeOrigin::Compiled);
        assert_eq!(kept.load(), CodeOrigin::Compiled);
        assert_eq!(std::fs::read(kept.file()).unwrap(), before);
    }
}

#[test]
fn a_cache_that_cannot_be_written_costs_a_compilation_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join("code");
    std::fs::write(&in_the_way, "a file").unwrap();
    let settings = WasmSettings { instances: 2, cache: Some(in_the_way.clone()) };
    let engine = WasmEngine::new(settings).unwrap();
    let bytes = Guest::new(keyed("sum")).build();
    let component = crate::Component::load(&engine, &bytes, &Limits::default()).unwrap();
    assert_eq!(component.origin(), CodeOrigin::Compiled);
    assert_eq!(std::fs::read(in_the_way).unwrap(), b"a file");
}
