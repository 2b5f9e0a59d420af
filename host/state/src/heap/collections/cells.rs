//! What entries are made of: words or bytes, with a stamp or without. A store of words holds them inline.

use std::borrow::Borrow;
use std::fmt::Debug;

use crate::segment::Cell;
use crate::ttl::NO_STAMP;

/// An entry key in its order.
pub(super) trait EntryKey:
    Ord + Clone + Borrow<Self::Look> + Debug + Send + 'static
{
    /// What it is looked up by.
    type Look: Ord + ?Sized;

    /// A cell as what to look for. `word` lends a place to a number.
    fn look<'a>(cell: Cell<'a>, flip: u64, word: &'a mut u64) -> &'a Self::Look;

    fn own(look: &Self::Look) -> Self;

    fn cell(&self, flip: u64) -> Cell<'_>;

    /// Memory that is not inline.
    fn heap_bytes(&self) -> usize;
}

impl EntryKey for u64 {
    type Look = Self;

    #[inline]
    fn look<'a>(cell: Cell<'a>, flip: u64, word: &'a mut u64) -> &'a Self {
        let Cell::Word(number) = cell else { unreachable!("callers compare kinds") };
        *word = number ^ flip;
        word
    }

    #[inline]
    fn own(look: &Self) -> Self {
        *look
    }

    #[inline]
    fn cell(&self, flip: u64) -> Cell<'_> {
        Cell::Word(self ^ flip)
    }

    fn heap_bytes(&self) -> usize {
        0
    }
}

impl EntryKey for Box<[u8]> {
    type Look = [u8];

    #[inline]
    fn look<'a>(cell: Cell<'a>, _flip: u64, _word: &'a mut u64) -> &'a [u8] {
        let Cell::Bytes(bytes) = cell else { unreachable!("callers compare kinds") };
        bytes
    }

    fn own(look: &[u8]) -> Self {
        look.into()
    }

    #[inline]
    fn cell(&self, _flip: u64) -> Cell<'_> {
        Cell::Bytes(self)
    }

    fn heap_bytes(&self) -> usize {
        self.len()
    }
}

/// An entry's value.
pub(super) trait EntryValue: Default + Debug + Send + 'static {
    fn set(&mut self, cell: Cell<'_>);

    fn cell(&self) -> Cell<'_>;

    /// Memory that is not inline.
    fn heap_bytes(&self) -> usize;
}

impl EntryValue for u64 {
    #[inline]
    fn set(&mut self, cell: Cell<'_>) {
        let Cell::Word(word) = cell else { unreachable!("a state has one layout") };
        *self = word;
    }

    #[inline]
    fn cell(&self) -> Cell<'_> {
        Cell::Word(*self)
    }

    fn heap_bytes(&self) -> usize {
        0
    }
}

impl EntryValue for Box<[u8]> {
    fn set(&mut self, cell: Cell<'_>) {
        let Cell::Bytes(bytes) = cell else { unreachable!("a state has one layout") };
        if self.len() == bytes.len() {
            self.copy_from_slice(bytes);
        } else {
            *self = bytes.into();
        }
    }

    #[inline]
    fn cell(&self) -> Cell<'_> {
        Cell::Bytes(self)
    }

    fn heap_bytes(&self) -> usize {
        self.len()
    }
}

/// When an entry was written, where it matters.
pub(super) trait EntryStamp: Copy + Debug + Send + 'static {
    fn new(stamp: i64) -> Self;

    fn get(self) -> i64;
}

impl EntryStamp for () {
    #[inline]
    fn new(_stamp: i64) -> Self {}

    #[inline]
    fn get(self) -> i64 {
        NO_STAMP
    }
}

impl EntryStamp for i64 {
    #[inline]
    fn new(stamp: i64) -> Self {
        stamp
    }

    #[inline]
    fn get(self) -> i64 {
        self
    }
}
