//! A field that is not there.

use std::marker::PhantomData;

use serde::de::{Deserializer, Error, Visitor};
use serde::forward_to_deserialize_any;

/// An `Option` finds nothing in it, and everything else an error.
pub(super) struct Missing<E>(PhantomData<fn() -> E>);

impl<E> Missing<E> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<'de, E: Error> Deserializer<'de> for Missing<E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, E> {
        Err(E::custom("a field that is not optional is missing"))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_none()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
