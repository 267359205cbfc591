//! What is answered at once is what would have been answered, and whatever is not simply good is left to who may wait.

use super::*;
use crate::limits::AT_ONCE_ITEMS_MAX;
use crate::store::fs::RealFs;
use crate::store::layout;
use crate::store::values::LogItem;
use crate::testing::SimFs;

/// A store with a block of each kind and a record.
struct Stored<F: FileSystem> {
    disk: Disk<F>,
    block: (Address, BlockPlace),
    small: (Address, BlockPlace),
    record: LogPlace,
}

fn stored<F: FileSystem>(fs: F) -> Stored<F> {
    let disk = start(fs, 1).unwrap().disk;
    let mut dice = Dice(5);
    let block = content(&mut dice, 3 * LEAF + 5);
    let small = content(&mut dice, 4_000);
    let length = u32::try_from(block.len()).unwrap();
    assert!(draft(&disk, 7, &block));
    let group = Group {
        blocks: vec![(7, address_of(&block), length)],
        small: vec![(address_of(&small), small.clone())],
        records: vec![(RecordId([1; 32]), content(&mut dice, 200))],
        ..Group::default()
    };
    let committed = commit(&disk, &group).unwrap();
    Stored {
        disk,
        block: (address_of(&block), BlockPlace::Tree { length }),
        small: (address_of(&small), BlockPlace::Log(committed.small[0])),
        record: committed.records[0],
    }
}

/// Something to be read, at once or not; what came, as text.
#[derive(Clone, Copy)]
enum Read {
    Leaves((Address, BlockPlace), LeafRange),
    Items(LogPlace, usize),
}

fn leaves(block: (Address, BlockPlace), (first, count): (u8, u8)) -> Read {
    Read::Leaves(block, LeafRange { first, count })
}

fn items(place: LogPlace, count: usize) -> Read {
    Read::Items(place, count)
}

impl<F: FileSystem> Stored<F> {
    fn at_once(&self, read: Read) -> Option<String> {
        match read {
            Read::Leaves((address, place), run) => {
                self.disk.leaves_at_once(&address, place, run).map(|read| format!("{read:?}"))
            }
            Read::Items(place, count) => {
                self.disk.items_at_once(&vec![place; count]).map(|items| format!("{items:?}"))
            }
        }
    }

    fn read(&self, read: Read) -> String {
        match read {
            Read::Leaves((address, place), run) => {
                format!("{:?}", self.disk.read_leaves(&address, place, run).unwrap())
            }
            Read::Items(place, count) => {
                let item = self.disk.read_log(place).unwrap();
                format!("{:?}", vec![item; count])
            }
        }
    }
}

/// Whether this system can tell at all what it has in memory.
fn can_tell(fs: &RealFs, path: &str) -> bool {
    fs.open_at_once(path).and_then(|file| fs.read_at_once(&file, 0, 1)).is_ok()
}

#[test]
fn what_is_in_memory_is_answered_at_once_and_alike() {
    let folder = tempfile::tempdir().unwrap();
    let fs = || RealFs::new(folder.path()).unwrap();
    let stored = stored(fs());
    let told = can_tell(&fs(), &layout::block(&stored.block.0));
    // The first read of a segment opens it, and may have to wait for that.
    assert!(stored.at_once(items(stored.record, 1)).is_none());
    stored.read(items(stored.record, 1));
    let reads: [fn(&Stored<RealFs>) -> Read; 5] = [
        |stored| leaves(stored.block, (0, 4)),
        |stored| leaves(stored.block, (2, 1)),
        |stored| leaves(stored.small, (0, 1)),
        |stored| items(stored.record, 1),
        |stored| items(stored.record, AT_ONCE_ITEMS_MAX),
    ];
    for read in reads {
        let now = stored.at_once(read(&stored));
        assert_eq!(now.is_some(), told, "{now:?}");
        if let Some(now) = now {
            assert_eq!(now, stored.read(read(&stored)));
        }
    }
}

#[test]
fn whatever_is_not_good_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let stored = stored(RealFs::new(folder.path()).unwrap());
    let comes_back = |read| stored.at_once(read).is_none();
    stored.read(items(stored.record, 1));
    let BlockPlace::Log(place) = stored.small.1 else { panic!("a small block is in the log") };
    let nowhere = LogPlace { segment: 99, ..place };
    let shifted = LogPlace { offset: place.offset + 1, ..place };
    let other = (Address([9; 32]), stored.small.1);
    assert!(comes_back(items(nowhere, 1)) && comes_back(items(shifted, 1)));
    assert!(comes_back(items(stored.record, AT_ONCE_ITEMS_MAX + 1)));
    assert!(comes_back(leaves(other, (0, 1))));
    assert!(comes_back(leaves(stored.block, (3, 2))), "it does not have so many leaves");
    assert!(comes_back(leaves((Address([9; 32]), stored.block.1), (0, 1))), "not held");
    let path = folder.path().join(layout::block(&stored.block.0));
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(comes_back(leaves(stored.block, (0, 1))));
    assert!(path.exists(), "putting it aside is for `read_leaves`");
}

#[test]
fn a_disk_that_can_not_tell_answers_nothing_at_once() {
    let stored = stored(SimFs::new());
    stored.read(items(stored.record, 1));
    assert!(stored.at_once(items(stored.record, 1)).is_none());
    assert!(stored.at_once(leaves(stored.block, (0, 1))).is_none());
}

#[test]
fn what_is_read_with_its_neighbours_is_what_is_read_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let stored = stored(RealFs::new(folder.path()).unwrap());
    let BlockPlace::Log(small) = stored.small.1 else { panic!("a small block is in the log") };
    let shifted = LogPlace { offset: small.offset + 1, ..small };
    let longer = LogPlace { length: small.length + 1, ..small };
    let nowhere = LogPlace { segment: 99, ..small };
    let beyond = LogPlace { offset: u32::MAX, ..small };
    let places = [shifted, stored.record, nowhere, small, beyond, longer, stored.record];
    let mut read = vec![None; places.len()];
    stored.disk.read_each(&places.map(|place| LogItem { id: [0; 32], place }), |at, item| {
        assert!(read[at].replace(item.map(Bytes::copy_from_slice)).is_none(), "told once");
    });
    for (place, read) in places.into_iter().zip(read) {
        assert_eq!(read, Some(stored.disk.read_log(place)), "{place:?}");
    }
}
