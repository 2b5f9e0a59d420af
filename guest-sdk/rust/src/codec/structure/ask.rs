//! A deserializer that has nothing to read: it notes what it is asked for, and makes something up.

use serde::de::value::Error;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::{DEPTH_MAX, Known, Shape, Trace, VALUES_MAX, Variants};

/// Tuples longer than this are lists.
const TUPLE_MAX: usize = 16;

/// Asks for one value.
pub(super) struct Ask<'t> {
    pub(super) trace: &'t mut Trace,
    /// What it is.
    pub(super) shape: &'t mut Shape,
}

/// The values that a tuple or struct is made of, one after the other.
struct Parts<'t> {
    trace: &'t mut Trace,
    shapes: &'t mut Vec<Shape>,
    left: usize,
}

impl Ask<'_> {
    /// The parts of something; as many shapes as were asked for.
    fn parts<'de, V: Visitor<'de>>(
        trace: &mut Trace,
        count: usize,
        visitor: V,
    ) -> (Vec<Shape>, Result<V::Value, Error>) {
        let mut shapes = Vec::new();
        let value = visitor.visit_seq(Parts { trace, shapes: &mut shapes, left: count });
        (shapes, value)
    }

    fn enter(&mut self) -> Result<(), Error> {
        self.trace.values += 1;
        self.trace.depth += 1;
        if self.trace.values > VALUES_MAX || self.trace.depth > DEPTH_MAX {
            self.trace.depth -= 1;
            return Err(Error::custom("the type is too large to be described"));
        }
        Ok(())
    }
}

/// One value within another.
fn inner<'de, S: DeserializeSeed<'de>>(
    trace: &mut Trace,
    seed: S,
) -> (Shape, Result<S::Value, Error>) {
    let mut shape = Shape::Any;
    let mut ask = Ask { trace, shape: &mut shape };
    if let Err(error) = ask.enter() {
        return (shape, Err(error));
    }
    let value = seed.deserialize(Ask { trace: ask.trace, shape: ask.shape });
    trace.depth -= 1;
    (shape, value)
}

impl<'de> SeqAccess<'de> for Parts<'_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let (shape, value) = inner(self.trace, seed);
        self.shapes.push(shape);
        value.map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// One entry of a map.
struct Entry<'t> {
    trace: &'t mut Trace,
    shapes: &'t mut (Shape, Shape),
    left: bool,
}

impl<'de> MapAccess<'de> for Entry<'_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        if !std::mem::take(&mut self.left) {
            return Ok(None);
        }
        let (shape, value) = inner(self.trace, seed);
        self.shapes.0 = shape;
        value.map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let (shape, value) = inner(self.trace, seed);
        self.shapes.1 = shape;
        value
    }
}

/// One variant of an enum.
struct Variant<'t> {
    trace: &'t mut Trace,
    shape: &'t mut Shape,
    index: usize,
}

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        let index = u32::try_from(self.index).map_err(Error::custom)?;
        Ok((seed.deserialize(index.into_deserializer())?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        *self.shape = Shape::Unit;
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        let (shape, value) = inner(self.trace, seed);
        *self.shape = shape;
        value
    }

    fn tuple_variant<V: Visitor<'de>>(self, count: usize, visitor: V) -> Result<V::Value, Error> {
        let (mut shapes, value) = Ask::parts(self.trace, count, visitor);
        shapes.resize(count, Shape::Any);
        *self.shape = Shape::Tuple(shapes);
        value
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let (mut shapes, value) = Ask::parts(self.trace, fields.len(), visitor);
        shapes.resize(fields.len(), Shape::Any);
        *self.shape =
            Shape::Struct(fields.iter().map(|name| (*name).to_owned()).zip(shapes).collect());
        value
    }
}

/// Simple values: what they are, and what is made up for them.
macro_rules! simple {
    ($($method:ident $shape:ident $visit:ident($value:expr);)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            *self.shape = Shape::$shape;
            visitor.$visit($value)
        })*
    };
}

impl<'de> Deserializer<'de> for Ask<'_> {
    type Error = Error;

    simple! {
        deserialize_bool Bool visit_bool(false);
        deserialize_i8 S64 visit_i64(1);
        deserialize_i16 S64 visit_i64(1);
        deserialize_i32 S64 visit_i64(1);
        deserialize_i64 S64 visit_i64(1);
        deserialize_u8 U64 visit_u64(1);
        deserialize_u16 U64 visit_u64(1);
        deserialize_u32 U64 visit_u64(1);
        deserialize_u64 U64 visit_u64(1);
        deserialize_f32 F32 visit_f32(1.0);
        deserialize_f64 F64 visit_f64(1.0);
        deserialize_char Text visit_char('a');
        deserialize_str Text visit_str("");
        deserialize_string Text visit_str("");
        deserialize_bytes Bytes visit_bytes(&[]);
        deserialize_byte_buf Bytes visit_bytes(&[]);
        deserialize_identifier Any visit_str("");
    }

    forward_to_deserialize_any! { i128 u128 ignored_any }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        *self.shape = Shape::Any;
        visitor.visit_unit()
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        *self.shape = Shape::Unit;
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        // MessagePack has an empty list for it, and JSON null.
        *self.shape = if self.trace.readable { Shape::Unit } else { Shape::Tuple(Vec::new()) };
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        *self.shape = Shape::Optional(Box::new(Shape::Any));
        if self.trace.spares() {
            return visitor.visit_none();
        }
        self.enter()?;
        let mut shape = Shape::Any;
        let value = visitor.visit_some(Ask { trace: self.trace, shape: &mut shape });
        self.trace.depth -= 1;
        *self.shape = Shape::Optional(Box::new(shape));
        value
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let count = usize::from(!self.trace.spares());
        let (mut shapes, value) = Self::parts(self.trace, count, visitor);
        *self.shape = Shape::List(Box::new(shapes.pop().unwrap_or(Shape::Any)));
        value
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        count: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let (mut shapes, value) = Self::parts(self.trace, count, visitor);
        *self.shape = if count > TUPLE_MAX && !shapes.is_empty() {
            Shape::List(Box::new(shapes.swap_remove(0)))
        } else {
            shapes.resize(count, Shape::Any);
            Shape::Tuple(shapes)
        };
        value
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        count: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(count, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let left = !self.trace.spares();
        let mut shapes = (Shape::Any, Shape::Any);
        let value = visitor.visit_map(Entry { trace: self.trace, shapes: &mut shapes, left });
        *self.shape = Shape::Map(Box::new(shapes));
        value
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let name = self.trace.name(name, fields);
        *self.shape = Shape::Named(name.clone());
        let known = self.trace.types.entry(name.clone());
        known.or_insert_with(|| Known::Struct(fields, Vec::new()));
        let again = u32::from(!self.trace.met.insert(name.clone()));
        self.trace.sparing += again;
        let (shapes, value) = Self::parts(self.trace, fields.len(), visitor);
        self.trace.sparing -= again;
        if let Some(Known::Struct(_, known)) = self.trace.types.get_mut(&name)
            && known.len() < shapes.len()
            && again == 0
        {
            *known = shapes;
        }
        value
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let name = self.trace.name(name, variants);
        *self.shape = Shape::Named(name.clone());
        let sparing = self.trace.sparing > 0;
        let known = self.trace.types.entry(name.clone());
        let known = known.or_insert_with(|| Known::Enum(Variants::new(variants)));
        let Known::Enum(of) = known else { return Err(Error::custom("a struct is no enum")) };
        let index = of.next(sparing).ok_or_else(|| Error::custom("the enum holds only itself"))?;
        let is_open = of.open.insert(index);
        let mut shape = Shape::Any;
        let value = visitor.visit_enum(Variant { trace: self.trace, shape: &mut shape, index });
        if let Some(Known::Enum(of)) = self.trace.types.get_mut(&name) {
            if is_open {
                of.open.remove(&index);
            }
            of.shapes[index].get_or_insert(shape);
            if value.is_ok() {
                of.first.get_or_insert(index);
            }
        }
        value
    }

    fn is_human_readable(&self) -> bool {
        self.trace.readable
    }
}

impl Variants {
    fn new(names: &'static [&'static str]) -> Self {
        let shapes = vec![None; names.len()];
        Self { names, shapes, open: Default::default(), first: None }
    }

    /// The variant to make: one that is not known yet, else the one that was known first, which ends.
    fn next(&self, sparing: bool) -> Option<usize> {
        let unknown = || {
            (0..self.names.len()).find(|at| self.shapes[*at].is_none() && !self.open.contains(at))
        };
        if sparing { self.first.or_else(unknown) } else { unknown().or(self.first) }
    }
}
