//! Keys of which few are frequent: the Zipf distribution by rejection-inversion (Hörmann and Derflinger, 1996).
//!
//! No table, whatever the number of keys. A rejected draw is mixed again, so that a key stays a function of the one
//! random number that it began with.

use super::{WEYL, mix};

/// Key `k`, counted from 0, comes with a probability proportional to `1 / (k + 1)^exponent`.
#[derive(Debug, Clone)]
pub(super) struct Zipf {
    keys: f64,
    exponent: f64,
    from: f64,
    to: f64,
    accepted: f64,
}

impl Zipf {
    /// So many keys; the exponent is above 0.
    pub(super) fn new(keys: u64, exponent: f64) -> Self {
        let mut zipf = Self { keys: keys as f64, exponent, from: 0.0, to: 0.0, accepted: 0.0 };
        zipf.from = zipf.integral(1.5) - 1.0;
        zipf.to = zipf.integral(zipf.keys + 0.5);
        zipf.accepted = 2.0 - zipf.inverse(zipf.integral(2.5) - zipf.density(2.0));
        zipf
    }

    /// The key that a random number stands for.
    pub(super) fn sample(&self, random: u64) -> u64 {
        let mut random = random;
        loop {
            let uniform = (random >> 11) as f64 / (1u64 << 53) as f64;
            let area = self.to + uniform * (self.from - self.to);
            let x = self.inverse(area);
            let rank = (x + 0.5).floor().clamp(1.0, self.keys);
            if rank - x <= self.accepted || area >= self.integral(rank + 0.5) - self.density(rank) {
                return rank as u64 - 1;
            }
            random = mix(random.wrapping_add(WEYL));
        }
    }

    fn density(&self, x: f64) -> f64 {
        (-self.exponent * x.ln()).exp()
    }

    fn integral(&self, x: f64) -> f64 {
        let log = x.ln();
        exp_m1_over((1.0 - self.exponent) * log) * log
    }

    fn inverse(&self, area: f64) -> f64 {
        let t = (area * (1.0 - self.exponent)).max(-1.0);
        (ln_1p_over(t) * area).exp()
    }
}

/// `(e^x - 1) / x`, also around 0.
fn exp_m1_over(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.exp_m1() / x } else { 1.0 + x / 2.0 }
}

/// `ln(1 + x) / x`, also around 0.
fn ln_1p_over(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.ln_1p() / x } else { 1.0 - x / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_as_frequent_as_the_distribution_says() {
        for (keys, exponent) in [(1, 1.0), (10, 1.0), (100, 0.5), (1000, 1.5)] {
            let zipf = Zipf::new(keys, exponent);
            let mut counts = vec![0u64; keys as usize];
            let draws = 200_000;
            for draw in 0..draws {
                counts[zipf.sample(mix(WEYL.wrapping_mul(draw))) as usize] += 1;
            }
            let weight = |key: u64| ((key + 1) as f64).powf(-exponent);
            let total: f64 = (0..keys).map(weight).sum();
            for key in 0..keys.min(5) {
                let expected = draws as f64 * weight(key) / total;
                let got = counts[key as usize] as f64;
                assert!(
                    (got - expected).abs() < 5.0 * expected.sqrt() + 1.0,
                    "{key}: {got} {expected}"
                );
            }
        }
    }
}
