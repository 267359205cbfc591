//! The fuzzer's corpus, and every input that ever broke something, through the same checks without
//! the fuzzer.
//!
//! Invariant: a file below `corpus/<target>/` stays there; what it once found is never found again.

pub(crate) mod checks;
mod seeds;

use std::fs;
use std::path::{Path, PathBuf};

/// In all, so that the repository stays small.
const CORPUS_BYTES_MAX: u64 = 200 * 1024;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus")
}

fn replay(target: &str) {
    let check = checks::check(target).expect("a target");
    let mut count = 0;
    for entry in fs::read_dir(corpus().join(target)).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        check(&fs::read(path).unwrap());
        count += 1;
    }
    assert!((1..60).contains(&count), "{count} files");
}

macro_rules! targets {
    ($($target:ident)*) => {
        $(#[test]
        fn $target() {
            replay(stringify!($target));
        })*

        #[test]
        fn every_target_is_replayed() {
            let names: Vec<_> = checks::TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($target)),*]);
        }
    };
}

targets! { frame message record page log keys config stranger handshake conn node }

#[test]
fn the_corpus_is_small() {
    let mut bytes = 0;
    for (target, _) in checks::TARGETS {
        for entry in fs::read_dir(corpus().join(target)).unwrap() {
            bytes += entry.unwrap().metadata().unwrap().len();
        }
    }
    assert!(bytes <= CORPUS_BYTES_MAX, "{bytes} bytes");
}
