//! Numbers as 64-bit words.

use std::any::Any;

use super::{Layout, cast, is};

/// The layout of a type whose values are words.
#[inline(always)]
pub(crate) fn layout_of<T: 'static>() -> Option<Layout> {
    macro_rules! any_of {
        ($($number:ty)*) => { false $(|| is::<T, $number>())* };
    }
    if any_of!(u64 u32 u16 u8 usize bool) {
        Some(Layout::U64)
    } else if any_of!(i64 i32 i16 i8 isize) {
        Some(Layout::S64)
    } else if any_of!(f64 f32) {
        Some(Layout::F64)
    } else {
        None
    }
}

/// A number as a word: signed numbers extended, floating-point numbers by their bits. 0 for what is
/// no number.
#[inline(always)]
pub(crate) fn from_number<T: 'static>(number: &T) -> u64 {
    let any: &dyn Any = number;
    macro_rules! integers {
        ($($number:ty as $wide:ty),*) => {
            $(if let Some(&number) = any.downcast_ref::<$number>() {
                return number as $wide as u64;
            })*
        };
    }
    integers!(u64 as u64, i64 as i64, u32 as u64, i32 as i64, bool as u64, usize as u64);
    integers!(isize as i64, u16 as u64, i16 as i64, u8 as u64, i8 as i64);
    if let Some(number) = any.downcast_ref::<f64>() {
        number.to_bits()
    } else if let Some(&number) = any.downcast_ref::<f32>() {
        f64::from(number).to_bits()
    } else {
        0
    }
}

/// A word as a number; `None` if it is out of the type's range, or the type is no number.
#[inline(always)]
pub(crate) fn to_number<T: 'static>(word: u64) -> Option<T> {
    macro_rules! integers {
        ($wide:ty: $($number:ty)*) => {
            $(if is::<T, $number>() {
                return <$number>::try_from(word as $wide).ok().and_then(cast);
            })*
        };
    }
    integers!(u64: u64 u32 u16 u8 usize);
    integers!(i64: i64 i32 i16 i8 isize);
    if is::<T, f64>() {
        cast(f64::from_bits(word))
    } else if is::<T, f32>() {
        cast(f64::from_bits(word) as f32)
    } else if is::<T, bool>() && word <= 1 {
        cast(word == 1)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Copy + PartialEq + std::fmt::Debug + 'static>(numbers: &[T]) {
        for number in numbers {
            assert_eq!(to_number::<T>(from_number(number)), Some(*number));
        }
    }

    #[test]
    fn every_number_survives_being_a_word() {
        check(&[0, 1, u64::MAX]);
        check(&[i64::MIN, -1, 0, i64::MAX]);
        check(&[i32::MIN, -1, i32::MAX]);
        check(&[i8::MIN, i8::MAX]);
        check(&[u32::MAX, 7]);
        check(&[true, false]);
        check(&[f64::MIN, -0.0, f64::INFINITY]);
        check(&[f32::MIN, 0.1]);
        let nan = f64::from_bits(0x7ff8_0000_0000_1234);
        assert_eq!(from_number(&nan), 0x7ff8_0000_0000_1234);
    }

    #[test]
    fn a_word_out_of_range_is_refused() {
        assert_eq!(to_number::<u32>(1 << 32), None);
        assert_eq!(to_number::<i8>(128), None);
        assert_eq!(to_number::<bool>(2), None);
        assert_eq!(to_number::<String>(0), None);
    }
}
