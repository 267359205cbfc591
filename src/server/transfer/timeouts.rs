//! Timeouts: how long what was asked of somebody is waited for, and who is told meanwhile that it comes.
//!
//! A connection that is unresponsive, drips, or withholds what somebody waits for is left for another, which is asked for the
//! leaves that have not come: leaves are independent. Invariant: nobody is left, however slow, for want of another, but
//! who has said nothing for long.

use super::download::{Download, Stage};
use super::downloads::Downloads;
use super::window::Range;
use crate::limits::{
    COMING_PERIOD, LAST_SOURCE_TIMEOUT, OPERATION_TIMEOUT, PACE_PERIOD, PACE_PERIOD_ALONE,
    PEER_TIMEOUT,
};
use crate::seeded::{self, Bug};
use crate::server::context::Context;
use crate::server::links::Links;
use crate::server::output::Link;
use crate::server::timers::Timer;
use crate::wire::message::Message;
use std::collections::BTreeSet;
use std::time::Duration;

/// What is to be done about a connection of which something is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is owed: nobody looks any more.
    Idle,
    /// There is nothing more to be done.
    Stay,
    /// Others are to be asked for what it owes, as far as there are any.
    Leave,
}

impl Downloads {
    /// A connection of which leaves were wanted may have said nothing for long. If memory is short, what is reserved for
    /// it is given back, though it is still waited for; a node is not waited for either where another can be asked, and
    /// longer where none can: the line to it may be slow. While this process slept or was busy elsewhere nobody could be
    /// heard: so much as the look comes late is no silence.
    pub(super) fn check_unresponsive(
        &mut self,
        cx: &mut Context,
        link: Link,
        late: Duration,
    ) -> Verdict {
        // None if the connection has ended since.
        let Some(window) = self.windows.get_mut(link) else {
            return Verdict::Idle;
        };
        window.looked();
        self.freed = true;
        if window.in_flight() == 0 || seeded::is_on(Bug::WaitForever) {
            return Verdict::Idle;
        }
        let now = cx.now.instant;
        let mut heard = cx.links.heard(link);
        if !seeded::is_on(Bug::BlameSilence) {
            heard = (heard + late).min(now);
            cx.links.set_heard(link, heard);
        }
        let silence = now.since(heard);
        let is_node = cx.links.leads_to_node(link);
        let timeout = match is_node {
            true if seeded::is_on(Bug::GiveUpTheLast) => PEER_TIMEOUT,
            true => LAST_SOURCE_TIMEOUT,
            false => OPERATION_TIMEOUT,
        };
        if silence >= timeout {
            cx.links.set_unresponsive(link);
            log::debug!("connection {link} is unresponsive; others are asked instead");
            self.abandon(cx, link);
            return Verdict::Stay;
        }
        if silence < PEER_TIMEOUT {
            return Verdict::Stay;
        }
        window.distrust();
        if cx.memory.is_short() {
            window.give_back(&mut cx.memory);
        }
        if is_node {
            cx.links.set_unresponsive(link);
            return Verdict::Leave;
        }
        Verdict::Stay
    }

    /// Others are asked for what an unresponsive node owes, as far as there are any that have not been asked.
    pub(super) fn leave_unresponsive(&mut self, cx: &mut Context, link: Link) {
        let owed = self.windows.get(link).map(|window| window.owed()).unwrap_or_default();
        for address in owed {
            let download = self.by_address.get(&address);
            let download = download.filter(|download| download.source == Some(link));
            let next = download.and_then(|download| self.windows.source(cx, download, None));
            if next.is_some() {
                self.give_up(cx, link, |range| range.downloads(&address));
                self.source_failed(cx, address, link);
            }
        }
    }

    /// A connection of which leaves are wanted may bring them so slowly that another is asked instead. It is judged sooner
    /// while somebody waits for what it is to bring; a client, which sends what it puts, only then. `takes`: this node
    /// takes what it sends. What is to be done about what it brings for others.
    pub(super) fn check_pace(&mut self, cx: &mut Context, link: Link, takes: bool) -> Verdict {
        let owes =
            |download: &Download| download.source == Some(link) && download.stage == Stage::Asking;
        let (mut owed, mut waited) = (BTreeSet::new(), BTreeSet::new());
        for (address, download) in self.by_address.iter().filter(|(_, it)| owes(it)) {
            owed.insert(*address);
            if download.others_wait(link) {
                waited.insert(*address);
            }
        }
        // None if the connection has ended since.
        let Some(window) = self.windows.get_mut(link) else {
            return Verdict::Idle;
        };
        let is_watched = window.in_flight() > 0 && !seeded::is_on(Bug::TrustSlowSource);
        window.pace.set_watched(is_watched);
        if !is_watched {
            return Verdict::Idle;
        }
        cx.after(PACE_PERIOD, Timer::Pace(link));
        let now = cx.now.instant;
        if !takes {
            window.pace.pause(now);
            return Verdict::Stay;
        }
        let is_waited = |range: &Range| range.pass.is_some() || waited.contains(&range.address());
        let withholds = window.withholds(now, is_waited);
        let is_waited_for = !waited.is_empty() || window.live().any(|range| range.pass.is_some());
        let period = if is_waited_for { PACE_PERIOD } else { PACE_PERIOD_ALONE };
        // What is passed on comes as fast as its readers take it.
        let is_slow = window.pace.judge(now, period).filter(|_| !owed.is_empty());
        let is_left = withholds || is_slow == Some(true);
        match cx.links.get(link).and_then(|peer| peer.node()) {
            None if is_left => self.leave_slow(cx, link, waited),
            Some(node) if is_left => {
                log::debug!(
                    "connection {link} is slow; others are asked for what it has not brought"
                );
                self.windows.judge(node, true, now);
                self.leave_slow(cx, link, owed);
                return Verdict::Leave;
            }
            Some(node) if is_slow == Some(false) => self.windows.judge(node, false, now),
            Some(_) | None => {}
        }
        Verdict::Stay
    }

    /// A leaf has come: those who read what is still to come from there are told that it does. Whoever is being sent
    /// something has not taken what was said before, or sees that much.
    pub(super) fn tell_who_reads(&mut self, cx: &mut Context, link: Link) {
        // None if nothing was asked of it.
        let Some(window) = self.windows.get_mut(link) else {
            return;
        };
        window.pace.bring(1);
        if seeded::is_on(Bug::WaitWithoutAWord)
            || !window.is_time_to_tell(cx.now.instant, COMING_PERIOD)
        {
            return;
        }
        let mut readers = BTreeSet::new();
        for address in window.owed() {
            let download = self.by_address.get(&address);
            let download = download.filter(|download| download.source == Some(link));
            let links = download.into_iter().flat_map(Download::readers);
            readers.extend(links.map(|reader| (reader, address)));
        }
        let passed = window.live().filter_map(|range| Some((range.pass?.reader, range.address())));
        readers.extend(passed);
        for (reader, address) in readers {
            if hears(&cx.links, reader) {
                cx.send(reader, Message::Coming { address });
            }
        }
    }
}

/// It has taken all that was said to it.
fn hears(links: &Links, reader: Link) -> bool {
    links.get(reader).is_some_and(|peer| peer.outbox == 0)
}
