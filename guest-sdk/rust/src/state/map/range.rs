//! The iterator over a range of a map's entries.

use super::MapState;
use crate::codec::Value;
use crate::state::entries::Look;
use crate::state::entries::cursor::Cursor;

/// The entries of a range of a [`MapState`], in order. They are fetched as they are asked for.
///
/// ```
/// use statehouse::{MapRange, prelude::*};
///
/// fn dearest(prices: MapRange<'_, String, u64>) -> Option<String> {
///     prices.max_by_key(|(_, price)| *price).map(|(name, _)| name)
/// }
///
/// # struct Shop { prices: MapState<String, u64> }
/// # impl Shop {
/// fn dearest_tea(&self) -> Option<String> {
///     dearest(self.prices.prefix("tea "))
/// }
/// # }
/// ```
pub struct MapRange<'m, K: Value, V: Value> {
    map: &'m MapState<K, V>,
    /// Of the key whose map it was when the walk began; `None` at the end.
    walk: Option<(usize, Cursor<V>)>,
}

impl<'m, K: Value, V: Value> MapRange<'m, K, V> {
    pub(super) fn new(map: &'m MapState<K, V>, slot: usize, cursor: Cursor<V>) -> Self {
        Self { map, walk: Some((slot, cursor)) }
    }

    /// No entries.
    pub(super) fn none(map: &'m MapState<K, V>) -> Self {
        Self { map, walk: None }
    }
}

impl<K: Value, V: Value + Clone> Iterator for MapRange<'_, K, V> {
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        let (slot, cursor) = self.walk.as_mut()?;
        let (call, of) = (&self.map.call, &self.map.maps.of);
        let next = self.map.on(*slot, |cache, slot| {
            let next = cache.next(call, of, slot, cursor, Look::copy())?;
            next.map(|(key, value)| {
                if of.touches {
                    cache.note_read(slot, &key);
                }
                Ok((key.read()?, value))
            })
            .transpose()
        });
        let next = next.flatten();
        if next.is_none() {
            self.walk = None;
        }
        next
    }
}
