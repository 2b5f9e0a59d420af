//! Reading MessagePack that was written before a struct had its last fields: an `Option` that is missing is `None`.
//!
//! Structs are arrays of their fields, and what serde derives refuses an array that is too short. So what could not be
//! read is read once more, through a deserializer that hands out fields that are not there, down to the innermost
//! struct. Values that are complete never come here.

mod missing;
mod visit;

use std::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use missing::Missing;
use visit::Padded;

/// Reads a value that may lack optional fields at the end of its structs. `None` if that is not what is wrong with it.
#[cold]
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    T::deserialize(Older(&mut deserializer)).ok()
}

/// A deserializer whose structs may be too short.
struct Older<D>(D);

macro_rules! forward {
    ($($method:ident($($argument:ident: $kind:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(
            self,
            $($argument: $kind,)*
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            self.0.$method($($argument,)* Padded { visitor, fields: 0 })
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Older<D> {
    type Error = D::Error;

    forward! {
        deserialize_any(); deserialize_ignored_any(); deserialize_identifier();
        deserialize_bool(); deserialize_char(); deserialize_unit();
        deserialize_i8(); deserialize_i16(); deserialize_i32(); deserialize_i64(); deserialize_i128();
        deserialize_u8(); deserialize_u16(); deserialize_u32(); deserialize_u64(); deserialize_u128();
        deserialize_f32(); deserialize_f64();
        deserialize_str(); deserialize_string(); deserialize_bytes(); deserialize_byte_buf();
        deserialize_option(); deserialize_seq(); deserialize_map();
        deserialize_tuple(len: usize);
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.0.deserialize_struct(name, fields, Padded { visitor, fields: fields.len() })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.0.deserialize_tuple_struct(name, len, Padded { visitor, fields: len })
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

/// Reads something within. Whoever has the place gets the seed back if nothing was there to be read.
struct Within<'s, S>(&'s mut Option<S>);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Within<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.0.take().expect("a seed is used once").deserialize(Older(deserializer))
    }
}

/// Elements, and after them as many missing fields as a struct may still want.
struct Fields<A> {
    elements: A,
    left: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Fields<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let mut seed = Some(seed);
        let found = self.elements.next_element_seed(Within(&mut seed))?;
        let wanted = self.left > 0;
        self.left = self.left.saturating_sub(1);
        match seed {
            Some(seed) if found.is_none() && wanted => seed.deserialize(Missing::new()).map(Some),
            _ => Ok(found),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        self.elements.size_hint()
    }
}

/// Entries of a map.
struct Entries<A>(A);

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Entries<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(Within(&mut Some(seed)))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Within(&mut Some(seed)))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

/// An enum, or what is in one of its variants.
struct Variant<A>(A);

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Variant<A> {
    type Error = A::Error;
    type Variant = Variant<A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let (name, content) = self.0.variant_seed(Within(&mut Some(seed)))?;
        Ok((name, Variant(content)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Variant<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.0.newtype_variant_seed(Within(&mut Some(seed)))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(len, Padded { visitor, fields: len })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.struct_variant(fields, Padded { visitor, fields: fields.len() })
    }
}

#[cfg(test)]
mod tests;
