//! Tests of names: what they are, and that they are read back.

use super::*;

fn name(epoch: u64, generation: u64) -> ManifestName {
    ManifestName { epoch: Epoch(epoch), generation: Generation(generation) }
}

#[test]
fn names_are_these() {
    let digest = Digest::of(b"");
    assert_eq!(pack(digest).as_ref(), format!("packs/af/{digest}"));
    let expected = "manifests/00000000000000000012-00000000000000000003.json";
    assert_eq!(manifest(name(12, 3)).as_ref(), expected);
    assert_eq!(manifest(name(12, 0)).as_ref(), "manifests/00000000000000000012.json");
    assert_eq!(generation(Generation(3)).as_ref(), "generations/00000000000000000003");
    let contested = contested_generation(Generation(3), 255);
    assert_eq!(contested.as_ref(), "generations/00000000000000000003-00000000000000ff");
    assert_eq!(start(Generation(3)).as_ref(), "starts/00000000000000000003.json");
    assert_eq!(savepoint("before-1.2").unwrap().as_ref(), "savepoints/before-1.2.json");
    assert_eq!(pin("fork-a").unwrap().as_ref(), "pins/fork-a.json");
    assert_eq!(origin("fork-a").unwrap().as_ref(), "origins/fork-a.json");
    let list = "condemned/00000000000000000003-00000000000000000000.json";
    assert_eq!(condemned(Generation(3), 0).as_ref(), list);
}

#[test]
fn names_are_read_back_up_to_the_largest_number() {
    for number in [0, 1, 12, u64::MAX] {
        for generation in [0, 1, u64::MAX] {
            let name = name(number, generation);
            assert_eq!(manifest_name(&manifest(name)), Some(name));
        }
        let owner = Generation(number);
        assert_eq!(claimed_generation(&generation(owner)), Some(owner));
        assert_eq!(claimed_generation(&contested_generation(owner, 7)), Some(owner));
        assert_eq!(started_generation(&start(owner)), Some(owner));
        assert_eq!(condemned_by(&condemned(owner, number)), Some((owner, number)));
    }
    let digest = Digest::of(b"x");
    assert_eq!(pack_digest(&pack(digest)), Some(digest));
    assert_eq!(given_name(&savepoint("a.b").unwrap()), Some("a.b"));
}

#[test]
fn manifests_of_an_epoch_follow_each_other_by_generation() {
    let names = [name(1, 0), name(1, 2), name(1, 10), name(2, 0), name(2, 1), name(10, 1)];
    assert!(names.is_sorted());
    // The one without a generation comes last within its epoch by its bytes; nothing relies on that.
    let by_bytes = names.map(|name| manifest(ManifestName { generation: Generation(1), ..name }));
    assert!(by_bytes.is_sorted());
}

#[test]
fn other_names_are_passed_over() {
    for name in [
        "manifests/12.json",
        "manifests/00000000000000000012.json.bak",
        "manifests/+0000000000000000012.json",
        "manifests/sub/00000000000000000012.json",
        "manifests/99999999999999999999.json",
        "manifests/00000000000000000012-1.json",
        "manifests/00000000000000000012-00000000000000000000.json",
        "manifests/00000000000000000012-00000000000000000001",
    ] {
        assert_eq!(manifest_name(&Path::from(name)), None, "{name}");
    }
    for name in ["generations/3", "generations/00000000000000000003-7", "generations/tmp"] {
        assert_eq!(claimed_generation(&Path::from(name)), None, "{name}");
    }
    let digest = Digest::of(b"x");
    assert_eq!(pack_digest(&Path::from(format!("packs/00/{digest}"))), None);
    assert_eq!(given_name(&Path::from("savepoints/sub/x.json")), None);
}

#[test]
fn names_that_a_file_system_could_misread_are_refused() {
    for bad in ["", ".", "..", "a/b", "a b", "-x", ".x", "ä", "a\\b", &"x".repeat(151)] {
        let error = savepoint(bad).unwrap_err();
        assert!(error.to_string().contains(bad), "{error}");
    }
}
