//! The JSON of a pack in the table, and of a segment.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{self, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::Digest;
use crate::manifest::{PackFormat, PackRef};

/// The number of the format of framed packs.
const FRAMED: u32 = 1;

/// A pack: `[digest, length]` if it is raw, `[digest, length, 1]` if it is framed.
pub(super) struct PackForm(pub(super) PackRef);

impl Serialize for PackForm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let PackRef { digest, length, format } = self.0;
        match format {
            PackFormat::Raw => (digest, length).serialize(serializer),
            PackFormat::Framed => (digest, length, FRAMED).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for PackForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(PackVisitor)
    }
}

struct PackVisitor;

impl<'de> Visitor<'de> for PackVisitor {
    type Value = PackForm;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a pack: [digest, length] or [digest, length, 1]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<PackForm, A::Error> {
        let short = |place| de::Error::invalid_length(place, &self);
        let digest: Digest = array.next_element()?.ok_or_else(|| short(0))?;
        let length = array.next_element()?.ok_or_else(|| short(1))?;
        let format = match array.next_element()? {
            None => PackFormat::Raw,
            Some(FRAMED) => PackFormat::Framed,
            Some(format) => {
                return Err(de::Error::custom(format_args!("the unknown pack format {format}")));
            }
        };
        Ok(PackForm(PackRef { digest, length, format }))
    }
}

pub(super) struct SegmentForm {
    pub(super) full: bool,
    pub(super) entries: u64,
    pub(super) place: PlaceForm,
}

pub(super) enum PlaceForm {
    Inline(Bytes),
    /// For each range the pack, offset and length, and the raw length if the pack is framed.
    Packed(Vec<u64>),
}

impl Serialize for SegmentForm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut array = serializer.serialize_seq(None)?;
        array.serialize_element(&self.full)?;
        array.serialize_element(&self.entries)?;
        match &self.place {
            PlaceForm::Inline(bytes) => array.serialize_element(&STANDARD.encode(bytes))?,
            PlaceForm::Packed(numbers) => {
                for number in numbers {
                    array.serialize_element(number)?;
                }
            }
        }
        array.end()
    }
}

impl<'de> Deserialize<'de> for SegmentForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(SegmentVisitor)
    }
}

struct SegmentVisitor;

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u64),
    Text(String),
}

impl<'de> Visitor<'de> for SegmentVisitor {
    type Value = SegmentForm;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a segment: [full, entries, base64] or [full, entries, pack, offset, ...]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<SegmentForm, A::Error> {
        let short = |place| de::Error::invalid_length(place, &self);
        let full = array.next_element()?.ok_or_else(|| short(0))?;
        let entries = array.next_element()?.ok_or_else(|| short(1))?;
        let first = array.next_element()?.ok_or_else(|| short(2))?;
        let place = match first {
            NumberOrText::Text(text) => {
                let bytes = STANDARD.decode(text).map_err(de::Error::custom)?;
                PlaceForm::Inline(bytes.into())
            }
            NumberOrText::Number(first) => {
                let mut numbers = vec![first];
                while let Some(number) = array.next_element()? {
                    numbers.push(number);
                }
                PlaceForm::Packed(numbers)
            }
        };
        Ok(SegmentForm { full, entries, place })
    }
}
