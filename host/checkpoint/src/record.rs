//! Small records in the store: a first line with kind, version and hash, then JSON.
//!
//! ```text
//! statehouse-start 1 <BLAKE3 of everything after this line, 64 hexadecimal digits>\n
//! {"generation":3,...}\n
//! ```
//!
//! As for manifests, the first line makes every flipped bit visible before anything is parsed, and a field that is not
//! known is refused.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::digest::Digest;
use crate::error::Error;

/// The version that every kind of record has so far.
const VERSION: u32 = 1;

/// The bytes of a record of this kind.
pub(crate) fn encode(kind: &str, record: &impl Serialize) -> Bytes {
    let mut body = serde_json::to_vec(record)
        .expect("numbers, texts and maps with text keys have a JSON form");
    body.push(b'\n');
    let mut file = format!("{kind} {VERSION} {}\n", Digest::of(&body)).into_bytes();
    file.extend_from_slice(&body);
    file.into()
}

/// Reads the bytes of a record of this kind, which is the object `object`.
pub(crate) fn decode<T: DeserializeOwned>(
    kind: &str,
    object: &str,
    file: &[u8],
) -> Result<T, Error> {
    let malformed = |reason: String| Error::Malformed { object: object.to_owned(), reason };
    let end = file.iter().position(|&byte| byte == b'\n');
    let end = end.ok_or_else(|| malformed("it has no first line".to_owned()))?;
    let body = &file[end + 1..];
    let line = str::from_utf8(&file[..end]);
    let words: Vec<&str> = line.unwrap_or_default().split(' ').collect();
    let [found_kind, version, digest] = words[..] else {
        return Err(malformed("its first line is not kind, version and hash".to_owned()));
    };
    if found_kind != kind {
        return Err(malformed(format!("its first line does not begin with `{kind}`")));
    }
    let version: u32 =
        version.parse().map_err(|_| malformed("its first line has no version".to_owned()))?;
    if version > VERSION {
        let object = object.to_owned();
        return Err(Error::NewerFormat { object, version, supported: VERSION });
    }
    let expected: Digest =
        digest.parse().map_err(|_| malformed("its first line has no hash".to_owned()))?;
    if line != Ok(&format!("{kind} {VERSION} {expected}")) {
        return Err(malformed("its first line is not in the form of any version".to_owned()));
    }
    let found = Digest::of(body);
    if found != expected {
        return Err(Error::Damaged { object: object.to_owned(), expected, found });
    }
    serde_json::from_slice(body).map_err(|error| malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_is_read_back_and_every_damage_is_named() {
        let file = encode("statehouse-test", &vec![1, 2]);
        let read = |file: &[u8]| decode::<Vec<u32>>("statehouse-test", "some/object", file);
        assert_eq!(read(&file).unwrap(), [1, 2]);
        for bit in 0..file.len() * 8 {
            let mut damaged = file.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let error = read(&damaged).unwrap_err();
            assert!(error.is_damage() && error.to_string().contains("some/object"), "bit {bit}");
        }
        for length in 0..file.len() {
            assert!(read(&file[..length]).unwrap_err().is_damage(), "{length} bytes");
        }
    }

    #[test]
    fn other_kinds_and_newer_versions_are_refused() {
        let file = encode("statehouse-other", &1);
        let error = decode::<u32>("statehouse-test", "x", &file).unwrap_err();
        assert!(error.to_string().contains("begin with `statehouse-test`"), "{error}");
        let newer = b"statehouse-test 2 anything\n";
        let error = decode::<u32>("statehouse-test", "x", newer).unwrap_err();
        assert!(matches!(error, Error::NewerFormat { version: 2, supported: 1, .. }));
    }
}
