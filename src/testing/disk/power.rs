//! What a power cut may leave of a simulated disk: one state by dice, or all that the model allows.
//!
//! The model: each unsynced write is absent, whole, or torn in its first, middle or last sector; each change of a
//! length is absent or present; each change of a name is absent or present, whatever became of the bytes behind it and
//! of other names. A rename is two changes of names, the new one and the old one, which is worse than any journal. Dice
//! keep any subset of sectors and any length between. Invariant: what was synced is in every state.

use super::content::{Content, SECTOR, mix};
use super::unsynced::{Change, Inode, Kept, Name};
use super::{Dice, SimFs, State, parent};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

/// Effects of which all combinations are tried.
const EXHAUSTIVE: usize = 12;

/// What one thing on the disk may have become.
#[derive(Debug)]
enum Choice {
    File(usize, Vec<Arc<Content>>),
    Name { path: String, is_folder: bool, to: Vec<Option<usize>> },
}

impl Choice {
    fn count(&self) -> u128 {
        match self {
            Self::File(_, contents) => contents.len() as u128,
            Self::Name { to, .. } => to.len() as u128,
        }
    }
}

/// All disks that may be found after a power cut, by number.
#[derive(Debug)]
pub struct CrashStates {
    before: State,
    choices: Vec<Choice>,
    effects: usize,
    allowed: u128,
}

impl SimFs {
    /// The disk as it may be found after a power cut now. This one goes on undisturbed.
    #[must_use]
    pub fn power_cut(&self, seed: u64) -> Self {
        let mut found = self.state().clone();
        let mut dice = Dice(seed);
        for inode in found.inodes.values_mut() {
            let content = cut(inode, &mut dice);
            inode.become_kept(content);
        }
        for name in found.folders.values_mut().chain(found.files.values_mut()) {
            let choice = dice.below(name.since.len() + 1);
            let to = choice.checked_sub(1).map_or(name.kept, |picked| name.since[picked].1);
            name.become_kept(to);
        }
        found.drop_unreachable();
        Self::booted(found)
    }

    /// Every disk that may be found after a power cut now.
    #[must_use]
    pub fn crash_states(&self) -> CrashStates {
        CrashStates::new(self.state().clone())
    }

    /// What has happened and is not durable, in order, for people.
    #[must_use]
    pub fn unsynced(&self) -> Vec<String> {
        let state = self.state();
        let mut all = Vec::new();
        for (path, name) in state.files.iter().chain(&state.folders) {
            all.extend(name.since.iter().map(|(serial, to)| {
                (*serial, 0, format!("{path} {}", if to.is_some() { "named" } else { "unnamed" }))
            }));
        }
        for (id, inode) in &state.inodes {
            let named = state.files.iter().find(|(_, name)| name.seen() == Some(*id));
            let path = named.map_or("a file without a name", |(path, _)| path);
            let changes = inode.unsynced.iter().map(|unsynced| {
                let what = match &unsynced.change {
                    Change::Grow(length) => format!("grown to {length}"),
                    Change::Cut(length) => format!("cut to {length}"),
                    Change::Write(at, bytes) => format!("written at {at}: {}", bytes.len()),
                };
                (unsynced.serial, 1, format!("{path} {what}"))
            });
            all.extend(changes);
        }
        all.sort();
        all.into_iter().map(|(_, _, what)| what).collect()
    }

    /// Equal for disks on which the same names lead to the same bytes.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.state().digest()
    }

    /// The names and lengths on the disk, for people.
    #[must_use]
    pub fn tell(&self) -> String {
        let state = self.state();
        let mut told = String::new();
        for (path, name) in &state.files {
            if let Some(inode) = name.seen().and_then(|id| state.inodes.get(&id)) {
                let _ = writeln!(told, "{path}: {} bytes", inode.seen.length);
            }
        }
        told
    }
}

impl State {
    fn digest(&self) -> u64 {
        let mut digest = 0;
        let mut first = BTreeMap::new();
        for (path, name) in &self.folders {
            if name.seen().is_some() {
                digest = text_digest(mix(digest, 2), path);
            }
        }
        for (path, name) in &self.files {
            let Some((id, inode)) = name.seen().and_then(|id| Some((id, self.inodes.get(&id)?)))
            else {
                continue;
            };
            // Two names of one file are not two files.
            let count = first.len() as u64;
            let (number, content) = first.entry(id).or_insert_with(|| (count, inode.seen.digest()));
            digest = text_digest(mix(digest, *number), path);
            digest = mix(digest, *content);
        }
        digest
    }
}

fn text_digest(sum: u64, text: &str) -> u64 {
    let eights = text.as_bytes().chunks(8);
    eights.fold(mix(sum, text.len() as u64), |sum, eight| {
        let padded = std::array::from_fn(|index| eight.get(index).copied().unwrap_or(0));
        mix(sum, u64::from_le_bytes(padded))
    })
}

impl CrashStates {
    fn new(before: State) -> Self {
        let files = before.inodes.values().flat_map(|inode| &inode.unsynced);
        let names = || before.files.values().chain(before.folders.values());
        let changes: usize = names().map(|name| name.since.len()).sum();
        let (mut allowed, mut effects) = (2_u128.saturating_pow(as_u32(changes)), changes);
        for unsynced in files {
            effects += 1;
            allowed = allowed.saturating_mul(unsynced.change.fates().len() as u128);
        }
        let mut states = Self { before, choices: Vec::new(), effects, allowed };
        if states.is_exhaustive() {
            states.choose();
        }
        states
    }

    fn choose(&mut self) {
        for (id, inode) in &self.before.inodes {
            if !inode.unsynced.is_empty() {
                self.choices.push(Choice::File(*id, contents(inode)));
            }
        }
        let State { files, folders, .. } = &self.before;
        for (names, is_folder) in [(files, false), (folders, true)] {
            let open = names.iter().filter(|(_, name)| !name.since.is_empty());
            self.choices.extend(open.map(|(path, name)| {
                let (path, to) = (path.clone(), leads(name));
                Choice::Name { path, is_folder, to }
            }));
        }
    }

    /// Unsynced effects at the time of the cut.
    #[must_use]
    pub fn effects(&self) -> usize {
        self.effects
    }

    /// Combinations of what became of each effect.
    #[must_use]
    pub fn allowed(&self) -> u128 {
        self.allowed
    }

    /// Whether the effects are few enough to try every combination.
    #[must_use]
    pub fn is_exhaustive(&self) -> bool {
        self.effects <= EXHAUSTIVE
    }

    /// Combinations that differ file by file and name by name, if they are exhaustive.
    #[must_use]
    pub fn count(&self) -> u128 {
        self.choices.iter().map(Choice::count).product()
    }

    /// All of them, if they are exhaustive.
    pub fn iter(&self) -> impl Iterator<Item = SimFs> + '_ {
        (0..self.count()).map(|number| self.nth(number))
    }

    /// One of `0..count()`.
    #[must_use]
    pub fn nth(&self, mut number: u128) -> SimFs {
        let mut found = self.before.clone();
        for choice in &self.choices {
            let picked = usize::try_from(number % choice.count()).expect("it is an index");
            number /= choice.count();
            match choice {
                Choice::File(id, contents) => {
                    let inode = found.inodes.get_mut(id).expect("it was there");
                    inode.become_kept(Arc::clone(&contents[picked]));
                }
                Choice::Name { path, is_folder, to } => {
                    let names = if *is_folder { &mut found.folders } else { &mut found.files };
                    names.get_mut(path).expect("it was there").become_kept(to[picked]);
                }
            }
        }
        found.drop_unreachable();
        SimFs::booted(found)
    }

    /// One of them by dice: each effect for itself.
    #[must_use]
    pub fn sample(&self, seed: u64) -> SimFs {
        let mut found = self.before.clone();
        let mut dice = Dice(seed);
        // Half of the samples lose little, a quarter most: all effects at an even chance would never be nearly done.
        let (bias, of) = [(1, 2), (1, 6), (1, 6), (5, 6)][dice.below(4)];
        for inode in found.inodes.values_mut().filter(|inode| !inode.unsynced.is_empty()) {
            let fates: Vec<_> =
                inode.unsynced.iter().map(|unsynced| unsynced.change.fates()).collect();
            let picked = fates.into_iter().map(|fates| {
                let loses = dice.below(of) < bias;
                if loses { fates[dice.below(fates.len())] } else { Kept::Whole }
            });
            let content = inode.kept_with(picked);
            inode.become_kept(Arc::new(content));
        }
        for name in found.folders.values_mut().chain(found.files.values_mut()) {
            let mut to = name.kept;
            for (_, change) in &name.since {
                if dice.below(of) >= bias {
                    to = *change;
                }
            }
            name.become_kept(to);
        }
        found.drop_unreachable();
        SimFs::booted(found)
    }
}

fn as_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// What a file may contain, each content once.
fn contents(inode: &Inode) -> Vec<Arc<Content>> {
    let fates: Vec<_> = inode.unsynced.iter().map(|unsynced| unsynced.change.fates()).collect();
    let all: usize = fates.iter().map(|fates| fates.len()).product();
    let mut different = BTreeMap::new();
    for mut number in 0..all {
        let picked = fates.iter().map(|fates| {
            let fate = fates[number % fates.len()];
            number /= fates.len();
            fate
        });
        let content = inode.kept_with(picked);
        different.entry(content.digest()).or_insert_with(|| Arc::new(content));
    }
    different.into_values().collect()
}

/// What a name may lead to, each once.
fn leads(name: &Name) -> Vec<Option<usize>> {
    let mut to: Vec<_> =
        std::iter::once(name.kept).chain(name.since.iter().map(|(_, to)| *to)).collect();
    to.sort_unstable();
    to.dedup();
    to
}

/// Keeps any subset of what is not synced: each sector old, new or torn, the length old, new or between.
fn cut(inode: &Inode, dice: &mut Dice) -> Arc<Content> {
    if inode.unsynced.is_empty() {
        return Arc::clone(&inode.kept);
    }
    let mut content = Content::clone(&inode.kept);
    let whole = dice.below(4);
    for unsynced in &inode.unsynced {
        match &unsynced.change {
            Change::Grow(length) => {
                let to = between(content.length, *length, dice);
                content.grow(to);
            }
            Change::Cut(length) => match between(content.length, *length, dice) {
                to if to < content.length => content.cut(to),
                to => content.grow(to),
            },
            Change::Write(offset, bytes) => {
                let mut at = 0;
                while at < bytes.len() {
                    let end = bytes.len().min(((offset + at) / SECTOR + 1) * SECTOR - offset);
                    let torn = at + dice.below(end - at + 1);
                    let kept = match (whole, dice.below(8)) {
                        (0, _) => end,
                        (1, _) | (_, 1..=3) => at,
                        (_, 0) => torn,
                        (_, _) => end,
                    };
                    content.put(offset + at, bytes.slice(at..kept));
                    at = end;
                }
            }
        }
    }
    let length = content.length;
    content.cut(length);
    Arc::new(content)
}

/// Either of two lengths, or one between them.
fn between(old: usize, new: usize, dice: &mut Dice) -> usize {
    let (low, high) = (old.min(new), old.max(new));
    match dice.below(3) {
        0 => old,
        1 => new,
        _ => low + dice.below(high - low + 1),
    }
}

impl State {
    /// Drops names below folders that are gone, and inodes without a name.
    fn drop_unreachable(&mut self) {
        let mut there: BTreeSet<String> = BTreeSet::new();
        for (path, name) in &self.folders {
            let above = parent(path);
            if name.kept.is_some() && (above.is_empty() || there.contains(above)) {
                there.insert(path.clone());
            }
        }
        self.folders.retain(|path, _| there.contains(path));
        self.files.retain(|path, name| {
            let above = parent(path);
            name.kept.is_some() && (above.is_empty() || there.contains(above))
        });
        let named: BTreeSet<_> = self.files.values().filter_map(|name| name.kept).collect();
        self.inodes.retain(|id, _| named.contains(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fs::FileSystem;

    fn read(fs: &SimFs, path: &str) -> Option<Vec<u8>> {
        let file = fs.open(path).ok()?;
        let mut bytes = vec![0; usize::try_from(fs.length(&file).unwrap()).unwrap()];
        fs.read_at(&file, 0, &mut bytes).unwrap();
        Some(bytes)
    }

    #[test]
    fn a_write_is_absent_whole_or_torn_and_a_name_has_its_own_fate() {
        let fs = SimFs::new();
        let file = fs.create("old").unwrap();
        fs.sync_all().unwrap();
        fs.write_at(&file, 0, &[1; 3 * SECTOR]).unwrap();
        fs.rename("old", "new").unwrap();
        let states = fs.crash_states();
        assert_eq!((states.effects(), states.allowed(), states.count()), (4, 2 * 5 * 4, 6 * 4));
        let found: Vec<_> = states.iter().map(|fs| (read(&fs, "old"), read(&fs, "new"))).collect();
        let torn = |from: usize, to: usize| {
            let mut bytes = vec![0; 3 * SECTOR];
            bytes[from..to].fill(1);
            bytes
        };
        let (middle, end) = (SECTOR / 2, 3 * SECTOR);
        let contents = [
            vec![],
            torn(0, 0),
            torn(0, end),
            torn(middle, end),
            torn(0, SECTOR + middle),
            torn(0, end - middle),
        ];
        for content in contents.map(Some) {
            for (old, new) in [(true, true), (true, false), (false, true)] {
                let pair = (content.clone().filter(|_| old), content.clone().filter(|_| new));
                assert_eq!(found.iter().filter(|found| **found == pair).count(), 1);
            }
        }
        assert_eq!(found.iter().filter(|found| **found == (None, None)).count(), 6);
        assert_eq!(
            fs.unsynced(),
            ["new grown to 1536", "new written at 0: 1536", "new named", "old unnamed"]
        );
    }

    #[test]
    fn what_is_synced_is_in_every_state_and_a_failed_flush_syncs_nothing_ever() {
        let fs = SimFs::new();
        let file = fs.create("a").unwrap();
        fs.write_at(&file, 0, b"one").unwrap();
        fs.sync_all().unwrap();
        assert_eq!((fs.crash_states().count(), fs.unsynced().len()), (1, 0));
        assert_eq!(fs.crash_states().nth(0).digest(), fs.digest());
        fs.write_at(&file, 0, b"two").unwrap();
        fs.tamper().fail_call(0, super::super::SimError::Io, false);
        assert!(fs.sync_file(&file).is_err());
        fs.sync_file(&file).unwrap();
        let contents: Vec<_> = fs.crash_states().iter().map(|fs| read(&fs, "a")).collect();
        assert!(contents.contains(&Some(b"one".to_vec())), "{contents:?}");
        assert!(contents.contains(&Some(b"two".to_vec())), "{contents:?}");
    }

    #[test]
    fn many_effects_are_sampled() {
        let fs = SimFs::new();
        for name in ["a", "b", "c", "d", "e"] {
            let file = fs.create(name).unwrap();
            fs.write_at(&file, 0, b"bytes").unwrap();
        }
        let states = fs.crash_states();
        assert!(!states.is_exhaustive());
        let different: BTreeSet<_> = (0..400).map(|seed| states.sample(seed).digest()).collect();
        assert!(different.len() > 100, "{}", different.len());
        assert_eq!(states.sample(9).digest(), states.sample(9).digest());
    }
}
