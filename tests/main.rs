//! All integration tests, as one program. This file is the map: where a subject is tested, and which promises of the design
//! would be seen broken there.
//!
//! | file | subject | promise |
//! |---|---|---|
//! | `attack/accept_limits` | strangers, handshakes and dials without sockets: who gets in, who gives way | G9 |
//! | `attack/descriptors` | descriptor exhaustion | G9 |
//! | `attack/limits` | every limit, and which tests attack it | G9 |
//! | `attack/lists` | lists and texts that are one too long | G9 |
//! | `attack/many` | thousands of idle, slow and senseless connections | G9 |
//! | `attack/reservations` | memory that is announced and never filled | G9 |
//! | `attack/slow_readers` | backpressure: those who ask and do not read | G9 |
//! | `crash` | every disk that a power cut may leave, after every call | G1 G2 G3 G6 |
//! | `crash/indexes` | indexes of segments: what a start finds by them, and which are none | G1 G2 G6 |
//! | `crash/collection` | what expires, is collected, compacted and indexed, at every call | G1 G2 G6 G8 |
//! | `crash/calls` | every call to the disk fails, once and for good | G1 G2 G8 G9 |
//! | `daemon/check` | `dfsd check` and its rebuild | G2 G7 |
//! | `daemon/copies` | two nodes with one key | G3 |
//! | `daemon/crash` | kill -9 | G1 |
//! | `daemon/crowd` | more sockets than a daemon can have | G9 |
//! | `daemon/damage` | rot on a disk: found, repaired, never given out | G2 G3 G7 |
//! | `daemon/distribution` | files reach nodes that were away, late, wiped or frozen | G5 G7 |
//! | `daemon/files` | every command of `dfs` | G2 G4 |
//! | `daemon/future` | what is dated in the future | G4 |
//! | `daemon/health` | processor time, memory and descriptors at rest | G12 |
//! | `daemon/journal` | a log that nobody reads | G9 |
//! | `daemon/json` | the keys of every `--json`, and the table of them in the README | |
//! | `daemon/keys` | lost and damaged keys | G10 |
//! | `daemon/large` | up to a million names | G5 G12 |
//! | `daemon/limits` | limits that the system sets for a process | G9 |
//! | `daemon/load` | `dfs-load` | |
//! | `daemon/local_network` | `make run`, once and again | |
//! | `daemon/oddities` | what somebody else has put into a data folder | G9 |
//! | `daemon/prefixes` | what a prefix means in `ls`, `get -r`, `verify` and `rm -r`; folders where a file is meant | G2 |
//! | `daemon/proxy` | the bad network that other tests use, tested itself | |
//! | `daemon/ranges` | parts of files, and gets that go on with what is there | G2 |
//! | `daemon/refusals` | what cannot be done: its sentence and its exit status | G9 |
//! | `daemon/rounds` | three daemons killed under load, again and again | G1 G2 G3 G4 G6 |
//! | `daemon/rounds/ledger` | the judge of these rounds, tested itself | |
//! | `daemon/rounds/network_chaos` | network chaos: frozen, slow, cut, damaged | G2 G5 G9 |
//! | `daemon/rounds/report` | their report, tested itself | |
//! | `daemon/secrecy` | nothing readable on a disk or a socket | G10 |
//! | `daemon/settings` | what a network is set to, on all its nodes | G5 G8 |
//! | `daemon/start` | starts on new, lost and own folders, with tickets good or gone; hangups | G4 G9 |
//! | `daemon/swaps` | careless and hostile neighbours of the files of `dfs put` and `dfs get` | G2 |
//! | `daemon/sync` | a folder that is kept in step: what is skipped, `--delete` and `-n` | G6 |
//! | `daemon/terminal` | progress on terminals of any width; Ctrl-C and SIGTERM | G2 G9 |
//! | `daemon/texts` | help and sentences: all that is printed for people | |
//! | `daemon/trees` | what comes back of a folder is what went in; sources and destinations of `dfs` | G2 |
//! | `daemon/versions` | `dfs versions`, `restore`, and lists of the past | G2 G4 |
//! | `daemon/volume` | full and failing volumes | G1 G9 |
//! | `daemon/waiting` | `dfs` while its daemon starts, or does not | G9 |
//! | `embed` | a program that embeds a node | G2 G9 G10 |
//! | `embedded_node` | a node in a thread of a program, through a handle | G2 G9 |
//! | `endings` | how connections between honest nodes may end | G9 |
//! | `fuzz` | every decoder, on the corpus of the fuzzer | G2 G9 |
//! | `fuzz/checks/meter` | what a decoder may allocate | G9 |
//! | `fuzz/seeds` | where the corpus begins | |
//! | `seeded` | the tests tested: each seeded bug is found | |
//! | `sim/client/deadlines` | timeouts of a session | G9 |
//! | `sim/client/elsewhere` | retry: what one node fails another may do | G9 |
//! | `sim/client/files` | put, get, delete, rename and list in a network | G2 G4 |
//! | `sim/client/forger` | a node that forges what it shows | G2 |
//! | `sim/client/heads` | names with very many heads | G4 G6 |
//! | `sim/client/in_order` | lists in order: pages, levels, while others write, by nodes that lie | G2 G3 G10 |
//! | `sim/client/hostile` | a node that lies, refuses or keeps silent | G2 G9 |
//! | `sim/client/ranges` | parts of files: exact, and no more asked for than they touch or lack | G2 G9 |
//! | `sim/client/versions` | the versions of a name, and what names were | G2 G4 G9 |
//! | `sim/compaction` | compaction of the log: kept, gone, read and damaged things meanwhile | G1 G2 G6 G8 |
//! | `sim/collection` | what no record names goes, and nothing else | G1 G8 |
//! | `sim/comparison` | reconciliation of many records | G5 |
//! | `sim/conditions` | conflicts: puts and renames with conditions | G4 |
//! | `sim/damaged_group` | what a start believes of a damaged group | G2 G3 |
//! | `sim/disk` | a store without a node: power cuts, failed flushes, rot | G1 |
//! | `sim/dripping` | slow senders, and readers who wait for them | G9 |
//! | `sim/exhaustion` | memory, descriptors and disks run short | G2 G9 |
//! | `sim/expiry` | superseded versions expire, on nodes that agree | G4 G6 G8 G12 |
//! | `sim/floods` | requests that cost the asker nothing | G9 |
//! | `sim/future` | what is dated in the future | G3 G4 |
//! | `sim/hostile` | members that break the rules | G2 G9 |
//! | `sim/keep_versions` | of each name so many superseded versions stay, on nodes that agree | G4 G8 G12 |
//! | `sim/late_delivery` | leaves that come when nobody waits for them | G9 |
//! | `sim/links` | connections between honest nodes last | G9 |
//! | `sim/lost` | what was found damaged: put again meanwhile, or needed no more | G1 G2 G12 |
//! | `sim/pages` | files whose block lists have pages | G2 G7 |
//! | `sim/permits` | blocks and pages without a writer's permit | G9 |
//! | `sim/promises` | single promises in the smallest world | G1 G2 G3 G4 G5 G6 |
//! | `sim/refusals` | what a node refuses, and what it says of that | G9 |
//! | `sim/remains` | a rotten record hides what was before it | G3 |
//! | `sim/replication` | push and download between nodes | G5 G7 |
//! | `sim/rest` | at rest nothing happens | G12 |
//! | `sim/room` | a node without room | G7 G9 |
//! | `sim/rumours` | the address book and what peers say of nodes | G9 |
//! | `sim/short` | the retry queue: what is missing and when it is asked for | G7 G12 |
//! | `sim/stopping` | shutdown | G1 |
//! | `sim/swarm/bulk` | many records in a swarm, tested itself | |
//! | `sim/swarm/content` | content of a swarm's files, tested itself | |
//! | `sim/swarm/key_search` | substring search for keys, tested itself | |
//! | `sim/swarm/ledger` | what clients have written, tested itself | |
//! | `sim/swarm/oracles/agreement` | all nodes show the same | G5 |
//! | `sim/swarm/oracles/authority` | who has no write key changes nothing | G4 |
//! | `sim/swarm/oracles/conditional` | conditional puts | G3 G4 |
//! | `sim/swarm/oracles/copies` | claimed copies exist | G1 G7 |
//! | `sim/swarm/oracles/durable` | acknowledged puts survive | G1 |
//! | `sim/swarm/oracles/exact` | exact bytes or an error | G2 |
//! | `sim/swarm/oracles/expired` | what has expired is gone, and its room is back | G8 G12 |
//! | `sim/swarm/oracles/history` | read your own write | G3 |
//! | `sim/swarm/oracles/keys` | one key, one plaintext | G10 |
//! | `sim/swarm/oracles/links` | honest connections last | G9 |
//! | `sim/swarm/oracles/lists` | lists of versions | G4 |
//! | `sim/swarm/oracles/meter` | budgets of memory | G9 |
//! | `sim/swarm/oracles/moves` | renames | G3 G4 |
//! | `sim/swarm/oracles/reach` | blocks of every kept version | G8 |
//! | `sim/swarm/oracles/rest` | traffic and jobs at rest | G12 |
//! | `sim/swarm/oracles/secrecy` | plaintext and keys on wires and disks | G10 |
//! | `sim/swarm/oracles/starts` | a start finds what the node knew before it | G1 G6 G8 |
//! | `sim/swarm/oracles/tombstones` | deleted names | G6 |
//! | `sim/swarm/oracles/typed` | errors fit what happened | G9 |
//! | `sim/swarm/oracles/versions` | concurrent versions | G4 |
//! | `sim/swarm/runner` | many seeds of nodes, clients and faults under all oracles | all, and G11 |
//! | `sim/sweep` | every call of a node's disk fails while it works with others | G1 G2 G9 |
//! | `sim/sync` | what a node says while it synchronises | G3 G5 |
//! | `sim/twins` | two live nodes with one key | G9 |
//! | `tidy` | the structure of the source | |

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "tests may use what the machine has"
)]

mod access;
mod attack;
mod crash;
mod daemon;
mod embed;
mod embedded_node;
mod endings;
mod fuzz;
#[cfg(feature = "seeded-bugs")]
mod seeded;
mod sim;
#[path = "../benches/suite/main.rs"]
mod suite;
mod tidy;

#[global_allocator]
static COUNTING: fuzz::checks::meter::Counting = fuzz::checks::meter::Counting;
