//! How Rust types become rows of a column: numbers as words, text and bytes as they are, the rest
//! by serde.
//!
//! Which way a type goes is decided by its [`TypeId`], which the optimiser knows: no choice is left
//! at run time.

mod older;
pub(crate) mod structure;
pub(crate) mod word;

use std::any::{Any, TypeId};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::{Codec, KeyDescription, KeyType, ValueDescription, ValueType};
use crate::error::{Error, Result};

/// How a type is laid out in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Unsigned 64-bit numbers.
    U64,
    /// Signed 64-bit numbers.
    S64,
    /// 64-bit floating-point numbers.
    F64,
    /// Bytes, read by that codec.
    Bytes(Codec),
}

impl Layout {
    /// Whether rows are 64-bit words.
    #[inline(always)]
    pub fn is_word(self) -> bool {
        !matches!(self, Self::Bytes(_))
    }

    fn codec(self) -> Codec {
        match self {
            Self::Bytes(codec) => codec,
            _ => Codec::Raw,
        }
    }

    pub(crate) fn of_value(self) -> ValueDescription {
        let layout = match self {
            Self::U64 => ValueType::U64,
            Self::S64 => ValueType::S64,
            Self::F64 => ValueType::F64,
            Self::Bytes(_) => ValueType::Bytes,
        };
        ValueDescription { layout, codec: self.codec(), schema: None }
    }

    /// The names that structures have for layout and codec.
    pub(crate) fn elements(self) -> structure::Elements {
        let layout = match self {
            Self::U64 => "u64",
            Self::S64 => "s64",
            Self::F64 => "f64",
            Self::Bytes(_) => "bytes",
        };
        let codec = match self.codec() {
            Codec::Raw => "raw",
            Codec::Text => "text",
            Codec::Json => "json",
            Codec::Msgpack => "msgpack",
        };
        structure::Elements { layout, codec }
    }

    /// The description of values of a type, with its structure.
    pub(crate) fn described_value<V: Decode>() -> ValueDescription {
        ValueDescription { schema: V::structure(None), ..V::layout().of_value() }
    }

    /// The description of a key with its structure; `None` for `()`.
    pub(crate) fn described_key<K: Value>() -> Option<KeyDescription> {
        let key = Self::of_key::<K>()?;
        Some(KeyDescription { schema: K::structure(None), ..key })
    }

    /// The description of a key; `None` for `()`, which means that there is no key.
    pub(crate) fn of_key<K: Encode>() -> Option<KeyDescription> {
        let layout = match K::layout() {
            _ if is::<K, ()>() => return None,
            Self::U64 => KeyType::U64,
            Self::S64 => KeyType::S64,
            Self::F64 | Self::Bytes(_) => KeyType::Bytes,
        };
        Some(KeyDescription { layout, codec: K::layout().codec(), schema: None })
    }
}

/// A type that can be written into a column: every number, `bool`, [`String`], `Vec<u8>`,
/// everything that serde can serialise, and [`Json`] of it.
pub trait Encode: 'static {
    #[doc(hidden)]
    fn layout() -> Layout;
    #[doc(hidden)]
    fn to_word(&self) -> u64;
    #[doc(hidden)]
    fn write(&self, out: &mut Vec<u8>) -> Result<()>;
}

/// A type that can be read from a column: the owned ones of [`Encode`].
pub trait Decode: Sized + 'static {
    #[doc(hidden)]
    fn layout() -> Layout;
    #[doc(hidden)]
    fn from_word(word: u64) -> Result<Self>;
    #[doc(hidden)]
    fn read(bytes: &[u8]) -> Result<Self>;
    /// What is inside the bytes, for people; see [`structure`]. Of a set, if it has elements.
    #[doc(hidden)]
    fn structure(elements: Option<structure::Elements>) -> Option<String>;
}

/// A type that can be a key, a value and a state: one that can be written and read.
///
/// | type | travels as |
/// |---|---|
/// | integers up to 64 bits, `bool`, floats | 64-bit words, without a codec (floats: not as keys) |
/// | `String` | text |
/// | `Vec<u8>` | the bytes themselves |
/// | [`Json<T>`] | JSON |
/// | everything else | MessagePack, structs as arrays of their fields in order |
/// | `()` as a key | nothing: the records have no key |
///
/// Values are read as long as their type has changed in compatible ways only since they were written: structs, wherever
/// they are in a value, may have got `Option`s as their last fields (not within enums that are `untagged`, and not
/// tuples), which are `None` then, and numbers may have become wider. Complete values cost nothing more for it; those
/// that lack fields are read twice. States change in all other ways by [`KeyedState`](crate::KeyedState).
pub trait Value: Encode + Decode {}

impl<T: Encode + Decode> Value for T {}

/// Travels as JSON instead of MessagePack: for sources and sinks, and for operators in other
/// languages.
///
/// ```
/// use statehouse::prelude::*;
///
/// #[derive(Serialize)]
/// struct Day { flights: u32 }
/// struct Days { rows: Output<Json<Day>> }
/// # impl Days {
/// fn emit(&self) -> Result<()> {
///     self.rows.emit(&Json(Day { flights: 3 }))
/// }
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Json<T>(pub T);

#[inline(always)]
pub(crate) fn is<T: 'static, U: 'static>() -> bool {
    TypeId::of::<T>() == TypeId::of::<U>()
}

/// `value` as a `T`, if that is what it is.
#[inline(always)]
pub(crate) fn cast<U: 'static, T: 'static>(value: U) -> Option<T> {
    let mut value = Some(value);
    (&mut value as &mut dyn Any).downcast_mut::<Option<T>>().and_then(Option::take)
}

#[inline(always)]
fn layout_of<T: 'static>() -> Layout {
    if let Some(layout) = word::layout_of::<T>() {
        layout
    } else if is::<T, String>() || is::<T, &'static str>() {
        Layout::Bytes(Codec::Text)
    } else if is::<T, Vec<u8>>() {
        Layout::Bytes(Codec::Raw)
    } else {
        Layout::Bytes(Codec::Msgpack)
    }
}

impl<T: Serialize + 'static> Encode for T {
    #[inline(always)]
    fn layout() -> Layout {
        layout_of::<T>()
    }

    #[inline(always)]
    fn to_word(&self) -> u64 {
        word::from_number(self)
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        let any: &dyn Any = self;
        if let Some(text) = any.downcast_ref::<String>() {
            out.extend_from_slice(text.as_bytes());
        } else if let Some(text) = any.downcast_ref::<&'static str>() {
            out.extend_from_slice(text.as_bytes());
        } else if let Some(bytes) = any.downcast_ref::<Vec<u8>>() {
            out.extend_from_slice(bytes);
        } else {
            rmp_serde::encode::write(out, self)?;
        }
        Ok(())
    }
}

impl<T: DeserializeOwned + 'static> Decode for T {
    #[inline(always)]
    fn layout() -> Layout {
        layout_of::<T>()
    }

    #[inline(always)]
    fn from_word(word: u64) -> Result<Self> {
        word::to_number(word).ok_or_else(|| not_a::<T>(word))
    }

    #[inline]
    fn read(bytes: &[u8]) -> Result<Self> {
        let read = if is::<T, String>() {
            cast(std::str::from_utf8(bytes)?.to_owned())
        } else if is::<T, Vec<u8>>() {
            cast(bytes.to_vec())
        } else {
            Some(match rmp_serde::from_slice(bytes) {
                Ok(value) => value,
                Err(error) => older::read(bytes).ok_or(error)?,
            })
        };
        Ok(read.expect("the type was compared before"))
    }

    fn structure(elements: Option<structure::Elements>) -> Option<String> {
        // The layout says all about the others.
        let says_more = layout_of::<T>() == Layout::Bytes(Codec::Msgpack) || elements.is_some();
        says_more.then(|| structure::of::<T>(false, elements)).flatten()
    }
}

#[cold]
fn not_a<T>(word: u64) -> Error {
    let name = std::any::type_name::<T>();
    Error::new(format_args!("the number {word} (signed: {}) is no {name}", word as i64))
}

impl<T: Serialize + 'static> Encode for Json<T> {
    fn layout() -> Layout {
        Layout::Bytes(Codec::Json)
    }

    fn to_word(&self) -> u64 {
        0
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        Ok(serde_json::to_writer(out, &self.0)?)
    }
}

impl<T: DeserializeOwned + 'static> Decode for Json<T> {
    fn layout() -> Layout {
        Layout::Bytes(Codec::Json)
    }

    fn from_word(word: u64) -> Result<Self> {
        Err(not_a::<Self>(word))
    }

    fn read(bytes: &[u8]) -> Result<Self> {
        Ok(Self(serde_json::from_slice(bytes)?))
    }

    fn structure(elements: Option<structure::Elements>) -> Option<String> {
        structure::of::<T>(true, elements)
    }
}
