//! What deleting, order and ranges cost, with the real programs: `cargo bench --locked --bench space -- WHAT [COUNT]`.
//!
//! | file | what it is |
//! |---|---|
//! | `daemon` | a daemon, and what the system says of its process and its folder |
//! | `probe` | what somebody else sees meanwhile |
//! | `delete`, `compact` | space comes back, of all files and of half of them |
//! | `mark` | collection of next to nothing among many records |
//! | `order` | the first list of many names |
//! | `range` | a part of a large file, through a proxy that counts |
//!
//! Folders go under `TMPDIR`. Knows the network through its programs alone. A figure beside another load says little;
//! what is compared was measured in one run, some seconds apart.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::cast_precision_loss,
    clippy::unwrap_used,
    reason = "a benchmark uses the machine, and nobody needs its last digit"
)]

mod compact;
mod daemon;
mod delete;
mod mark;
mod order;
mod probe;
mod range;

fn main() {
    // `cargo test --all-targets` runs this too; it measures nothing then.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let count =
        |usual| words.get(1).map_or(usual, |word| word.parse().expect("a number is wanted"));
    match words.first().map(String::as_str) {
        Some("delete") => delete::delete(count(100_000), words.get(2).map(String::as_str)),
        Some("compact") => compact::compact(count(30_000)),
        Some("mark") => mark::mark(count(1_000_000)),
        Some("order") => order::order(count(1_000_000)),
        Some("range") => range::range(count(16)),
        _ => println!(
            "delete, compact, mark, order or range, and how much; see benches/space/main.rs"
        ),
    }
}
