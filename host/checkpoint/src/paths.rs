//! The names of objects in the store. No other file builds or parses one.
//!
//! ```text
//! packs/<first two digits>/<64 hexadecimal digits>   the BLAKE3 hash of its bytes
//! manifests/<epoch, 20 digits>.json                  one for each checkpoint
//! generations/<generation, 20 digits>                one for each owner that the job ever had
//! ```
//!
//! Numbers are padded so that the order of names is the order of numbers.

use object_store::path::Path;

use crate::digest::Digest;
use crate::manifest::{Epoch, Generation};

const PACKS: &str = "packs";
const MANIFESTS: &str = "manifests";
const GENERATIONS: &str = "generations";

/// The name of the pack with this digest.
pub(crate) fn pack(digest: Digest) -> Path {
    let hex = digest.to_string();
    Path::from_iter([PACKS, &hex[..2], &hex])
}

/// The name of an epoch's manifest.
pub(crate) fn manifest(epoch: Epoch) -> Path {
    Path::from_iter([MANIFESTS, &format!("{:020}.json", epoch.0)])
}

/// Where manifests are listed.
pub(crate) fn manifests() -> Path {
    Path::from(MANIFESTS)
}

/// The epoch of a manifest's name; `None` for anything else that may lie there.
pub(crate) fn manifest_epoch(name: &Path) -> Option<Epoch> {
    let epoch = Epoch(number(name.filename()?.strip_suffix(".json")?)?);
    (*name == manifest(epoch)).then_some(epoch)
}

/// The name of a generation's claim.
pub(crate) fn generation(generation: Generation) -> Path {
    Path::from_iter([GENERATIONS, &format!("{:020}", generation.0)])
}

/// Where generations are listed.
pub(crate) fn generations() -> Path {
    Path::from(GENERATIONS)
}

/// The generation of a claim's name; `None` for anything else that may lie there.
pub(crate) fn claimed_generation(name: &Path) -> Option<Generation> {
    let found = Generation(number(name.filename()?)?);
    (*name == generation(found)).then_some(found)
}

fn number(digits: &str) -> Option<u64> {
    let all_digits = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_these() {
        let digest = Digest::of(b"");
        assert_eq!(pack(digest).as_ref(), format!("packs/af/{digest}"));
        assert_eq!(manifest(Epoch(12)).as_ref(), "manifests/00000000000000000012.json");
        assert_eq!(generation(Generation(3)).as_ref(), "generations/00000000000000000003");
    }

    #[test]
    fn names_are_read_back_up_to_the_largest_number() {
        for number in [0, 1, 12, u64::MAX] {
            assert_eq!(manifest_epoch(&manifest(Epoch(number))), Some(Epoch(number)));
            let claim = generation(Generation(number));
            assert_eq!(claimed_generation(&claim), Some(Generation(number)));
        }
    }

    #[test]
    fn other_names_are_passed_over() {
        for name in [
            "manifests/12.json",
            "manifests/00000000000000000012.json.bak",
            "manifests/+0000000000000000012.json",
            "manifests/sub/00000000000000000012.json",
            "manifests/99999999999999999999.json",
        ] {
            assert_eq!(manifest_epoch(&Path::from(name)), None, "{name}");
        }
        assert_eq!(claimed_generation(&Path::from("generations/3")), None);
    }
}
