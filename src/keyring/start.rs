//! A daemon's start on its data folder: it goes on with the node that the folder holds, joins a network, or begins one.
//!
//! Knows no option by its name but in sentences. Invariants: nothing is made in a folder before it is decided what becomes
//! of it; and no network is begun where something says that the folder belonged to one.

use super::{
    BadTicket, Keyring, KeyringError, KnownFolders, Parts, Ticket, TicketFileError, TicketText,
    read_ticket, role,
};
use crate::seeded::{self, Bug};
use crate::wire::message::PeerAddress;
use std::fmt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What the operator says of the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// Nothing.
    Unsaid,
    /// A new network is meant.
    Create,
    /// A node must be there.
    Existing,
}

/// What a start is to do.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The data folder.
    pub folder: &'a Path,
    /// A file with a ticket; `-` is stdin.
    pub ticket: Option<&'a Path>,
    /// What the operator says.
    pub intent: Intent,
    /// What is known of folders from outside.
    pub known: &'a KnownFolders,
}

/// What became of it. Its keys are on the disk.
#[derive(Debug)]
pub struct Start {
    /// The folder's keys.
    pub keyring: Keyring,
    /// The nodes that the ticket names.
    pub peers: Vec<PeerAddress>,
    /// Whether a new network was begun.
    pub has_begun: bool,
    /// What the operator should know, and need do nothing about.
    pub notes: Vec<String>,
    /// What the operator should do something about.
    pub warnings: Vec<String>,
}

/// Why there was no start. Nothing was made.
#[derive(Debug)]
pub enum StartError {
    /// The keys of this folder.
    Keys(PathBuf, KeyringError),
    /// The ticket's file cannot be read, or not be trusted.
    TicketFile(TicketFileError),
    /// What is in it is no ticket.
    Ticket(PathBuf, BadTicket),
    /// There is no node in this folder, and one must be there.
    NoNode(PathBuf),
    /// There is no node in this folder any more. It was one of the network below this root.
    Gone(PathBuf, String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keys(folder, why) => write!(f, "{}: {why}", folder.display()),
            Self::TicketFile(why) => why.fmt(f),
            Self::Ticket(file, why) => write!(f, "{}: {why}", file.display()),
            Self::NoNode(folder) => write!(
                f,
                "{} holds no node, and must hold one (--existing, or existing in the configuration file): its disk may \
                 not be mounted; mount it and start again, or join the network again with a ticket (--join TICKET), or \
                 begin a new network (--create)",
                folder.display()
            ),
            Self::Gone(folder, root) => write!(
                f,
                "{} held a node of the network {} and holds none now: its disk may not be mounted; mount it and start \
                 again, or join that network again with a ticket (--join TICKET), or begin a new network (--create)",
                folder.display(),
                root.get(..8).unwrap_or(root)
            ),
        }
    }
}

impl std::error::Error for StartError {}

/// What is in a folder.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    /// No key and no log. What else is there is not a node's.
    Nothing,
    /// Keys of which some were lost, or of a first start that was interrupted.
    Remains,
    /// No key, and a note that there have been some.
    Keyless,
    /// The keys of a network.
    Node,
}

/// Goes on with a node, joins a network or begins one, as is wanted and as far as the folder permits. `entropy` is from the
/// system.
///
/// # Errors
/// Why nothing was done.
pub fn start(
    wanted: &Wanted<'_>,
    wall_ms: u64,
    entropy: impl FnMut() -> Zeroizing<[u8; 32]>,
) -> Result<Start, StartError> {
    let folder = wanted.folder;
    let of_folder = |why| StartError::Keys(folder.to_owned(), why);
    let content = content_of(folder).map_err(of_folder)?;
    let is_node = content == Content::Node;
    let mut start = match wanted.ticket.map(|file| read(file).map_err(|why| (file, why))) {
        Some(Ok((ticket, warning))) => {
            let keyring = Keyring::join(folder, &ticket.access, entropy).map_err(of_folder)?;
            let (peers, warnings) = (ticket.peers, warning.into_iter().collect());
            Start { peers, warnings, ..Start::with(keyring) }
        }
        Some(Err((file, why))) if is_node => {
            let keyring = Keyring::open_and_remember(folder).map_err(of_folder)?;
            let (file, folder) = (file.display(), folder.display());
            let note =
                format!("the ticket {file} was not needed, {folder} holds a node already ({why})");
            Start { notes: vec![note], ..Start::with(keyring) }
        }
        Some(Err((_, why))) => return Err(why),
        None => {
            may_begin(wanted, content)?;
            let keyring = Keyring::open_or_create(folder, wall_ms, entropy).map_err(of_folder)?;
            Start { has_begun: !is_node, ..Start::with(keyring) }
        }
    };
    if is_node && wanted.intent == Intent::Create {
        let note = format!("--create was not needed, {} holds a node already", folder.display());
        start.notes.push(note);
    }
    Ok(start)
}

impl Start {
    fn with(keyring: Keyring) -> Self {
        Self {
            keyring,
            peers: Vec::new(),
            has_begun: false,
            notes: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

fn content_of(folder: &Path) -> Result<Content, KeyringError> {
    let parts = Parts::read(folder)?;
    let has_log = || folder.join(super::LOG_FOLDER).exists();
    Ok(match parts.network {
        Some(_) => Content::Node,
        None if !parts.is_new || has_log() => Content::Remains,
        None if role::is_noted(folder)? => Content::Keyless,
        None => Content::Nothing,
    })
}

/// Whether a network may be begun in a folder that holds no node; of one that does there is nothing to be said.
fn may_begin(wanted: &Wanted<'_>, content: Content) -> Result<(), StartError> {
    let folder = || wanted.folder.to_owned();
    match (content, wanted.intent) {
        (Content::Node, _)
        | (Content::Nothing | Content::Remains | Content::Keyless, Intent::Create)
        | (Content::Remains, Intent::Unsaid) => Ok(()),
        (Content::Keyless, Intent::Unsaid | Intent::Existing) => {
            Err(StartError::Keys(folder(), KeyringError::NoKeys))
        }
        // What is lost says it better than that there is no node.
        (Content::Remains, Intent::Existing) => {
            Keyring::open(wanted.folder).map(drop).map_err(|why| StartError::Keys(folder(), why))
        }
        (Content::Nothing, Intent::Existing) => Err(StartError::NoNode(folder())),
        (Content::Nothing, Intent::Unsaid) => match wanted.known.network_of(wanted.folder) {
            Some(root) if !seeded::is_on(Bug::BeginAnywhere) => {
                Err(StartError::Gone(folder(), root))
            }
            Some(_) | None => Ok(()),
        },
    }
}

/// A ticket, and what its owner should know of its file.
fn read(file: &Path) -> Result<(Ticket, Option<String>), StartError> {
    let TicketText { text, warning } = read_ticket(file).map_err(StartError::TicketFile)?;
    let ticket = Ticket::parse(&text).map_err(|why| StartError::Ticket(file.to_owned(), why))?;
    Ok((ticket, warning))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::{TempDir, tempdir};

    /// A folder for a node and what is beside it: a good ticket of another network, and what is known.
    struct Place {
        here: TempDir,
        known: KnownFolders,
    }

    impl Place {
        fn new() -> Self {
            let here = tempdir().unwrap();
            let known = KnownFolders::below(Some(here.path().join("state")));
            let place = Self { here, known };
            let first = place.here.path().join("first");
            let access = Keyring::open_or_create(&first, 1, entropy()).unwrap().access;
            let ticket = Ticket { peers: Vec::new(), access };
            super::super::write_ticket(&place.path("ticket"), &ticket.encode()).unwrap();
            place
        }

        fn path(&self, name: &str) -> PathBuf {
            self.here.path().join(name)
        }

        /// Starts on the folder `data`; what came of it in a word or two.
        fn start(&self, ticket: Option<&str>, intent: Intent) -> String {
            let ticket = ticket.map(|name| self.path(name));
            let folder = self.path("data");
            let known = &self.known;
            let wanted = Wanted { folder: &folder, ticket: ticket.as_deref(), intent, known };
            match start(&wanted, 1, entropy()) {
                Err(StartError::NoNode(_)) => "no node".to_owned(),
                Err(StartError::Gone(..)) => "gone".to_owned(),
                Err(StartError::TicketFile(_)) => "no ticket".to_owned(),
                Err(why) => why.to_string(),
                Ok(start) => {
                    known.note(&folder, &start.keyring.access.network);
                    let notes = start.notes.len();
                    let what = if start.has_begun { "begun" } else { "there" };
                    if notes == 0 { what.to_owned() } else { format!("{what}, {notes} note") }
                }
            }
        }

        fn lose(&self) {
            fs::remove_dir_all(self.path("data")).unwrap();
        }

        fn check(&self, script: &[(Option<&str>, Intent, &str)]) {
            for (at, (ticket, intent, expected)) in script.iter().enumerate() {
                assert_eq!(self.start(*ticket, *intent), *expected, "{at}");
            }
        }
    }

    fn entropy() -> impl FnMut() -> Zeroizing<[u8; 32]> {
        let mut count = 0;
        move || {
            count += 1;
            Zeroizing::new([count; 32])
        }
    }

    const TICKET: Option<&str> = Some("ticket");
    const NONE: Option<&str> = Some("none");

    #[test]
    fn where_nothing_is_known_a_network_is_begun_once() {
        let place = Place::new();
        place.check(&[(None, Intent::Existing, "no node"), (NONE, Intent::Unsaid, "no ticket")]);
        assert!(!place.path("data").exists(), "nothing was made");
        place.check(&[
            (None, Intent::Unsaid, "begun"),
            (None, Intent::Unsaid, "there"),
            (None, Intent::Existing, "there"),
            (None, Intent::Create, "there, 1 note"),
            (NONE, Intent::Unsaid, "there, 1 note"),
        ]);
    }

    #[test]
    fn a_folder_that_was_lost_is_refused_until_the_operator_says_what_is_meant() {
        let place = Place::new();
        place.check(&[(TICKET, Intent::Unsaid, "there")]);
        place.lose();
        place.check(&[
            (None, Intent::Unsaid, "gone"),
            (NONE, Intent::Unsaid, "no ticket"),
            (None, Intent::Existing, "no node"),
        ]);
        fs::create_dir(place.path("data")).unwrap();
        place.check(&[(None, Intent::Unsaid, "gone")]);
        assert_eq!(fs::read_dir(place.path("data")).unwrap().count(), 0, "nothing was made");
        place.check(&[(TICKET, Intent::Existing, "there"), (None, Intent::Unsaid, "there")]);
        place.lose();
        place.check(&[(None, Intent::Create, "begun"), (None, Intent::Unsaid, "there")]);
    }

    #[test]
    fn a_first_start_that_was_interrupted_is_no_node_that_must_be_there() {
        let place = Place::new();
        place.check(&[(None, Intent::Unsaid, "begun")]);
        fs::remove_file(place.path("data/network.key")).unwrap();
        let refused = place.start(None, Intent::Existing);
        assert!(refused.contains("network.key is missing"), "{refused}");
        assert!(!place.path("data/network.key").exists());
        place.check(&[(None, Intent::Unsaid, "begun")]);
    }

    #[test]
    fn a_folder_that_has_lost_all_its_keys_is_not_taken_for_a_new_one() {
        let place = Place { known: KnownFolders::below(None), ..Place::new() };
        place.check(&[(None, Intent::Unsaid, "begun")]);
        for entry in fs::read_dir(place.path("data")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "key") {
                fs::remove_file(path).unwrap();
            }
        }
        for intent in [Intent::Unsaid, Intent::Existing] {
            let refused = place.start(None, intent);
            assert!(refused.contains("there are no keys in the data folder"), "{refused}");
        }
        place.check(&[(None, Intent::Create, "begun")]);
    }

    #[test]
    fn the_sentences_say_what_was_there_and_the_ways_on() {
        let gone = StartError::Gone("/mnt/disk".into(), "0123456789abcdef".to_owned()).to_string();
        for part in
            ["/mnt/disk held a node of the network 01234567", "mounted", "--join", "--create"]
        {
            assert!(gone.contains(part), "{gone}");
        }
        let none = StartError::NoNode("/mnt/disk".into()).to_string();
        for part in ["/mnt/disk holds no node", "--existing", "mounted", "--join", "--create"] {
            assert!(none.contains(part), "{none}");
        }
    }
}
