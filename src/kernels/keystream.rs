//! The keystream of a block: AES-256 in counter mode from IV 0.
//!
//! Knows no key's origin. Invariant: what is encrypted in pieces, each with its offset, is what is encrypted at once.

use aes::Aes256;
use ctr::Ctr64BE;
use ctr::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use zeroize::Zeroize;

/// So much of the keystream is made at once: 64 of the cipher's blocks, which is the most that it has in its registers.
const PIECE: usize = 1 << 10;

/// Encrypts or decrypts `data`, which begins `offset` bytes into its block.
///
/// Counting in 64 bits is faster and the same as in 128 until 2^68 bytes have been encrypted.
pub fn keystream(key: &[u8; 32], data: &mut [u8], offset: u64) {
    let mut cipher = Ctr64BE::<Aes256>::new(key.into(), &[0; 16].into());
    cipher.seek(offset);
    let mut pad = [0; PIECE];
    for piece in data.chunks_mut(PIECE) {
        let pad = &mut pad[..piece.len()];
        cipher.write_keystream(pad);
        xor(piece, pad);
    }
    // As a slice, which is set at once; an array is by single bytes.
    pad.as_mut_slice().zeroize();
}

/// By words, eight a turn: the cipher's own loop takes single bytes where the whole program is linked for size.
fn xor(data: &mut [u8], pad: &[u8]) {
    let (words, rest) = data.as_chunks_mut::<64>();
    let (pads, rest_pads) = pad.as_chunks::<64>();
    for (words, pads) in words.iter_mut().zip(pads) {
        let (words, _) = words.as_chunks_mut();
        let (pads, _) = pads.as_chunks();
        for at in 0..8 {
            words[at] =
                (u64::from_ne_bytes(words[at]) ^ u64::from_ne_bytes(pads[at])).to_ne_bytes();
        }
    }
    rest.iter_mut().zip(rest_pads).for_each(|(byte, pad)| *byte ^= pad);
}
