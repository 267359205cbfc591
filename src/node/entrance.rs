//! The entrance: connections whose other side has not proved yet who it is, and who of them gives way when there are
//! too many.
//!
//! Knows no connection but by its number, and where it is from. Invariants: never more than the limits let in; whoever is
//! let in for nothing gives way to whoever comes, so that no crowd keeps out others than itself; one choice costs at most
//! a walk over a table of `STRANGERS_MAX`.

use super::Link;
use crate::limits::{ENTRANTS_PER_ADDRESS_MAX, HANDSHAKES_MAX, STRANGERS_MAX};
use crate::seeded::{self, Bug};
use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Where a connection is from, as far as one owner has many addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Prefix {
    /// A /24.
    V4([u8; 3]),
    /// A /64.
    V6([u8; 8]),
    /// This node dialled it.
    Dialled,
}

impl Prefix {
    fn of(from: Option<IpAddr>) -> Self {
        match from {
            Some(IpAddr::V4(address)) => {
                let [a, b, c, _] = address.octets();
                Self::V4([a, b, c])
            }
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
            None => Self::Dialled,
        }
    }
}

/// What became of one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// There was room.
    Free,
    /// This one gives way.
    InPlaceOf(Link),
    /// All places are taken by such as it.
    Refused,
}

/// A table of connections with a bound.
#[derive(Debug)]
struct Crowd {
    max: usize,
    from: BTreeMap<Link, Option<IpAddr>>,
    by_address: BTreeMap<IpAddr, BTreeSet<Link>>,
    by_prefix: BTreeMap<Prefix, Vec<Link>>,
}

impl Crowd {
    const fn new(max: usize) -> Self {
        Self { max, from: BTreeMap::new(), by_address: BTreeMap::new(), by_prefix: BTreeMap::new() }
    }

    /// One more; the oldest of its address gives way if these are many, or else one of the fullest prefix if all are.
    fn enter(&mut self, link: Link, from: Option<IpAddr>, rng: &mut ChaCha8Rng) -> Entry {
        let entry = match self.oldest_of_many(from) {
            Some(_) if seeded::is_on(Bug::NewestUnauthenticatedRefused) => return Entry::Refused,
            Some(oldest) => Entry::InPlaceOf(oldest),
            None if self.from.len() < self.max => Entry::Free,
            None => match self.one_of_the_fullest(rng) {
                // Dials are tried again: none gives way to another.
                None => return Entry::Refused,
                Some((Prefix::Dialled, _)) if from.is_none() => return Entry::Refused,
                Some((_, other)) => Entry::InPlaceOf(other),
            },
        };
        if let Entry::InPlaceOf(other) = entry {
            self.leave(other);
        }
        self.from.insert(link, from);
        self.by_prefix.entry(Prefix::of(from)).or_default().push(link);
        if let Some(address) = from {
            self.by_address.entry(address).or_default().insert(link);
        }
        entry
    }

    /// The oldest of an address that has as many as may be.
    fn oldest_of_many(&self, from: Option<IpAddr>) -> Option<Link> {
        let address = from.filter(|address| !address.is_loopback())?;
        let same = self.by_address.get(&address)?;
        if same.len() < ENTRANTS_PER_ADDRESS_MAX { None } else { same.first().copied() }
    }

    /// A random one of the fullest prefix; among several as full, of a random one.
    fn one_of_the_fullest(&self, rng: &mut ChaCha8Rng) -> Option<(Prefix, Link)> {
        if seeded::is_on(Bug::OldestUnauthenticatedGoes) {
            let (link, from) = self.from.first_key_value()?;
            return Some((Prefix::of(*from), *link));
        }
        let most = self.by_prefix.values().map(Vec::len).max()?;
        let fullest = || self.by_prefix.iter().filter(|(_, links)| links.len() == most);
        let (prefix, links) = fullest().nth(rng.random_range(0..fullest().count()))?;
        Some((*prefix, links[rng.random_range(0..links.len())]))
    }

    fn leave(&mut self, link: Link) {
        let Some(from) = self.from.remove(&link) else {
            return;
        };
        let prefix = Prefix::of(from);
        if let Some(links) = self.by_prefix.get_mut(&prefix) {
            links.retain(|other| *other != link);
            if links.is_empty() {
                self.by_prefix.remove(&prefix);
            }
        }
        if let Some(address) = from
            && let Some(links) = self.by_address.get_mut(&address)
        {
            links.remove(&link);
            if links.is_empty() {
                self.by_address.remove(&address);
            }
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Entrance {
    /// Before a valid first message.
    strangers: Crowd,
    /// Between that and the last one, and whoever this node dials.
    handshakes: Crowd,
    rng: ChaCha8Rng,
}

impl Entrance {
    pub(super) const fn new(rng: ChaCha8Rng) -> Self {
        Self { strangers: Crowd::new(STRANGERS_MAX), handshakes: Crowd::new(HANDSHAKES_MAX), rng }
    }

    /// There are only so many connections in all. Whoever shares them with the established takes no more than a part.
    pub(super) fn set_connections_max(&mut self, count: usize) {
        self.strangers.max = STRANGERS_MAX.min(count);
        self.handshakes.max = HANDSHAKES_MAX.min(count / 2).max(1);
    }

    /// Somebody has connected.
    pub(super) fn arrived(&mut self, link: Link, from: IpAddr) -> Entry {
        self.strangers.enter(link, Some(from.to_canonical()), &mut self.rng)
    }

    /// A stranger has proved that it knows the network key. It takes no more place than a dial may.
    pub(super) fn proved(&mut self, link: Link) -> Entry {
        let Some(from) = self.strangers.from.get(&link).copied() else {
            return Entry::Free;
        };
        self.strangers.leave(link);
        if seeded::is_on(Bug::HandshakesUncounted) {
            return Entry::Free;
        }
        self.handshakes.enter(link, from, &mut self.rng)
    }

    /// This node is about to dial somebody.
    pub(super) fn dials(&mut self, link: Link) -> Entry {
        self.handshakes.enter(link, None, &mut self.rng)
    }

    /// There is no room for one more connection of any kind: the stranger that gives way to this one.
    pub(super) fn gives_way(&mut self, to: Link) -> Option<Link> {
        let from = self.strangers.from.get(&to).copied()?;
        self.strangers.leave(to);
        let other = self.strangers.one_of_the_fullest(&mut self.rng).map(|(_, link)| link);
        other.inspect(|other| self.strangers.leave(*other));
        self.strangers.enter(to, from, &mut self.rng);
        other
    }

    /// It has proved everything, or is gone.
    pub(super) fn left(&mut self, link: Link) {
        self.strangers.leave(link);
        self.handshakes.leave(link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn entrance() -> Entrance {
        Entrance::new(ChaCha8Rng::seed_from_u64(1))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_prefix_is_what_one_owner_has() {
        let same = |one, other| Prefix::of(Some(ip(one))) == Prefix::of(Some(ip(other)));
        assert!(same("10.0.0.1", "10.0.0.254") && !same("10.0.0.1", "10.0.1.1"));
        assert!(same("2001:db8::1", "2001:db8::ffff:1") && !same("2001:db8::1", "2001:db8:0:1::1"));
    }

    #[test]
    fn of_an_address_with_many_its_oldest_gives_way_however_it_is_written() {
        let mut entrance = entrance();
        for link in 0..16 {
            assert_eq!(entrance.arrived(link, ip("10.0.0.1")), Entry::Free);
        }
        assert_eq!(entrance.arrived(90, ip("10.0.0.2")), Entry::Free, "another of the prefix");
        assert_eq!(entrance.arrived(16, ip("::ffff:10.0.0.1")), Entry::InPlaceOf(0));
        entrance.left(1);
        assert_eq!(entrance.arrived(17, ip("10.0.0.1")), Entry::Free);
        assert_eq!(entrance.arrived(18, ip("10.0.0.1")), Entry::InPlaceOf(2));
    }

    #[test]
    fn the_crowd_of_one_prefix_gives_way_and_nobody_else() {
        let mut entrance = entrance();
        let friends: Vec<Link> = (0..100).collect();
        for &link in &friends {
            let octet = u8::try_from(link).unwrap();
            entrance.arrived(link, IpAddr::from([172, 16, octet, 1]));
        }
        for link in 1000..20_000_usize {
            let low = link.to_be_bytes();
            let segments = [0x2001, 0xdb8, 0, 0, 1, 1, u16::from(low[6]), u16::from(low[7])];
            match entrance.arrived(link, IpAddr::from(segments)) {
                Entry::Free => assert!(link < 1000 + STRANGERS_MAX),
                Entry::InPlaceOf(other) => assert!(other >= 1000, "{other} was no part of it"),
                Entry::Refused => panic!("the newcomer was refused"),
            }
        }
        assert_eq!(entrance.strangers.from.len(), STRANGERS_MAX);
        // Whoever comes now finds a place, and it is the crowd's.
        assert!(matches!(entrance.arrived(5, ip("192.0.2.1")), Entry::InPlaceOf(1000..)));
    }

    #[test]
    fn of_prefixes_as_full_any_may_give_way() {
        let mut entrance = entrance();
        let mut enter = |link: Link| {
            let [.., high, low] = link.to_be_bytes();
            entrance.arrived(link, IpAddr::from([10, high, low, 1]))
        };
        let went = (0..STRANGERS_MAX + 300).map(&mut enter);
        let went: BTreeSet<usize> = went
            .filter_map(|entry| match entry {
                Entry::InPlaceOf(other) => Some(other / 256),
                Entry::Free | Entry::Refused => None,
            })
            .collect();
        assert!(went.len() >= 4, "always the same go: {went:?}");
    }

    #[test]
    fn dials_and_whoever_dialled_share_what_there_is() {
        let mut entrance = entrance();
        let half = HANDSHAKES_MAX / 2;
        for link in 0..half {
            assert_eq!(entrance.dials(link), Entry::Free);
        }
        let proves = |entrance: &mut Entrance, link: Link| {
            let [.., high, low] = link.to_be_bytes();
            entrance.arrived(link, IpAddr::from([10, high, low, 1]));
            entrance.proved(link)
        };
        for link in half..half * 2 {
            assert_eq!(proves(&mut entrance, link), Entry::Free);
        }
        assert!(
            matches!(proves(&mut entrance, 1000), Entry::InPlaceOf(0..128)),
            "a dial gives way"
        );
        assert_eq!(entrance.dials(2000), Entry::Refused, "to another dial none does");
        // Many from one prefix are more than the dials.
        for link in 3000..3000 + half * 3 {
            let octet = u8::try_from(link % 200).unwrap();
            entrance.arrived(link, IpAddr::from([172, 16, 0, octet]));
            entrance.proved(link);
        }
        assert_eq!(entrance.handshakes.from.len(), HANDSHAKES_MAX);
        assert!(matches!(entrance.dials(4000), Entry::InPlaceOf(3000..)), "the crowd gives way");
    }

    #[test]
    fn what_has_left_takes_no_place() {
        let mut entrance = entrance();
        for link in 0..10_000 {
            assert_eq!(entrance.arrived(link, ip("10.0.0.1")), Entry::Free);
            assert_eq!(entrance.proved(link), Entry::Free);
            entrance.left(link);
            assert_eq!(entrance.dials(link), Entry::Free);
            entrance.left(link);
        }
        for crowd in [&entrance.strangers, &entrance.handshakes] {
            assert!(crowd.from.is_empty() && crowd.by_address.is_empty());
            assert!(crowd.by_prefix.is_empty());
        }
    }
}
