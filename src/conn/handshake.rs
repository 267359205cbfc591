//! From two strangers to a transport: prefaces, then three Noise messages of exact lengths.
//!
//! Knows nothing of frames. Invariants: an acceptor says nothing but its preface before a first
//! message has proved the network key; whatever either side put into its preface is bound into the
//! handshake.

use crate::conn::assemble::Form;
use crate::conn::error::ConnError;
use crate::conn::{ConnKeys, Side, Stage};
use crate::crypto::noise::{self, HandshakeKeys, MESSAGE_LENGTHS, Transport, Unauthentic};
use crate::ids::ClusterId;
use zeroize::Zeroizing;

/// "dfsd", lowest version, highest version, epoch.
const PREFACE: usize = 8;
const MAGIC: [u8; 4] = *b"dfsd";
/// The versions of the protocol that this program speaks.
const LOWEST: u8 = 1;
const HIGHEST: u8 = 1;

/// The lengths of the three messages.
const FIRST: usize = MESSAGE_LENGTHS[0];
const SECOND: usize = MESSAGE_LENGTHS[1];
const THIRD: usize = MESSAGE_LENGTHS[2];

/// A handshake under way.
pub(super) struct Handshake {
    side: Side,
    step: Step,
}

/// What has been done.
enum Step {
    /// Our preface is sent, the peer's has not come.
    Preface { keys: ConnKeys, entropy: Zeroizing<[u8; 32]> },
    /// Prefaces are exchanged. An acceptor waits for the first message, a dialer has sent it.
    First(noise::Handshake),
    /// An acceptor has answered a good first message.
    Second(noise::Handshake),
}

/// What a piece led to.
pub(super) enum Outcome {
    /// Go on with this.
    More(Handshake),
    /// The transport, and the peer's static key.
    Done(Box<Transport>, [u8; 32]),
}

impl Handshake {
    /// Begins, and writes our preface.
    pub(super) fn new(side: Side, keys: &ConnKeys, entropy: [u8; 32], out: &mut Vec<u8>) -> Self {
        out.extend_from_slice(&preface(keys.epoch));
        let step = Step::Preface { keys: keys.clone(), entropy: Zeroizing::new(entropy) };
        Self { side, step }
    }

    /// The form of the next piece.
    pub(super) fn form(&self) -> Form {
        Form::Exactly(match (&self.step, self.side) {
            (Step::Preface { .. }, Side::Dialer | Side::Acceptor) => PREFACE,
            (Step::First(_), Side::Acceptor) => FIRST,
            (Step::First(_), Side::Dialer) => SECOND,
            (Step::Second(_), Side::Dialer | Side::Acceptor) => THIRD,
        })
    }

    /// Whether the peer has proved anything yet. Whom we dialled is no stranger.
    pub(super) fn stage(&self) -> Stage {
        match (&self.step, self.side) {
            (Step::Preface { .. } | Step::First(_), Side::Acceptor) => Stage::Stranger,
            (Step::Preface { .. } | Step::First(_), Side::Dialer)
            | (Step::Second(_), Side::Dialer | Side::Acceptor) => Stage::Handshaking,
        }
    }

    /// Takes a piece of the form that was asked for, and writes what answers it.
    pub(super) fn advance(self, piece: &[u8], out: &mut Vec<u8>) -> Result<Outcome, ConnError> {
        let side = self.side;
        let more = |step| Ok(Outcome::More(Self { side, step }));
        match (self.step, side) {
            (Step::Preface { keys, entropy }, side) => {
                let noise = begin(side, &keys, *entropy, piece, out)?;
                more(Step::First(noise))
            }
            (Step::First(mut noise), Side::Acceptor) => {
                noise.read(piece).map_err(stranger)?;
                noise.write(out).map_err(stranger)?;
                more(Step::Second(noise))
            }
            (Step::First(mut noise), Side::Dialer) => {
                noise.read(piece).map_err(stranger)?;
                noise.write(out).map_err(stranger)?;
                done(noise)
            }
            (Step::Second(mut noise), Side::Dialer | Side::Acceptor) => {
                noise.read(piece).map_err(stranger)?;
                done(noise)
            }
        }
    }
}

/// Both prefaces are there: the Noise handshake begins, and the dialer speaks first.
fn begin(
    side: Side,
    keys: &ConnKeys,
    entropy: [u8; 32],
    theirs: &[u8],
    out: &mut Vec<u8>,
) -> Result<noise::Handshake, ConnError> {
    check_preface(theirs, keys.epoch)?;
    let ours = preface(keys.epoch);
    let prologue = match side {
        Side::Dialer => prologue(&ours, theirs, &keys.cluster),
        Side::Acceptor => prologue(theirs, &ours, &keys.cluster),
    };
    let noise_keys =
        HandshakeKeys { network_secret: &keys.network_secret, static_secret: &keys.static_secret };
    let mut noise = noise::Handshake::new(side == Side::Dialer, &noise_keys, &prologue, entropy);
    if side == Side::Dialer {
        noise.write(out).map_err(stranger)?;
    }
    Ok(noise)
}

fn preface(epoch: u16) -> [u8; PREFACE] {
    let mut preface = [0; PREFACE];
    preface[..4].copy_from_slice(&MAGIC);
    preface[4..6].copy_from_slice(&[LOWEST, HIGHEST]);
    preface[6..].copy_from_slice(&epoch.to_be_bytes());
    preface
}

fn check_preface(theirs: &[u8], ours: u16) -> Result<(), ConnError> {
    let Some((&MAGIC, &[lowest, highest, high, low])) = theirs.split_first_chunk() else {
        return Err(ConnError::Stranger);
    };
    if lowest > highest || lowest > HIGHEST || highest < LOWEST {
        return Err(ConnError::Version { lowest, highest });
    }
    let theirs = u16::from_be_bytes([high, low]);
    if theirs == ours { Ok(()) } else { Err(ConnError::Epoch { ours, theirs }) }
}

/// What both ends must agree on: the dialer's preface, the acceptor's, the cluster.
fn prologue(dialer: &[u8], acceptor: &[u8], cluster: &ClusterId) -> Vec<u8> {
    [dialer, acceptor, cluster.as_ref()].concat()
}

fn done(noise: noise::Handshake) -> Result<Outcome, ConnError> {
    let (transport, key) = noise.into_transport();
    Ok(Outcome::Done(Box::new(transport), key))
}

fn stranger(_: Unauthentic) -> ConnError {
    ConnError::Stranger
}
