//! How `dfs peers` looks, for a person and for a script.
//!
//! Pure. Invariant: a field of the JSON keeps its name for ever; further ones may come.

use std::time::Duration;

use crate::cli::json;
use crate::cli::text::{human_time, known_time, shown, table};
use crate::wire::message::Member;
use serde::Serialize;

/// One other node as a JSON object.
pub(crate) fn peer_json(member: &Member) -> String {
    #[derive(Serialize)]
    struct Json<'a> {
        node: String,
        address: &'a str,
        connected: bool,
        last_seen_ms: u64,
        /// Null for never.
        last_seen: Option<String>,
        /// Why it cannot be reached; null if it is, or was not tried.
        error: Option<&'a str>,
    }
    json::line(&Json {
        node: member.peer.node.to_string(),
        address: &member.peer.address,
        connected: member.connected,
        last_seen_ms: member.last_seen_ms,
        last_seen: known_time(member.last_seen_ms),
        error: Some(member.trouble.as_str()).filter(|trouble| !trouble.is_empty()),
    })
}

/// The other nodes for a person. `now_ms` is milliseconds since 1970.
pub(crate) fn peer_lines(members: &[Member], now_ms: u64) -> Vec<String> {
    if members.is_empty() {
        return vec!["no other nodes known".to_owned()];
    }
    let row = |member: &Member| {
        let state = if member.connected { "connected" } else { "offline" };
        let node = member.peer.node.short();
        vec![node, shown(&member.peer.address), state.to_owned(), last_seen(member, now_ms)]
    };
    let mut rows: Vec<_> = members.iter().map(row).collect();
    if members.iter().all(|member| member.trouble.is_empty()) {
        return table(&["NODE", "ADDRESS", "STATE", "LAST SEEN"], &rows);
    }
    for (row, member) in rows.iter_mut().zip(members) {
        row.push(shown(&member.trouble));
    }
    table(&["NODE", "ADDRESS", "STATE", "LAST SEEN", "CANNOT REACH"], &rows)
}

fn last_seen(member: &Member, now_ms: u64) -> String {
    match member.last_seen_ms {
        _ if member.connected => "now".to_owned(),
        0 => "never".to_owned(),
        seen_ms => {
            let ago = Duration::from_millis(now_ms.saturating_sub(seen_ms));
            format!("{} ago", human_time(ago))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeId;
    use crate::wire::message::PeerAddress;

    fn member(connected: bool, last_seen_ms: u64) -> Member {
        let peer = PeerAddress { node: NodeId([0xab; 32]), address: "10.0.0.1:7400".to_owned() };
        Member { peer, connected, last_seen_ms, trouble: String::new() }
    }

    #[test]
    fn peers_for_people() {
        let members = [member(true, 5), member(false, 0), member(false, 1000)];
        let expected = [
            "NODE      ADDRESS        STATE      LAST SEEN",
            "abababab  10.0.0.1:7400  connected  now",
            "abababab  10.0.0.1:7400  offline    never",
            "abababab  10.0.0.1:7400  offline    4 s ago",
        ];
        assert_eq!(peer_lines(&members, 5000), expected);
        assert_eq!(peer_lines(&[], 5000), ["no other nodes known"]);
        let trouble = "nowhere:1: Name or service not known\u{1b}".to_owned();
        let members = [member(true, 5), Member { trouble, ..member(false, 0) }];
        let expected = [
            "NODE      ADDRESS        STATE      LAST SEEN  CANNOT REACH",
            "abababab  10.0.0.1:7400  connected  now",
            "abababab  10.0.0.1:7400  offline    never      nowhere:1: Name or service not known\\u{1b}",
        ];
        assert_eq!(peer_lines(&members, 5000), expected);
    }

    #[test]
    fn peers_for_scripts() {
        let line = peer_json(&member(true, 5));
        let end = r#""address":"10.0.0.1:7400","connected":true,"last_seen_ms":5,"last_seen":"1970-01-01T00:00:00.005000000Z","error":null}"#;
        assert!(line.starts_with(r#"{"node":"abab"#) && line.ends_with(end), "{line}");
        let line = peer_json(&Member { trouble: "x:1: no".to_owned(), ..member(false, 0) });
        let end = r#""last_seen_ms":0,"last_seen":null,"error":"x:1: no"}"#;
        assert!(line.ends_with(end), "{line}");
    }
}
