//! Choices: which of the known keys comes next.
//!
//! Knows no key's name. Invariant: what is chosen is below the number of keys.

use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use rand_distr::{Distribution, Zipf};
use std::str::FromStr;

/// How popular keys are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Popularity {
    /// Each as popular as any other.
    Uniform,
    /// Zipf: the key of rank k is asked for in proportion to 1/k^exponent.
    Zipf(f64),
}

impl FromStr for Popularity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("invalid popularity \"{text}\", expected uniform, zipf or zipf:1.2");
        match text.split_once(':').unwrap_or((text, "")) {
            ("uniform", "") => Ok(Self::Uniform),
            ("zipf", "") => Ok(Self::Zipf(0.99)),
            ("zipf", exponent) => {
                let exponent: f64 = exponent.parse().map_err(|_| wrong())?;
                let fits = (0.01..=10.0).contains(&exponent);
                fits.then_some(Self::Zipf(exponent)).ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }
}

/// Draws keys by their popularity.
#[derive(Debug)]
pub(super) enum Chooser {
    Uniform(usize),
    Zipf(Zipf<f64>),
}

impl Chooser {
    /// Of so many keys, at least one.
    pub(super) fn new(popularity: Popularity, keys: usize) -> Self {
        match popularity {
            Popularity::Uniform => Self::Uniform(keys),
            Popularity::Zipf(exponent) => {
                #[allow(clippy::cast_precision_loss, reason = "there are not 2^52 keys")]
                let keys = keys as f64;
                Self::Zipf(
                    Zipf::new(keys, exponent).expect("there is a key, and an exponent is bounded"),
                )
            }
        }
    }

    /// The next key.
    pub(super) fn draw(&self, rng: &mut ChaCha8Rng) -> usize {
        match self {
            Self::Uniform(keys) => rng.random_range(0..*keys),
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "ranks are whole, and from 1 on"
            )]
            Self::Zipf(ranks) => ranks.sample(rng) as usize - 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn what_people_type() {
        assert_eq!("uniform".parse(), Ok(Popularity::Uniform));
        assert_eq!("zipf".parse(), Ok(Popularity::Zipf(0.99)));
        assert_eq!("zipf:1.2".parse(), Ok(Popularity::Zipf(1.2)));
        for wrong in ["", "zipf:x", "zipf:-1", "normal", "uniform:3"] {
            assert!(wrong.parse::<Popularity>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_first_key_of_zipf_is_the_most_popular() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let chooser = Chooser::new(Popularity::Zipf(1.0), 100);
        let mut counts = [0_u32; 100];
        (0..100_000).for_each(|_| counts[chooser.draw(&mut rng)] += 1);
        // The harmonic number of 100 is 5.187.
        assert!((18_500..20_100).contains(&counts[0]), "{}", counts[0]);
        assert!((9_100..10_200).contains(&counts[1]), "{}", counts[1]);
        let uniform = Chooser::new(Popularity::Uniform, 3);
        assert!((0..100).all(|_| uniform.draw(&mut rng) < 3));
    }
}
