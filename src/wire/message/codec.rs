//! The bytes of messages: one table from which encoder and decoder are both made.
//!
//! Knows no state. Invariant: a tag, once given, keeps its meaning; fields stand in the order of
//! the table.

use super::{
    BlockRef, ExpiredRecord, Hello, ListedVersion, Member, Message, NodeStatus, PeerAddress,
    PushedRecord, RangeSummary, Reason, Role, VersionMark,
};
use crate::limits::{
    INLINE_BLOCK_MAX, MESSAGE_IDS_MAX, MESSAGE_PEERS_MAX, MESSAGE_PRESENCES_MAX,
    MESSAGE_RANGES_MAX, MESSAGE_RECORDS_MAX, MESSAGE_VERSIONS_MAX, NAMES_QUESTION_MAX,
    NETWORK_ADDRESS_MAX, NODE_ADDRESSES_MAX, OFFER_BLOCKS_MAX, PARENTS_MAX, PUT_RECORDS_MAX,
    RECORD_MAX, TROUBLE_MAX, TWINS_TOLD_MAX,
};
use crate::wire::Malformed;
use crate::wire::condition;
use crate::wire::cursor::{Field, Reader, put_clipped_list, require};
use crate::wire::frame::{block_length, has_leaves};
use crate::wire::names::SealedNames;
use bytes::Bytes;

macro_rules! put {
    ($field:expr, $out:ident) => {
        Field::put($field, $out)
    };
    ($field:expr, $out:ident, $max:expr) => {
        put_clipped_list($field, $max, $out)
    };
}

macro_rules! take {
    ($from:ident) => {
        Field::take($from)?
    };
    ($from:ident, $max:expr) => {
        $from.list($max)?
    };
}

/// Rows `tag Name { field, list[bound] } if rule;`.
macro_rules! messages {
    ($($tag:literal $name:ident { $($field:ident $([$max:expr])?),* } $(if $rule:expr)?;)*) => {
        impl Message {
            /// Appends the message. Of a list or text that is longer than its limit the beginning is written: the
            /// constructors in `bounded` make as many messages as it takes, or say how many there are.
            pub fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    Self::Hello(hello) => {
                        out.push(1);
                        hello.put(out);
                    }
                    $(Self::$name { $($field),* } => {
                        out.push($tag);
                        $(put!($field, out $(, $max)?);)*
                    })*
                }
            }

            fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                match u8::take(from)? {
                    1 => Hello::take(from).map(Self::Hello),
                    $($tag => {
                        $(let $field = take!(from $(, $max)?);)*
                        $(require($rule, concat!("a rule of ", stringify!($name)))?;)?
                        Ok(Self::$name { $($field),* })
                    })*
                    _ => Err(Malformed("an unknown message")),
                }
            }
        }
    };
}

messages! {
    2 Ping { token };
    3 Pong { token };
    4 Peers { peers[MESSAGE_PRESENCES_MAX] };

    10 Head { request, space, name, relay };
    11 Heads { request, clock, versions[MESSAGE_VERSIONS_MAX], all, future[PARENTS_MAX], log_damage, kept, shown };
    12 Put {
        request, conditions[PUT_RECORDS_MAX], records[PUT_RECORDS_MAX], blocks[PUT_RECORDS_MAX]
    } if all_within(&records, RECORD_MAX) && all_within(&blocks, INLINE_BLOCK_MAX)
        && condition::fit(&conditions, records.len());
    13 PutDone { request, copies };
    24 DamagedHeads {
        request, clock, versions[MESSAGE_VERSIONS_MAX], all, future[PARENTS_MAX], kept
    };
    14 PutPage { request, page, permit };
    15 PageDone { request };
    16 GetPage { request, address };
    17 Page { request, page };
    18 Offer { request, blocks[OFFER_BLOCKS_MAX], permit };
    19 Want { block, first, count } if has_run(&block, first, count);
    20 Have { addresses[MESSAGE_IDS_MAX] };
    21 Absent { address };
    22 Suspect { address };
    26 Settled { upto };
    23 Coming { address };
    25 Damaged { address };

    30 Records { items[MESSAGE_RECORDS_MAX] };
    31 Compare { range, told, cut, settings };
    32 Ids { first, last, ids[MESSAGE_IDS_MAX] } if first <= last;
    33 Fetch { ids[MESSAGE_IDS_MAX] };
    34 Parts { first, last, ranges[MESSAGE_RANGES_MAX] } if first <= last;
    35 Room { free };
    36 Expired { records[MESSAGE_IDS_MAX] };
    37 SettingsDiffer {};

    40 List { request, space, after, future };
    41 Listed { request, records[MESSAGE_RECORDS_MAX], next, damaged, sync, log_damage }
        if all_within(&records, RECORD_MAX);
    42 Holders { request, record };
    43 HoldersAre { request, count, holders[MESSAGE_PEERS_MAX] } if holders.len() as u64 <= u64::from(count);
    44 Holds { request, record };
    45 HoldsIs { request, holds };
    46 Status { request };
    47 StatusIs { request, status };
    48 Members { request };
    49 MembersAre { request, members[MESSAGE_PEERS_MAX] };
    50 Verify { request, after };
    51 Verified { request, good, bytes, bad[MESSAGE_IDS_MAX], next };
    55 Versions { request, space, name, before, limit };
    56 VersionsAre { request, versions[MESSAGE_RECORDS_MAX], next, sync, log_damage };
    57 ListPast { request, space, after, view };
    52 ListNames { request, future, question } if is_question(&question);
    53 NamesListed { request, records[MESSAGE_RECORDS_MAX], found, damaged, sync, log_damage }
        if all_within(&records, RECORD_MAX);
    54 NotInOrder { request };
    58 BeingOrdered { request };
    60 Refused { request, reason, detail };
}

impl Message {
    /// Reads exactly one message.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let message = Self::take(&mut from)?;
        from.finish()?;
        Ok(message)
    }
}

fn has_run(block: &BlockRef, first: u8, count: u8) -> bool {
    has_leaves(block.length, first, count)
}

fn all_within(items: &[Bytes], max: usize) -> bool {
    items.iter().all(|item| is_within(item, max))
}

fn is_question(sealed: &SealedNames) -> bool {
    sealed.bytes.len() <= NAMES_QUESTION_MAX
}

fn is_within(item: &Bytes, max: usize) -> bool {
    item.len() <= max
}

/// Rows `Name { field, list[bound] } if rule;` for what messages are made of.
macro_rules! parts {
    ($($name:ident { $($field:ident $([$max:expr])?),* } $(if $rule:expr)?;)*) => {$(
        impl Field for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $(put!(&self.$field, out $(, $max)?);)*
            }

            fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                let value = Self { $($field: take!(from $(, $max)?)),* };
                #[allow(unused_variables, reason = "for the rule, if there is one")]
                let Self { $($field),* } = &value;
                $(require($rule, concat!("a rule of ", stringify!($name)))?;)?
                Ok(value)
            }
        }
    )*};
}

parts! {
    Hello { role, verify_key, boot, addresses[NODE_ADDRESSES_MAX], store, group, clock }
        if addresses.iter().all(|address| is_network_address(address));
    BlockRef { address, length } if block_length(*length).is_ok();
    PeerAddress { node, address } if is_network_address(address);
    PushedRecord { record, block }
        if is_within(record, RECORD_MAX) && is_within(block, INLINE_BLOCK_MAX);
    RangeSummary { first, last, count, fingerprint } if first <= last;
    ExpiredRecord { record, at_ms };
    VersionMark { version, record };
    ListedVersion { version, superseded, record } if is_within(record, RECORD_MAX);
    Member { peer, connected, last_seen_ms, trouble } if trouble.len() <= TROUBLE_MAX;
    NodeStatus {
        node, address, uptime_s, names, records, blocks, block_bytes, incomplete, damaged,
        unnamed, unnamed_bytes, collection, free_bytes, full, memory_used, memory_max, peers_connected,
        peers_known, group, sync, log_damage, twins[TWINS_TOLD_MAX], began_ms, log_use
    } if is_network_address(address);
}

/// Printable, without blanks, not too long; empty for unknown.
pub(in crate::wire) fn is_network_address(text: &str) -> bool {
    text.len() <= NETWORK_ADDRESS_MAX && text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl Field for Role {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Node => 1,
            Self::Client => 2,
        });
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match u8::take(from)? {
            1 => Ok(Self::Node),
            2 => Ok(Self::Client),
            _ => Err(Malformed("an unknown role")),
        }
    }
}

impl Field for Reason {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::NotAllowed => 1,
            Self::Malformed => 2,
            Self::Missing => 3,
            Self::Exists => 4,
            Self::NoSpace => 5,
            Self::Clock => 6,
            Self::Unavailable => 7,
            Self::Damaged => 8,
            Self::Changed => 9,
        });
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match u8::take(from)? {
            1 => Ok(Self::NotAllowed),
            2 => Ok(Self::Malformed),
            3 => Ok(Self::Missing),
            4 => Ok(Self::Exists),
            5 => Ok(Self::NoSpace),
            6 => Ok(Self::Clock),
            7 => Ok(Self::Unavailable),
            8 => Ok(Self::Damaged),
            9 => Ok(Self::Changed),
            _ => Err(Malformed("an unknown reason")),
        }
    }
}

#[cfg(test)]
mod tests;
