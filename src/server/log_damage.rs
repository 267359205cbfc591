//! Damage of the log that a start could not decode: nobody can say which names it was about, so that what is here may be
//! the past.
//!
//! Knows no record. Invariant: it is told with lists and the status until a node that may have what was lost has told all
//! that it knows; a node that came with little can have been filled from here, and proves nothing until the next start.

use super::context::Context;
use super::links::Peer;
use super::work::Job;
use crate::ids::{Hash, NodeId};
use crate::index::IndexBuilder;
use crate::limits::PEERS_MAX;
use crate::seeded::{self, Bug};
use crate::store::values::RecoveryReport;
use crate::wire::log_damage::LogDamage;
use std::collections::BTreeSet;

/// See the module.
#[derive(Debug)]
pub(super) struct Undecoded {
    /// The id of all that the start has found.
    damage: Hash,
    /// Nodes that had little when they first compared with this one.
    newcomers: BTreeSet<NodeId>,
}

impl Undecoded {
    /// What a start has found. What is left of records and cannot be believed goes to the catalog, as far as that says which
    /// they were.
    pub(super) fn new(
        recovered: &RecoveryReport,
        grants: &[Vec<u8>],
        builder: &mut IndexBuilder,
    ) -> (Self, LogDamage) {
        let (mut left, damage) = (recovered.log_damage, recovered.damage);
        builder.allow(grants);
        builder.believe(&recovered.remains, |catalog, remains| {
            if !catalog.insert_remains(remains) {
                left.add(remains.bytes.len() as u64);
            }
        });
        (Self { damage, newcomers: BTreeSet::new() }, left)
    }

    /// A node has compared with this one, and had more than a few records when it came, or not. Gives whether it may have
    /// what was lost.
    fn met(&mut self, node: NodeId, had_much: bool) -> bool {
        if !had_much && self.newcomers.len() < PEERS_MAX {
            self.newcomers.insert(node);
        }
        let is_known = had_much && self.newcomers.len() < PEERS_MAX;
        (is_known && !self.newcomers.contains(&node)) || seeded::is_on(Bug::NewcomerMakesGood)
    }

    /// Looks whether a node has told by now all that was lost.
    pub(super) fn judge(&mut self, cx: &mut Context) {
        if !cx.index.undecoded.is_any() && !cx.index.catalog.guessed().is_any() {
            return;
        }
        let met = |peer: &Peer| Some((peer.node()?, peer.progress.had_much?));
        let peers = cx.links.node_peers().map(|(_, peer)| peer);
        let mut is_told = false;
        for peer in peers {
            // None if it has not said yet how much it has.
            if let Some((node, had_much)) = met(peer) {
                is_told |= self.met(node, had_much) && peer.progress.all;
            }
        }
        if is_told {
            self.make_good(cx);
        }
    }

    fn make_good(&self, cx: &mut Context) {
        log::info!(
            "what the damage of the log may have cost was compared with another node and is here"
        );
        cx.index.catalog.forget_guesses();
        cx.index.undecoded = LogDamage::default();
        cx.index.renew_settings();
        cx.job(Job::MadeGood { damage: self.damage });
    }
}
