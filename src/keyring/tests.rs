//! The keyring on a real disk.

use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tempfile::{TempDir, tempdir};

const FILES: [&str; 5] = ["root.key", "data.key", "write.key", "node.key", "network.key"];

fn entropy() -> impl FnMut() -> Zeroizing<[u8; 32]> {
    let mut count = 0;
    move || {
        count += 1;
        Zeroizing::new([count; 32])
    }
}

fn create(folder: &TempDir) -> Result<Keyring, KeyringError> {
    Keyring::open_or_create(folder.path(), 1_700_000_000_000, entropy())
}

fn same_keys(left: &Keyring, right: &Keyring) -> bool {
    let ticket =
        |keyring: &Keyring| Ticket { peers: vec![], access: keyring.access.clone() }.encode();
    ticket(left) == ticket(right) && left.node.node_id() == right.node.node_id()
}

fn names(folder: &Path) -> Vec<String> {
    let name =
        |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

fn expect_error<T>(result: Result<T, KeyringError>, expected: &str) {
    let Err(error) = result else {
        panic!("expected: {expected}");
    };
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn a_copy_gets_a_node_key_of_its_own_and_keeps_the_rest() {
    let folder = tempdir().unwrap();
    let before = create(&folder).unwrap();
    let text = |file: &str| fs::read_to_string(folder.path().join(file)).unwrap();
    let others = ["root.key", "data.key", "write.key", "network.key"].map(text);
    let after = before.clone().renew_node(folder.path(), &[77; 32]).unwrap();
    assert_ne!(after.node.node_id(), before.node.node_id());
    assert_eq!(["root.key", "data.key", "write.key", "network.key"].map(text), others);
    let opened = Keyring::open(folder.path()).unwrap();
    assert_eq!(opened.node.node_id(), after.node.node_id(), "it is on the disk");
    assert_eq!(names(folder.path()).len(), 6, "the keys and the role, and nothing else");
}

#[test]
fn a_new_folder_gets_private_keys_that_come_back() {
    let above = tempdir().unwrap();
    let folder = above.path().join("some/data");
    let made = Keyring::open_or_create(&folder, 1, entropy()).unwrap();
    assert!(same_keys(&made, &Keyring::open(&folder).unwrap()));
    assert!(same_keys(
        &made,
        &Keyring::open_or_create(&folder, 2, || panic!("no new keys")).unwrap()
    ));
    let mut expected: Vec<_> = FILES.into_iter().chain(["role"]).collect();
    expected.sort_unstable();
    assert_eq!(names(&folder), expected);
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    for file in FILES {
        assert_eq!(fs::metadata(folder.join(file)).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn an_interrupted_first_start_is_finished_by_the_next() {
    let whole = tempdir().unwrap();
    create(&whole).unwrap();
    for count in 0..FILES.len() {
        let folder = tempdir().unwrap();
        for file in &FILES[..count] {
            fs::copy(whole.path().join(file), folder.path().join(file)).unwrap();
        }
        let keyring = create(&folder).unwrap();
        assert!(same_keys(&keyring, &Keyring::open(folder.path()).unwrap()), "{count} files");
        for file in &FILES[..count] {
            let read = |folder: &TempDir| fs::read(folder.path().join(file)).unwrap();
            assert_eq!(read(&folder), read(&whole));
        }
    }
}

#[test]
fn a_key_that_others_can_read_is_refused_with_the_remedy() {
    let folder = tempdir().unwrap();
    create(&folder).unwrap();
    let path = folder.path().join("data.key");
    for mode in [0o640, 0o604, 0o644, 0o660] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let remedy = format!("chmod 600 {}", path.display());
        expect_error(Keyring::open(folder.path()), &remedy);
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    assert!(Keyring::open(folder.path()).is_ok());
}

#[test]
fn a_damaged_or_missing_key_is_refused_by_its_name() {
    let folder = tempdir().unwrap();
    expect_error(Keyring::open(folder.path()), "no keys");
    create(&folder).unwrap();
    for file in FILES {
        let path = folder.path().join(file);
        let mut text = fs::read(&path).unwrap();
        text[40] ^= 1;
        fs::write(&path, &text).unwrap();
        expect_error(create(&folder), file);
        text[40] ^= 1;
        fs::write(&path, [&text[..], b"\n"].concat()).unwrap();
        expect_error(create(&folder), file);
        fs::write(&path, &text).unwrap();
    }
    fs::remove_file(folder.path().join("node.key")).unwrap();
    expect_error(create(&folder), "node.key is missing");
}

#[test]
fn a_lost_network_key_is_not_replaced() {
    let folder = tempdir().unwrap();
    create(&folder).unwrap();
    fs::create_dir(folder.path().join("log")).unwrap();
    fs::remove_file(folder.path().join("network.key")).unwrap();
    expect_error(create(&folder), "network.key is missing");
    expect_error(Keyring::open(folder.path()), "network.key is missing");
}

#[test]
fn who_joins_gets_what_the_ticket_has_and_later_more() {
    let first = tempdir().unwrap();
    let keyring = create(&first).unwrap();
    let folder = tempdir().unwrap();
    let join = |access: &Access| Keyring::join(folder.path(), access, || Zeroizing::new([99; 32]));

    let blind = join(&keyring.access.blind()).unwrap();
    assert!(blind.access.is_blind() && blind.root.is_none());
    assert_ne!(blind.node.node_id(), keyring.node.node_id());
    assert_eq!(names(folder.path()), ["network.key", "node.key", "role"]);

    let reader = join(&keyring.access.read_only()).unwrap();
    assert!(!reader.access.is_blind() && reader.access.write.is_none());
    let full = join(&keyring.access).unwrap();
    assert!(full.access.write.is_some() && full.access.is_consistent());
    assert_eq!(full.node.node_id(), blind.node.node_id());
    assert!(join(&keyring.access.blind()).unwrap().access.write.is_some());
}

#[test]
fn another_networks_ticket_changes_nothing() {
    let folder = tempdir().unwrap();
    let mine = create(&folder).unwrap();
    let root = RootKey::generate(&[50; 32]);
    let mut other =
        Access { network: NetworkKey::generate(&[50; 32], &root), data: None, write: None };
    expect_error(Keyring::join(folder.path(), &other, entropy()), "another network");
    other = mine.access.clone();
    other.data = Some(DataKeys::generate(&[51; 32]));
    expect_error(Keyring::join(folder.path(), &other, entropy()), "another key than data.key");
    assert!(same_keys(&mine, &Keyring::open(folder.path()).unwrap()));
}

#[test]
fn an_ungranted_write_key_is_refused() {
    let (one, two) = (tempdir().unwrap(), tempdir().unwrap());
    create(&one).unwrap();
    let entropy = || Zeroizing::new([77; 32]);
    Keyring::open_or_create(two.path(), 1, entropy).unwrap();
    fs::copy(one.path().join("write.key"), two.path().join("write.key")).unwrap();
    expect_error(Keyring::open(two.path()), "do not belong together");
}

#[test]
fn a_lost_network_key_comes_back_with_a_ticket_of_its_network() {
    let other = tempdir().unwrap();
    let other =
        Keyring::open_or_create(other.path(), 1, || Zeroizing::new([77; 32])).unwrap().access;
    let first = tempdir().unwrap();
    let keyring = create(&first).unwrap();
    let mine = &keyring.access;
    let joined = |access: &Access| {
        let folder = tempdir().unwrap();
        Keyring::join(folder.path(), access, entropy()).unwrap();
        folder
    };
    let folders = [first, joined(mine), joined(&mine.read_only()), joined(&mine.blind())];
    for folder in folders {
        let path = folder.path().join("network.key");
        fs::create_dir_all(folder.path().join("log")).unwrap();
        let key = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        expect_error(create(&folder), "network.key is missing");
        for ticket in [other.blind(), other.read_only(), other.clone()] {
            expect_error(Keyring::join(folder.path(), &ticket, entropy()), "another network");
            assert!(!path.exists());
        }
        for ticket in [mine.blind(), mine.clone()] {
            Keyring::join(folder.path(), &ticket, entropy()).unwrap();
            assert_eq!(fs::read(&path).unwrap(), key);
            fs::remove_file(&path).unwrap();
        }
        // The keys tell of the network too, where an older role file does not.
        fs::remove_file(folder.path().join("role")).unwrap();
        expect_error(Keyring::join(folder.path(), &other.blind(), entropy()), "another network");
        Keyring::join(folder.path(), &mine.blind(), entropy()).unwrap();
    }
}
