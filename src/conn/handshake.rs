//! From two strangers to a transport: prefaces, then three Noise messages of exact lengths.
//!
//! Knows nothing of frames. Invariants: an acceptor says nothing but its preface, and that it refuses,
//! before a first message has proved the network key; whatever either side put into its preface is
//! bound into the handshake, and each puts in something new, so that what was said once is worth
//! nothing on another connection.

use crate::conn::assemble::Form;
use crate::conn::error::ConnError;
use crate::conn::{ConnKeys, Side, Stage};
use crate::crypto::keys::new_nonce;
use crate::crypto::noise::{self, HandshakeKeys, MESSAGE_LENGTHS, Transport, Unauthentic};
use crate::ids::ClusterId;
use crate::seeded::{self, Bug};
use zeroize::Zeroizing;

/// "dfsd", lowest version, highest version, epoch: in every version of the protocol, so that each can
/// tell of another what it is.
const HEAD: usize = 8;
/// What makes a connection differ from all others.
const NONCE: usize = 8;
const PREFACE: usize = HEAD + NONCE;
const MAGIC: [u8; 4] = *b"dfsd";
/// The versions of the protocol that this program speaks.
pub(super) const LOWEST: u8 = 5;
pub(super) const HIGHEST: u8 = 5;

/// The lengths of the three messages.
const FIRST: usize = MESSAGE_LENGTHS[0];
const SECOND: usize = MESSAGE_LENGTHS[1];
const THIRD: usize = MESSAGE_LENGTHS[2];
/// Instead of a second message: the first one was of no use. A connection that ends without it was
/// not refused for its key. No second message is like it: this key is of low order.
const REFUSAL: [u8; SECOND] = [0; SECOND];

/// A handshake under way.
pub(super) struct Handshake {
    side: Side,
    step: Step,
}

/// What has been done.
enum Step {
    /// Our preface is sent, the head of the peer's has not come.
    Head(Beginning),
    /// The head was good: the peer speaks our language. Its nonce has not come.
    Nonce(Beginning, [u8; HEAD]),
    /// Prefaces are exchanged. An acceptor waits for the first message, a dialer has sent it.
    First(noise::Handshake),
    /// An acceptor has answered a good first message.
    Second(noise::Handshake),
}

/// What a handshake begins with.
struct Beginning {
    keys: ConnKeys,
    entropy: Zeroizing<[u8; 32]>,
    /// Our preface.
    ours: [u8; PREFACE],
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
        let ours = preface(keys.epoch, new_nonce(&entropy));
        out.extend_from_slice(&ours);
        let entropy = Zeroizing::new(entropy);
        Self { side, step: Step::Head(Beginning { keys: keys.clone(), entropy, ours }) }
    }

    /// The form of the next piece.
    pub(super) fn form(&self) -> Form {
        Form::Exactly(match (&self.step, self.side) {
            (Step::Head(_), Side::Dialer | Side::Acceptor) => HEAD,
            (Step::Nonce(..), Side::Dialer | Side::Acceptor) => NONCE,
            (Step::First(_), Side::Acceptor) => FIRST,
            (Step::First(_), Side::Dialer) => SECOND,
            (Step::Second(_), Side::Dialer | Side::Acceptor) => THIRD,
        })
    }

    /// Whether the peer has proved anything yet. Whom we dialled is no stranger.
    pub(super) fn stage(&self) -> Stage {
        match (&self.step, self.side) {
            (Step::Head(_) | Step::Nonce(..) | Step::First(_), Side::Acceptor) => {
                Stage::Unauthenticated
            }
            (Step::Head(_) | Step::Nonce(..) | Step::First(_), Side::Dialer)
            | (Step::Second(_), Side::Dialer | Side::Acceptor) => Stage::Handshaking,
        }
    }

    /// Takes a piece of the form that was asked for, and writes what answers it.
    pub(super) fn advance(self, piece: &[u8], out: &mut Vec<u8>) -> Result<Outcome, ConnError> {
        let side = self.side;
        let more = |step| Ok(Outcome::More(Self { side, step }));
        match (self.step, side) {
            (Step::Head(beginning), Side::Dialer | Side::Acceptor) => {
                let head = *piece.first_chunk().ok_or(ConnError::Unauthenticated)?;
                check_head(head, beginning.keys.epoch)?;
                more(Step::Nonce(beginning, head))
            }
            (Step::Nonce(beginning, head), side) => {
                let theirs = [&head, piece].concat();
                more(Step::First(begin(side, &beginning, &theirs, out)?))
            }
            (Step::First(mut noise), Side::Acceptor) => {
                if noise.read(piece).is_err() {
                    out.extend_from_slice(&REFUSAL);
                    return Err(ConnError::Unauthenticated);
                }
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
    Beginning { keys, entropy, ours }: &Beginning,
    theirs: &[u8],
    out: &mut Vec<u8>,
) -> Result<noise::Handshake, ConnError> {
    let prologue = match side {
        Side::Dialer => prologue(ours, theirs, &keys.cluster),
        Side::Acceptor => prologue(theirs, ours, &keys.cluster),
    };
    let noise_keys =
        HandshakeKeys { network_secret: &keys.network_secret, static_secret: &keys.static_secret };
    let mut noise = noise::Handshake::new(side == Side::Dialer, &noise_keys, &prologue, **entropy);
    if side == Side::Dialer {
        noise.write(out).map_err(stranger)?;
    }
    Ok(noise)
}

fn preface(epoch: u16, nonce: [u8; NONCE]) -> [u8; PREFACE] {
    let mut preface = [0; PREFACE];
    preface[..4].copy_from_slice(&MAGIC);
    preface[4..6].copy_from_slice(&[LOWEST, HIGHEST]);
    preface[6..HEAD].copy_from_slice(&epoch.to_be_bytes());
    preface[HEAD..].copy_from_slice(&nonce);
    preface
}

fn check_head(theirs: [u8; HEAD], ours: u16) -> Result<(), ConnError> {
    let [magic @ .., lowest, highest, high, low] = theirs;
    if magic != MAGIC {
        return Err(ConnError::Unauthenticated);
    }
    if lowest > highest || lowest > HIGHEST || highest < LOWEST {
        return Err(ConnError::Version { lowest, highest });
    }
    let theirs = u16::from_be_bytes([high, low]);
    if theirs == ours { Ok(()) } else { Err(ConnError::Epoch { ours, theirs }) }
}

/// What both ends must agree on: the dialer's preface, the acceptor's, the cluster.
fn prologue(dialer: &[u8], acceptor: &[u8], cluster: &ClusterId) -> Vec<u8> {
    if seeded::is_on(Bug::ReplayAccepted) {
        return [&dialer[..HEAD], &acceptor[..HEAD], cluster.as_ref()].concat();
    }
    [dialer, acceptor, cluster.as_ref()].concat()
}

fn done(noise: noise::Handshake) -> Result<Outcome, ConnError> {
    let (transport, key) = noise.into_transport();
    Ok(Outcome::Done(Box::new(transport), key))
}

fn stranger(_: Unauthentic) -> ConnError {
    ConnError::Unauthenticated
}
