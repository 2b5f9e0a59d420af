//! From the hash of a key to the number of its collection: open addressing, a word a key.

/// A place that never held a number.
const VACANT: u64 = 0;
/// A place whose number was taken out: searches go on behind it.
const GONE: u64 = u64::MAX;
/// The fewest places of an index that holds anything.
const PLACES_MIN: usize = 8;

/// Numbers by hash. Each place holds bits of a hash and a number plus one.
#[derive(Debug, Default)]
pub(super) struct Index {
    places: Vec<u64>,
    /// Places that are not vacant.
    used: usize,
    /// Places with a number.
    len: usize,
}

impl Index {
    pub(super) fn allocated_bytes(&self) -> usize {
        self.places.capacity() * 8
    }

    #[inline]
    fn home(&self, hash: u64) -> usize {
        hash as usize & (self.places.len() - 1)
    }

    /// Reads where a search begins.
    #[inline]
    pub(super) fn touch(&self, hash: u64) -> u64 {
        if self.places.is_empty() { 0 } else { self.places[self.home(hash)] }
    }

    /// The number under a hash of which `is_it` holds.
    #[inline]
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        if self.places.is_empty() {
            return None;
        }
        let mut at = self.home(hash);
        loop {
            let place = self.places[at];
            if place == VACANT {
                return None;
            }
            let number = (place as u32).wrapping_sub(1);
            if place != GONE && place >> 32 == tag(hash) && is_it(number) {
                return Some(number);
            }
            at = (at + 1) & (self.places.len() - 1);
        }
    }

    /// Adds a number that is not there. `hash_of` knows the hashes of all numbers.
    pub(super) fn insert(&mut self, hash: u64, number: u32, hash_of: impl Fn(u32) -> u64) {
        if (self.used + 1) * 8 > self.places.len() * 7 {
            let places = ((self.len + 1) * 2).next_power_of_two().max(PLACES_MIN);
            let old = std::mem::replace(&mut self.places, vec![VACANT; places]);
            (self.used, self.len) = (0, 0);
            for place in old.into_iter().filter(|place| *place != VACANT && *place != GONE) {
                let number = place as u32 - 1;
                self.place(hash_of(number), number);
            }
        }
        self.place(hash, number);
    }

    fn place(&mut self, hash: u64, number: u32) {
        let mut at = self.home(hash);
        while self.places[at] != VACANT && self.places[at] != GONE {
            at = (at + 1) & (self.places.len() - 1);
        }
        self.used += usize::from(self.places[at] == VACANT);
        self.len += 1;
        self.places[at] = tag(hash) << 32 | u64::from(number + 1);
    }

    /// Takes a number out.
    pub(super) fn remove(&mut self, hash: u64, number: u32) {
        let wanted = tag(hash) << 32 | u64::from(number + 1);
        let mut at = self.home(hash);
        while self.places[at] != wanted {
            at = (at + 1) & (self.places.len() - 1);
        }
        self.places[at] = GONE;
        self.len -= 1;
        if self.len == 0 {
            *self = Self::default();
        }
    }
}

/// What tells most keys of one place apart, never all ones.
#[inline]
fn tag(hash: u64) -> u64 {
    hash >> 16 & 0x7fff_ffff
}
