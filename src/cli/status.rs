//! How `dfs status` looks, for a person and for a script.
//!
//! Pure. Invariant: a field of the JSON keeps its name for ever; further ones may come.

use std::time::Duration;

use crate::cli::text::{counted, human_size, human_time, known_time, local_date, shown, time_of};
use crate::cli::{json, sync};
use crate::ids::NodeId;
use crate::session::log_damage;
use crate::wire::collection::{CollectionStatus, CollectionVoid};
use crate::wire::log_use::LogUse;
use crate::wire::message::NodeStatus;
use crate::wire::sync_state::SyncState;
use serde::Serialize;

/// The node's state as a script may know it.
#[derive(Serialize)]
struct StatusJson<'a> {
    node: String,
    address: &'a str,
    uptime_s: u64,
    names: u64,
    records: u64,
    sync: &'static str,
    records_known: u64,
    log_damage: u32,
    log_damage_bytes: u64,
    blocks: u64,
    block_bytes: u64,
    incomplete: u64,
    damaged: u64,
    unnamed: u64,
    unnamed_bytes: u64,
    reclaimable: u64,
    reclaimable_bytes: u64,
    /// When something was last collected, and how much.
    collected_at: Option<String>,
    collected: u64,
    collected_bytes: u64,
    /// When it was last counted what is needed, and what for.
    counted_at: Option<String>,
    shown_bytes: Option<u64>,
    undo_bytes: Option<u64>,
    /// When the next version that is kept for undo goes.
    undo_next: Option<String>,
    /// Why nothing is collected.
    collection_stopped: Option<&'static str>,
    log_segments: u32,
    log_bytes: u64,
    log_needed_bytes: u64,
    /// When a segment was last removed.
    compacted: Option<String>,
    compaction_written_bytes: u64,
    compaction_freed_bytes: u64,
    free_bytes: u64,
    full: bool,
    memory_used: u64,
    memory_max: u64,
    peers_connected: u32,
    peers_known: u32,
    group: u64,
    twins: Vec<String>,
    /// When the node began its network, if it knows no other node of it.
    new_network_since: Option<String>,
}

/// The node's state as one JSON object.
pub(crate) fn status_json(status: &NodeStatus) -> String {
    json::line(&StatusJson {
        node: status.node.to_string(),
        address: &status.address,
        uptime_s: status.uptime_s,
        names: status.names,
        records: status.records,
        sync: sync::word(status.sync),
        records_known: match status.sync {
            SyncState::Syncing { of, .. } => of,
            SyncState::Complete | SyncState::Unreached => status.records,
        },
        log_damage: status.log_damage.places,
        log_damage_bytes: status.log_damage.bytes,
        blocks: status.blocks,
        block_bytes: status.block_bytes,
        incomplete: status.incomplete,
        damaged: status.damaged,
        unnamed: status.unnamed,
        unnamed_bytes: status.unnamed_bytes,
        reclaimable: status.collection.reclaimable,
        reclaimable_bytes: status.collection.reclaimable_bytes,
        collected_at: known_time(status.collection.collected_ms),
        collected: status.collection.collected,
        collected_bytes: status.collection.collected_bytes,
        counted_at: known_time(status.collection.counted_ms),
        shown_bytes: counted_bytes(status, status.collection.shown_bytes),
        undo_bytes: counted_bytes(status, status.collection.undo_bytes),
        undo_next: known_time(status.collection.undo_next_ms),
        collection_stopped: stopped(status.collection.void),
        log_segments: status.log_use.segments,
        log_bytes: status.log_use.bytes,
        log_needed_bytes: status.log_use.needed,
        compacted: known_time(status.log_use.compacted_ms),
        compaction_written_bytes: status.log_use.rewritten,
        compaction_freed_bytes: status.log_use.freed,
        free_bytes: status.free_bytes,
        full: status.full,
        memory_used: status.memory_used,
        memory_max: status.memory_max,
        peers_connected: status.peers_connected,
        peers_known: status.peers_known,
        group: status.group,
        twins: status.twins.iter().map(ToString::to_string).collect(),
        new_network_since: known_time(status.began_ms),
    })
}

fn counted_bytes(status: &NodeStatus, bytes: u64) -> Option<u64> {
    (status.collection.counted_ms > 0).then_some(bytes)
}

/// The node's state for a person.
pub(crate) fn status_lines(status: &NodeStatus) -> Vec<String> {
    let health = match status.incomplete {
        0 if status.damaged > 0 || status.log_damage.is_any() => {
            "damaged: see the warnings below".to_owned()
        }
        0 if status.full => "no room: see the warning below".to_owned(),
        0 if status.peers_connected == 0 && status.peers_known > 0 => {
            "all files complete on this node, but no other node is connected".to_owned()
        }
        0 => "all files complete on this node".to_owned(),
        count => format!("{} incomplete on this node", counted(count, "file")),
    };
    let mut rows = vec![
        ("node", status.node.to_string()),
        ("address", shown(&status.address)),
        ("up", human_time(Duration::from_secs(status.uptime_s))),
        ("peers", format!("{} of {} connected", status.peers_connected, status.peers_known)),
        ("names", format!("{} ({})", status.names, counted(status.records, "record"))),
        ("sync", sync::row(status.sync)),
        ("blocks", format!("{} ({})", status.blocks, human_size(status.block_bytes))),
        ("log", log(&status.log_use)),
        ("needed", needed(&status.collection)),
        ("undo", undo(&status.collection)),
        ("unneeded", unneeded(&status.collection)),
        ("health", health),
        ("disk", format!("{} free", human_size(status.free_bytes))),
        ("memory", memory(status)),
    ];
    if status.began_ms > 0 {
        let began = local_date(time_of(status.began_ms));
        let what = format!("begun on this node, {began}; no other node is known");
        rows.insert(2, ("network", what));
    } else if status.peers_known == 0 {
        let what = "no other node of this network is known: take a ticket where one runs (dfs ticket --out FILE) and start \
                    this one with --join FILE";
        rows.push(("warning", what.to_owned()));
    }
    if status.unnamed > 0 {
        let bytes = human_size(status.unnamed_bytes);
        rows.push(("unnamed", format!("{} blocks of unfinished puts ({bytes})", status.unnamed)));
    }
    if let Some(why) = stopped(status.collection.void) {
        rows.push(("warning", format!("no space is given back on this node: {why}")));
    }
    if status.log_damage.is_any() {
        let what = log_damage(&status.log_damage);
        rows.push(("warning", format!("names may be missing or out of date here: {what}")));
    }
    if status.full {
        let what = "not all that other nodes have comes here, and the rest is read from them";
        rows.push(("warning", format!("the disk has no room beyond its reserve: {what}")));
    }
    if status.damaged > 0 {
        let versions = if status.damaged == 1 { "version is" } else { "versions are" };
        let what = "damaged here, and no other node has given what was there";
        rows.push(("warning", format!("{} {versions} {what}", status.damaged)));
    }
    let twins = status.twins.iter().map(|node| ("warning", twin(*node)));
    rows.into_iter().chain(twins).map(|(what, value)| format!("{what:<8} {value}")).collect()
}

fn twin(node: NodeId) -> String {
    format!(
        "two nodes run with the key of node {}: stop one, and start it once with --new-node-key",
        node.short()
    )
}

/// What is shown needs.
fn needed(collection: &CollectionStatus) -> String {
    match collection.counted_ms {
        0 => "not counted yet".to_owned(),
        at => {
            let shown = human_size(collection.shown_bytes);
            format!("{shown} by what is shown, as of {}", local_date(time_of(at)))
        }
    }
}

/// What only earlier versions need.
fn undo(collection: &CollectionStatus) -> String {
    let kept = match collection.counted_ms {
        0 => "not counted yet".to_owned(),
        _ => format!("{} kept for earlier versions", human_size(collection.undo_bytes)),
    };
    match collection.undo_next_ms {
        0 => kept,
        at => format!("{kept}; the next goes {}", local_date(time_of(at))),
    }
}

/// What nothing stored needs any more.
fn unneeded(collection: &CollectionStatus) -> String {
    let CollectionStatus { reclaimable, reclaimable_bytes, collected, collected_bytes, .. } =
        *collection;
    let all = |count, bytes| format!("{} ({})", counted(count, "block"), human_size(bytes));
    let now = all(reclaimable, reclaimable_bytes);
    match collection.collected_ms {
        0 => now,
        at => {
            let gone = all(collected, collected_bytes);
            format!("{now}; {gone} removed {}", local_date(time_of(at)))
        }
    }
}

/// Why nothing is collected, if nothing is.
fn stopped(void: CollectionVoid) -> Option<&'static str> {
    match void {
        CollectionVoid::No => None,
        CollectionVoid::Damaged => Some("records are damaged, and what they need is not known"),
        CollectionVoid::Page => Some(
            "a page of a file's list of blocks is missing; dfs verify tells of which: store it again, or remove it",
        ),
        CollectionVoid::Disk => Some("the disk could not be read or written"),
    }
}

fn log(log_use: &LogUse) -> String {
    let LogUse { segments, bytes, needed, compacted_ms, freed, .. } = *log_use;
    let takes = format!("{} in {}", human_size(bytes), counted(u64::from(segments), "segment"));
    let takes = format!("{takes}, {} needed", human_size(needed));
    match compacted_ms {
        0 => takes,
        at => format!("{takes}; {} freed, last {}", human_size(freed), local_date(time_of(at))),
    }
}

fn memory(status: &NodeStatus) -> String {
    format!("{} of {} in use", human_size(status.memory_used), human_size(status.memory_max))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::log_damage::LogDamage;

    #[test]
    fn status_says_that_a_network_is_new_or_that_nobody_is_known() {
        let status = NodeStatus { began_ms: 951_826_154_000, ..NodeStatus::default() };
        let text = status_lines(&status).join("\n");
        let parts = ["network  begun on this node, 2000-0", "; no other node is known"];
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        assert!(!text.contains("warning"), "{text}");
        let json = status_json(&status);
        assert!(json.ends_with(r#","new_network_since":"2000-02-29T12:09:14Z"}"#), "{json}");
        let text = status_lines(&NodeStatus::default()).join("\n");
        assert!(text.contains("warning  no other node of this network is known"), "{text}");
        assert!(status_json(&NodeStatus::default()).ends_with(r#","new_network_since":null}"#));
    }

    #[test]
    fn status_says_what_the_log_takes() {
        let log_use =
            LogUse { segments: 3, bytes: 192 << 20, needed: 1 << 20, ..LogUse::default() };
        let status = NodeStatus { log_use, ..NodeStatus::default() };
        let text = status_lines(&status).join("\n");
        assert!(text.contains("log      192.0 MiB in 3 segments, 1.0 MiB needed\n"), "{text}");
        assert!(status_json(&status).contains(r#""compacted":null,"#));
        let log_use = LogUse { compacted_ms: 951_826_154_000, freed: 64 << 20, ..log_use };
        let text = status_lines(&NodeStatus { log_use, ..status }).join("\n");
        assert!(text.contains(" needed; 64.0 MiB freed, last 2000-0"), "{text}");
    }

    #[test]
    fn status_says_what_is_not_needed_any_more() {
        let status = NodeStatus::default();
        let text = status_lines(&status).join("\n");
        assert!(text.contains("unneeded 0 blocks (0 B)\n"), "{text}");
        assert!(status_json(&status).contains(r#""collection_stopped":null,"#));
        assert!(text.contains("undo     not counted yet\n"), "{text}");
        assert!(status_json(&status).contains(r#""counted_at":null,"shown_bytes":null,"#));
        let void = CollectionVoid::Page;
        let collection = CollectionStatus {
            reclaimable: 1,
            reclaimable_bytes: 1 << 20,
            collected_ms: 951_826_154_000,
            collected: 3,
            collected_bytes: 3 << 20,
            counted_ms: 951_826_154_000,
            shown_bytes: 5 << 20,
            undo_bytes: 0,
            undo_next_ms: 0,
            void,
        };
        let status = NodeStatus { collection, ..status };
        let text = status_lines(&status).join("\n");
        let told = "unneeded 1 block (1.0 MiB); 3 blocks (3.0 MiB) removed 2000-0";
        assert!(text.contains(told), "{text}");
        let warning = "warning  no space is given back on this node: a page of";
        assert!(text.contains(warning), "{text}");
        assert!(status_json(&status).contains(r#""collected":3,"#));
        let told = "needed   5.0 MiB by what is shown, as of 2000-0";
        assert!(text.contains(told), "{text}");
        assert!(text.contains("undo     0 B kept for earlier versions\n"), "{text}");
        let json = status_json(&status);
        assert!(
            json.contains(r#""shown_bytes":5242880,"undo_bytes":0,"undo_next":null,"#),
            "{json}"
        );
        let undo_next_ms = 951_826_154_000;
        let collection = CollectionStatus { undo_bytes: 7 << 20, undo_next_ms, ..collection };
        let text = status_lines(&NodeStatus { collection, ..status }).join("\n");
        let told = "undo     7.0 MiB kept for earlier versions; the next goes 2000-0";
        assert!(text.contains(told), "{text}");
    }

    #[test]
    fn status_says_what_is_missing() {
        let (incomplete, block_bytes, peers_known) = (2, 3 << 20, 1);
        let status = NodeStatus { incomplete, block_bytes, peers_known, ..NodeStatus::default() };
        let text = status_lines(&status).join("\n");
        assert!(text.contains("2 files incomplete on this node"), "{text}");
        assert!(text.contains("blocks   0 (3.0 MiB)"), "{text}");
        assert!(status_json(&status).contains(r#""incomplete":2,"#));
        assert!(!text.contains("warning"), "{text}");
        assert!(text.contains("sync     complete"), "{text}");
        let syncing = SyncState::Syncing { records: 3, of: 50 };
        let text = status_lines(&NodeStatus { sync: syncing, ..status.clone() }).join("\n");
        assert!(text.contains("sync     synchronising: 3 of 50 records"), "{text}");
        let json = status_json(&NodeStatus { sync: syncing, ..status.clone() });
        assert!(json.contains(r#""sync":"synchronising","records_known":50,"#), "{json}");
        let log_damage = LogDamage { places: 2, bytes: 430 };
        let damaged = NodeStatus { log_damage, ..status.clone() };
        let text = status_lines(&damaged).join("\n");
        assert!(
            text.contains("warning  names may be missing or out of date here: 2 places"),
            "{text}"
        );
        let text = status_lines(&NodeStatus { full: true, ..status.clone() }).join("\n");
        assert!(text.contains("warning  the disk has no room"), "{text}");
        let damaged = NodeStatus { damaged: 2, incomplete: 0, ..damaged };
        let text = status_lines(&damaged).join("\n");
        assert!(text.contains("warning  2 versions are damaged here"), "{text}");
        assert!(text.contains("health   damaged: see"), "{text}");
        let json = status_json(&damaged);
        assert!(json.contains(r#""log_damage":2,"log_damage_bytes":430,"#), "{json}");
        assert!(json.contains(r#""damaged":2,"#), "{json}");
        let status = NodeStatus { twins: vec![NodeId([7; 32])], ..status };
        let text = status_lines(&status).join("\n");
        assert!(text.contains("warning  two nodes run with the key of node 0707"), "{text}");
        assert!(status_json(&status).contains(r#""twins":["0707"#));
    }
}
