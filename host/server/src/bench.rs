//! Benchmarks that anyone can run from the binary. Each prints its own baseline, measured in the same run.

pub mod bare;
pub mod boundary;
pub mod checkpoint;
pub mod guest;
pub mod machine;
pub mod native;
pub mod state;
pub mod sum;
pub mod swap;
pub mod windows;

/// The middle one of several measurements; of an even number the lower of the two.
pub(crate) fn median(mut measurements: Vec<f64>) -> f64 {
    measurements.sort_by(f64::total_cmp);
    measurements.get(measurements.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// The middle one of several counts; of an even number the higher of the two. 0 if there are none.
pub(crate) fn middle(mut counts: Vec<u64>) -> u64 {
    counts.sort_unstable();
    counts.get(counts.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{median, middle};

    #[test]
    fn the_middle_is_one_of_the_counts() {
        assert_eq!(middle(vec![3, 1, 2]), 2);
        assert_eq!(middle(vec![4, 1]), 4);
        assert_eq!(middle(vec![]), 0);
    }

    #[test]
    fn the_median_is_one_of_the_measurements() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0]), 1.0);
        assert!(median(vec![]).is_nan());
    }
}
