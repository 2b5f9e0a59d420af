//! The structure of a type, for people who look inside the bytes: found by asking the type's `Deserialize` what it
//! wants, and giving it just enough to be content.
//!
//! The host shows fields and variants by the names that are found here. Nothing else depends on them: a type that does
//! not go along is described as far as it went, or not at all. `docs/internals/format.md` documents the text.

mod ask;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde::de::DeserializeOwned;

use ask::Ask;

/// How often a type is asked at most: once for each variant of its enums, as a rule.
const PASSES_MAX: u32 = 256;

/// How many values one pass makes at most. Types that need more are described as far as that.
const VALUES_MAX: u32 = 20_000;

/// How deep values may lie in each other, so that no type exhausts the stack.
const DEPTH_MAX: u32 = 64;

/// The largest type that is asked: values are made on the stack, and those of a guest are small.
const TYPE_BYTES_MAX: usize = 16 << 10;

/// The longest description.
const TEXT_BYTES_MAX: usize = 32 << 10;

/// What a value is made of.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Shape {
    Any,
    Bool,
    U64,
    S64,
    F64,
    F32,
    Text,
    Bytes,
    Unit,
    Optional(Box<Shape>),
    List(Box<Shape>),
    Map(Box<(Shape, Shape)>),
    Tuple(Vec<Shape>),
    Struct(Vec<(String, Shape)>),
    Enum(Vec<(String, Shape)>),
    Named(String),
}

#[derive(Serialize)]
struct Structure<'a> {
    #[serde(rename = "type")]
    shape: &'a Shape,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    types: BTreeMap<&'a str, Shape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    elements: Option<Elements>,
}

/// How the elements of a set are laid out.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Elements {
    pub(crate) layout: &'static str,
    pub(crate) codec: &'static str,
}

/// A type with a name.
#[derive(Debug)]
enum Known {
    Struct(&'static [&'static str], Vec<Shape>),
    Enum(Variants),
}

/// The variants of an enum, as far as they are known.
#[derive(Debug)]
struct Variants {
    names: &'static [&'static str],
    shapes: Vec<Option<Shape>>,
    /// Those that are being asked about now.
    open: BTreeSet<usize>,
    /// The one that was known first. It needs no other value of the enum.
    first: Option<usize>,
}

/// What is known so far.
#[derive(Debug, Default)]
struct Trace {
    types: BTreeMap<String, Known>,
    /// Named types that this pass has met: of those, and within those, as little as possible is made.
    met: BTreeSet<String>,
    sparing: u32,
    depth: u32,
    values: u32,
    readable: bool,
}

/// The structure of a type as its text; `None` if nothing can be said. `readable` as its codec is.
pub(crate) fn of<T: DeserializeOwned>(
    readable: bool,
    elements: Option<Elements>,
) -> Option<String> {
    if size_of::<T>() > TYPE_BYTES_MAX {
        return None;
    }
    let mut trace = Trace { readable, ..Trace::default() };
    let mut shape = Shape::Any;
    for _ in 0..PASSES_MAX {
        let (before, types) = (trace.unknown(), trace.types.len());
        (trace.met, trace.sparing, trace.depth, trace.values) = (BTreeSet::new(), 0, 0, 0);
        let mut found = Shape::Any;
        // A type that is not content has been described as far as it went.
        let _ = T::deserialize(Ask { trace: &mut trace, shape: &mut found });
        if shape == Shape::Any {
            shape = found;
        }
        let unknown = trace.unknown();
        // Nothing more is found by asking again.
        if unknown == 0 || (unknown == before && types == trace.types.len()) {
            break;
        }
    }
    if shape == Shape::Any {
        return None;
    }
    let types = trace.types.iter().map(|(name, known)| (name.as_str(), known.shape())).collect();
    let text = serde_json::to_string(&Structure { shape: &shape, types, elements }).ok()?;
    (text.len() <= TEXT_BYTES_MAX).then_some(text)
}

impl Known {
    fn shape(&self) -> Shape {
        match self {
            Self::Struct(names, shapes) => {
                let shapes = shapes.iter().cloned().chain(std::iter::repeat(Shape::Any));
                Shape::Struct(names.iter().map(|name| (*name).to_owned()).zip(shapes).collect())
            }
            Self::Enum(Variants { names, shapes, .. }) => {
                let shapes = shapes.iter().map(|shape| shape.clone().unwrap_or(Shape::Any));
                Shape::Enum(names.iter().map(|name| (*name).to_owned()).zip(shapes).collect())
            }
        }
    }
}

impl Trace {
    /// How many variants are not known yet.
    fn unknown(&self) -> usize {
        let unknown = |known: &Known| match known {
            Known::Enum(variants) => variants.shapes.iter().filter(|shape| shape.is_none()).count(),
            Known::Struct(..) => 0,
        };
        self.types.values().map(unknown).sum()
    }

    /// The name that stands for a type with these parts: other types may have been given the same one.
    fn name(&self, name: &str, parts: &'static [&'static str]) -> String {
        let is_same = |known: &Known| match known {
            Known::Struct(names, _) | Known::Enum(Variants { names, .. }) => *names == parts,
        };
        let numbered = (2..).map(|number| format!("{name} {number}"));
        let mut names = std::iter::once(name.to_owned()).chain(numbered);
        let free = names.find(|name| self.types.get(name).is_none_or(is_same));
        free.expect("numbers do not end")
    }

    /// Whether only what must be there is to be made.
    fn spares(&self) -> bool {
        self.sparing > 0 || self.depth > DEPTH_MAX / 2
    }
}

#[cfg(test)]
mod tests;
