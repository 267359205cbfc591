//! Seeds that once found something, and what it was. Every run plays them again.

/// The newest last.
pub(super) const FOUND: &[(u64, &str)] = &[
    (114, "a shorter grace did not hold for what had come before it was set"),
    (129, "the same"),
    (
        211,
        "what said that a version had expired was written anew, and undid by a start what came after",
    ),
    (225, "the same"),
    (861, "the audit waited for blocks of a version that had expired where they were"),
    (960, "what had been swept, and still stood in the log, was there again after a start"),
    (3431, "the audit waited for a file to go that could not be removed, until a start"),
    (3684, "the audit asked for the greatest of many heads, where the least of them are told"),
    (
        10195,
        "the audit waited 15 s, and what is damaged and needed by nobody is known after the next mark",
    ),
    (7689, "nodes that agreed were held to a version that went with the only disk that had it"),
    (12_247, "the same"),
    (
        34_302,
        "a segment was missed that had gone on purpose, since the file of one that was never begun was there again",
    ),
    (64_897, "a page that was rotten came anew while the audit waited calmly"),
    (
        79_839,
        "a node was held to a version that it came to have after it was asked, and before it answered",
    ),
];

/// Those from before anything expired in a run: played as they were.
pub(super) const FOUND_BEFORE_AGING: &[(u64, &str)] = &[
    (369, "a group whose flush had failed was believed by the next start, and lost by a power cut"),
    (678, "a block that no record named yet rotted on the only disk that had it"),
    (2509, "the same, and its file stayed incomplete for ever"),
    (2779, "the prober took a rotten leaf for bytes of the file"),
    (408, "when the greatest version's record was lost, the one before was shown and not told of"),
    (102, "the same"),
    (729, "a wrong id at a right address made its node give up good connections again and again"),
    (775, "the audit compared a disk whose damage only a start can meet, before any start"),
    (71_678, "a node that learned of its failed disk after the last fault was not started again"),
    (98_280, "a guessed address was told to others in place of the one that the node had said"),
    (165_133, "a peer asked twice for a block, and twice without it, was waited for for ever"),
    (601_235, "the further tombstones of a deletion hid what its first would not, untold"),
    (524_914, "a node without room told of versions as a blind peer had claimed them"),
    (580_665, "the same"),
];
