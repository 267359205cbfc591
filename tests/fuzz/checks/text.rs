//! What is text: tickets, key files, configuration, the file of peers.
//!
//! Knows no file. Invariant: checksums are made right, so that what is behind them is reached.

use super::meter::{within, within_times};
use dfsd::config::{DaemonOptions, Period, Size};
use dfsd::crypto::{keys::checksum, tags};
use dfsd::ids::Writer;
use dfsd::keyring::Ticket;
use dfsd::keyring::text::reprint;

const KEY_FILES: [&str; 5] = ["network.key", "data.key", "write.key", "root.key", "node.key"];

/// A ticket's body without its checksum; or a text, which may be a key file without its last line.
pub(super) fn keys(data: &[u8]) {
    let sum = checksum(tags::TICKET, data);
    ticket(&format!("dfsd1-{}", armor(&[data, &sum].concat())));
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    ticket(text);
    if text.starts_with("dfsd ") {
        let sum = Writer(checksum(tags::KEY_FILE, data));
        let whole = format!("{text}checksum {sum}\n");
        for file in KEY_FILES {
            key_file(file, text);
            key_file(file, &whole);
        }
    }
}

fn ticket(text: &str) {
    if let Ok(ticket) = within(text.len(), || Ticket::parse(text)) {
        assert!(ticket.encode().as_str() == text.trim(), "not canonical");
        assert!(ticket.access.is_consistent());
    }
}

fn key_file(file: &str, text: &str) {
    if let Ok(again) = within(text.len(), || reprint(file, text)) {
        assert!(again.as_str() == text, "not canonical");
    }
}

/// Base 32 in lower case, as `keyring::armor` writes it.
fn armor(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 8 / 5 + 2);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in bytes {
        bits = bits << 8 | u32::from(*byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            text.push(digit(bits >> count & 31));
        }
        bits &= (1 << count) - 1;
    }
    if count > 0 {
        text.push(digit(bits << (5 - count) & 31));
    }
    text
}

fn digit(value: u32) -> char {
    char::from(b"abcdefghijklmnopqrstuvwxyz234567"[value as usize])
}

/// A configuration, a file of peers, a size, a period: whatever it is.
pub(super) fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    // The owner's own file, of 64 KiB at most: each mistake in it is kept to be told, and a key of nothing but dots is
    // one at every byte, so it costs more than a peer's bytes.
    let settled = within_times(2048, text.len(), || {
        DaemonOptions::default().settle(Some(text), |_| Some("/home/somebody".into()))
    });
    if let Err(error) = settled {
        assert!(!error.to_string().is_empty());
    }
    for peer in within(text.len(), || dfsd::server::read_peers(text)) {
        assert!(text.contains(&peer.peer.address));
    }
    if let Ok(size) = text.parse::<Size>() {
        assert!(size.to_string().parse() == Ok(size), "{text}");
    }
    let _ = text.parse::<Period>();
}
