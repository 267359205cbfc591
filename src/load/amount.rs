//! Amounts: sizes of files, fixed or drawn from a distribution, as people type them.
//!
//! Knows no file. Invariant: an amount that was parsed draws only sizes up to `AMOUNT_MAX`.

use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use std::str::FromStr;

/// The largest file that is made: its bytes are generated, not held, but somebody has to store them.
const AMOUNT_MAX: u64 = 1 << 40;

/// How large files are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Amount {
    /// All alike.
    Fixed(u64),
    /// Any size between two, both included, as likely as any other.
    Uniform(u64, u64),
    /// Log-normal: half of the files are smaller than the median; about two thirds lie within a factor of e^sigma of it.
    LogNormal(u64, f64),
}

impl Amount {
    /// The next size.
    pub(super) fn draw(self, rng: &mut ChaCha8Rng) -> u64 {
        match self {
            Self::Fixed(size) => size,
            Self::Uniform(low, high) => rng.random_range(low..=high),
            Self::LogNormal(median, sigma) => log_normal(median, sigma, rng),
        }
    }
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a random size needs no last digit, and is bounded before"
)]
fn log_normal(median: u64, sigma: f64, rng: &mut ChaCha8Rng) -> u64 {
    let normal: f64 = StandardNormal.sample(rng);
    let size = median as f64 * (sigma * normal).exp();
    size.clamp(0.0, AMOUNT_MAX as f64) as u64
}

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "invalid size \"{text}\", expected 4096, 64KiB, uniform:1KiB-1MiB or lognormal:64KiB:1.5"
            )
        };
        let amount = match text.split_once(':') {
            None => Self::Fixed(size(text).ok_or_else(wrong)?),
            Some(("uniform", range)) => {
                let (low, high) = range.split_once('-').ok_or_else(wrong)?;
                let (low, high) = (size(low).ok_or_else(wrong)?, size(high).ok_or_else(wrong)?);
                (low <= high).then_some(Self::Uniform(low, high)).ok_or_else(wrong)?
            }
            Some(("lognormal", shape)) => {
                let (median, sigma) = shape.split_once(':').unwrap_or((shape, "1"));
                let sigma: f64 = sigma.parse().map_err(|_| wrong())?;
                let median = size(median).ok_or_else(wrong)?;
                let fits = (0.0..=5.0).contains(&sigma);
                fits.then_some(Self::LogNormal(median, sigma)).ok_or_else(wrong)?
            }
            Some(_) => return Err(wrong()),
        };
        Ok(amount)
    }
}

/// A size with or without a unit.
fn size(text: &str) -> Option<u64> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let (digits, shift) = units
        .iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)))
        .unwrap_or((text, 0));
    let number: u64 = digits.parse().ok()?;
    number.checked_mul(1 << shift).filter(|size| *size <= AMOUNT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn parse(text: &str) -> Option<Amount> {
        text.parse().ok()
    }

    #[test]
    fn what_people_type() {
        assert_eq!(parse("4096"), Some(Amount::Fixed(4096)));
        assert_eq!(parse("0"), Some(Amount::Fixed(0)));
        assert_eq!(parse("3MiB"), Some(Amount::Fixed(3 << 20)));
        assert_eq!(parse("uniform:1KiB-1MiB"), Some(Amount::Uniform(1024, 1 << 20)));
        assert_eq!(parse("lognormal:64KiB"), Some(Amount::LogNormal(65_536, 1.0)));
        assert_eq!(parse("lognormal:64KiB:1.5"), Some(Amount::LogNormal(65_536, 1.5)));
        for wrong in [
            "",
            "-1",
            "4 KiB",
            "uniform:2-1",
            "uniform:1",
            "lognormal:1:x",
            "2000GiB",
            "lognormal:1:9",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_distribution_is_about_what_it_says() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut draws: Vec<u64> =
            (0..10_001).map(|_| Amount::LogNormal(65_536, 1.0).draw(&mut rng)).collect();
        draws.sort_unstable();
        assert!((60_000..72_000).contains(&draws[5000]), "the median is {}", draws[5000]);
        let within = draws.iter().filter(|size| (24_109..178_145).contains(*size)).count();
        assert!((6_600..7_050).contains(&within), "{within} of 10,001 within one sigma");
        let all: Vec<_> = (0..1000).map(|_| Amount::Uniform(5, 9).draw(&mut rng)).collect();
        assert_eq!((all.iter().min(), all.iter().max()), (Some(&5), Some(&9)));
    }
}
