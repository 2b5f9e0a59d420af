//! The file of a manifest: a first line with version and digest, then the JSON of `format.rs`.
//!
//! ```text
//! statehouse-manifest 4 <BLAKE3 of everything after this line, 64 hexadecimal digits>\n
//! {"job":"flights","epoch":12,...}\n
//! ```
//!
//! The first line makes every flipped bit visible, before anything is decompressed or parsed.
//! JSON of more than 64 KiB is compressed, and then the first line ends with the word `zstd`.

use std::io::Read as _;

use super::Manifest;
use super::format::ManifestForm;
use crate::digest::Digest;

/// The format that this release writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 4;

/// The first format whose manifests may be compressed and name framed packs.
pub(super) const FRAMED_VERSION: u32 = 3;

/// The first format whose operators may have been swapped: they may have `declared` and `retired`.
pub(super) const SWAPS_VERSION: u32 = 4;

const MAGIC: &str = "statehouse-manifest";

/// The word that says that the JSON is compressed.
const ZSTD: &str = "zstd";

const ZSTD_LEVEL: i32 = 3;

/// JSON up to this length can be read by anyone.
pub(crate) const PLAIN_BYTES_MAX: usize = 64 << 10;

/// No manifest comes near; what decompresses to more is not one.
const JSON_BYTES_MAX: u64 = 2 << 30;

/// The longest first line: magic, the longest version, digest, word.
const LINE_BYTES_MAX: usize = MAGIC.len() + 1 + 10 + 1 + 64 + 1 + ZSTD.len();

/// Why bytes are not a manifest that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The bytes do not have the form of a manifest.
    #[error("not a manifest: {0}")]
    Malformed(String),
    /// The bytes are not those that were written.
    #[error("the BLAKE3 hash after the first line should be {expected} and is {found}")]
    Digest {
        /// What the first line says.
        expected: Digest,
        /// What the bytes have.
        found: Digest,
    },
    /// A newer release wrote them.
    #[error("manifest format {version} is newer than {FORMAT_VERSION}, the newest known")]
    Newer {
        /// The format's version.
        version: u32,
    },
    /// A rule is broken.
    #[error(transparent)]
    Protocol(#[from] super::ProtocolError),
}

impl Manifest {
    /// The bytes of its file.
    ///
    /// # Errors
    /// A rule that it breaks.
    pub fn encode(&self) -> Result<Vec<u8>, super::ProtocolError> {
        self.check()?;
        let mut body = serde_json::to_vec(&ManifestForm::from(self))
            .expect("numbers, texts and maps with text keys have a JSON form");
        body.push(b'\n');
        let compressed = body.len() > PLAIN_BYTES_MAX;
        if compressed {
            body = zstd::bulk::compress(&body, ZSTD_LEVEL).expect("memory can be compressed");
        }
        let line = FirstLine { version: FORMAT_VERSION, digest: Digest::of(&body), compressed };
        let mut file = line.text().into_bytes();
        file.push(b'\n');
        file.extend_from_slice(&body);
        Ok(file)
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// Damage, a newer format, or a rule that the manifest breaks.
    pub fn decode(file: &[u8]) -> Result<Self, FormatError> {
        let (line, body) = split(file)?;
        let found = Digest::of(body);
        if found != line.digest {
            return Err(FormatError::Digest { expected: line.digest, found });
        }
        let decompressed;
        let json = if line.compressed {
            decompressed = decompress(body)?;
            &decompressed
        } else {
            body
        };
        let form: ManifestForm = serde_json::from_slice(json)
            .map_err(|error| FormatError::Malformed(error.to_string()))?;
        let manifest = form.into_manifest(line.version)?;
        manifest.check()?;
        Ok(manifest)
    }
}

/// What the first line says.
struct FirstLine {
    version: u32,
    digest: Digest,
    compressed: bool,
}

impl FirstLine {
    fn text(&self) -> String {
        let Self { version, digest, compressed } = self;
        let word = if *compressed { " zstd" } else { "" };
        format!("{MAGIC} {version} {digest}{word}")
    }
}

fn malformed(reason: impl Into<String>) -> FormatError {
    FormatError::Malformed(reason.into())
}

fn split(file: &[u8]) -> Result<(FirstLine, &[u8]), FormatError> {
    let start = &file[..file.len().min(LINE_BYTES_MAX + 1)];
    let end = start
        .iter()
        .position(|&byte| byte == b'\n')
        .ok_or_else(|| malformed("it has no first line with version and hash"))?;
    let line = str::from_utf8(&file[..end]).map_err(|_| malformed("its first line is no text"))?;
    let mut words = line.split(' ');
    if words.next() != Some(MAGIC) {
        return Err(malformed("its first line does not begin with `statehouse-manifest`"));
    }
    let version = words.next().and_then(|word| word.parse().ok());
    let version: u32 = version.ok_or_else(|| malformed("its first line has no version"))?;
    if version > FORMAT_VERSION {
        return Err(FormatError::Newer { version });
    }
    let digest = words.next().and_then(|word| word.parse().ok());
    let digest = digest.ok_or_else(|| malformed("its first line has no hash"))?;
    let compressed = version >= FRAMED_VERSION && words.next() == Some(ZSTD);
    let found = FirstLine { version, digest, compressed };
    if version == 0 || line != found.text() {
        return Err(malformed("its first line is not in the form of any version"));
    }
    Ok((found, &file[end + 1..]))
}

fn decompress(body: &[u8]) -> Result<Vec<u8>, FormatError> {
    let error = |error: std::io::Error| malformed(format!("it cannot be decompressed: {error}"));
    let mut json = Vec::new();
    let decoder = zstd::Decoder::with_buffer(body).map_err(error)?;
    decoder.take(JSON_BYTES_MAX + 1).read_to_end(&mut json).map_err(error)?;
    if json.len() as u64 > JSON_BYTES_MAX {
        return Err(malformed(format!("it decompresses to more than {JSON_BYTES_MAX} bytes")));
    }
    Ok(json)
}
