//! SHA-256 of whole leaves with the processor's own instructions: SHA-NI for two at once, AVX-512 for sixteen.
//!
//! Knows no tree, and no leaf of another length. Invariant: entered only where `best` or a test of the room above has
//! found the features; nothing is read but the leaves.

use super::{Digest, LANES, LEAF};
use std::arch::x86_64::*;

/// FIPS 180-4, section 5.3.3.
const START: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// FIPS 180-4, section 4.2.2.
#[rustfmt::skip]
const K: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

/// The same code for each of these constants: arrays then stay in registers, which the optimizer does not see for
/// itself in a loop.
macro_rules! unrolled {
    ($name:ident in $($value:literal)+ => $code:expr) => {
        $({
            let $name: usize = $value;
            $code
        })+
    };
}

/// Blocks of 64 bytes that lie within the leaf but for their first byte: all but the first and last.
const INNER: usize = LEAF / 64 - 1;

/// The block that begins with the prefix.
fn first_block(leaf: &[u8; LEAF]) -> [u8; 64] {
    let mut block = [0; 64];
    block[1..].copy_from_slice(&leaf[..63]);
    block
}

/// The block with the leaf's last byte, the mark and the message's length in bits.
fn last_block(leaf: &[u8; LEAF]) -> [u8; 64] {
    let mut block = [0; 64];
    block[0] = leaf[LEAF - 1];
    block[1] = 0x80;
    block[56..].copy_from_slice(&(8 * (LEAF as u64 + 1)).to_be_bytes());
    block
}

/// The `at`th inner block.
fn inner_block(leaf: &[u8; LEAF], at: usize) -> &[u8; 64] {
    let start = 64 * (at + 1) - 1;
    leaf[start..start + 64].try_into().expect("64 bytes")
}

/// Whether a vector of 512 bits takes one step and not two: AMD's Zen 4 (family 0x19) halves them, and pairs are then
/// faster (3.4 against 3.1 GB/s).
pub(super) fn vectors_are_whole() -> bool {
    const ZEN_4: u32 = 0x19;
    let is_amd = __cpuid(0).ebx == u32::from_le_bytes(*b"Auth");
    let version = __cpuid(1).eax;
    let family = (version >> 8 & 0xf) + (version >> 20 & 0xff);
    !(is_amd && family == ZEN_4)
}

pub(super) fn pair(leaves: [&[u8; LEAF]; 2]) -> [Digest; 2] {
    // SAFETY: `Way::Pairs` and `Way::Sixteen` are chosen only where the processor has these.
    unsafe { pair_of(leaves) }
}

pub(super) fn sixteen(leaves: [&[u8; LEAF]; LANES]) -> [Digest; LANES] {
    // SAFETY: `Way::Sixteen` is chosen only where the processor has these.
    unsafe { sixteen_of(leaves) }
}

/// Two states, each as SHA-NI wants it: the words a, b, e, f and c, d, g, h.
struct Pair {
    abef: [__m128i; 2],
    cdgh: [__m128i; 2],
}

#[target_feature(enable = "sha,sse4.1,ssse3")]
fn pair_of(leaves: [&[u8; LEAF]; 2]) -> [Digest; 2] {
    let words = |at: [usize; 4]| {
        let [a, b, c, d] = at.map(|at| START[at].cast_signed());
        _mm_set_epi32(a, b, c, d)
    };
    let (abef, cdgh) = (words([0, 1, 4, 5]), words([2, 3, 6, 7]));
    let mut pair = Pair { abef: [abef; 2], cdgh: [cdgh; 2] };
    let first = leaves.map(first_block);
    pair.compress([&first[0], &first[1]]);
    for at in 0..INNER {
        pair.compress(leaves.map(|leaf| inner_block(leaf, at)));
    }
    let last = leaves.map(last_block);
    pair.compress([&last[0], &last[1]]);
    [pair.hash(0), pair.hash(1)]
}

impl Pair {
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    #[inline]
    fn compress(&mut self, blocks: [&[u8; 64]; 2]) {
        let before = (self.abef, self.cdgh);
        let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
        // The message schedule's last sixteen words, four to a vector.
        let mut words = [[_mm_setzero_si128(); 4]; 2];
        for (lane, block) in blocks.iter().enumerate() {
            for (at, word) in words[lane].iter_mut().enumerate() {
                // SAFETY: 16 bytes at 16 * at are within the block's 64.
                let loaded = unsafe { _mm_loadu_si128(block.as_ptr().add(16 * at).cast()) };
                *word = _mm_shuffle_epi8(loaded, swap);
            }
        }
        for sixteen in 0..4 {
            // SAFETY: 16 words at 16 * sixteen are within the 64.
            let k = unsafe { K.as_ptr().add(16 * sixteen).cast::<__m128i>() };
            unrolled!(four in 0 1 2 3 => {
                // SAFETY: as above, four vectors of four words.
                let k = unsafe { _mm_loadu_si128(k.add(four)) };
                unrolled!(lane in 0 1 => self.four_rounds(lane, words[lane][four], k));
                if sixteen < 3 {
                    unrolled!(lane in 0 1 => words[lane][four] = next_four(&words[lane], four));
                }
            });
        }
        for lane in 0..2 {
            self.abef[lane] = _mm_add_epi32(self.abef[lane], before.0[lane]);
            self.cdgh[lane] = _mm_add_epi32(self.cdgh[lane], before.1[lane]);
        }
    }

    #[target_feature(enable = "sha,sse4.1,ssse3")]
    #[inline]
    fn four_rounds(&mut self, lane: usize, words: __m128i, k: __m128i) {
        let sum = _mm_add_epi32(words, k);
        let (abef, cdgh) = (self.abef[lane], self.cdgh[lane]);
        self.cdgh[lane] = _mm_sha256rnds2_epu32(cdgh, abef, sum);
        let high = _mm_shuffle_epi32::<0x0e>(sum);
        self.abef[lane] = _mm_sha256rnds2_epu32(abef, self.cdgh[lane], high);
    }

    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn hash(&self, lane: usize) -> Digest {
        let words = |vector: __m128i| {
            [
                _mm_extract_epi32::<3>(vector),
                _mm_extract_epi32::<2>(vector),
                _mm_extract_epi32::<1>(vector),
                _mm_extract_epi32::<0>(vector),
            ]
        };
        let ([a, b, e, f], [c, d, g, h]) = (words(self.abef[lane]), words(self.cdgh[lane]));
        to_hash([a, b, c, d, e, f, g, h].map(i32::cast_unsigned))
    }
}

/// The four words of the schedule that take the place of the oldest four, at `oldest`.
#[target_feature(enable = "sha,sse4.1,ssse3")]
#[inline]
fn next_four(words: &[__m128i; 4], oldest: usize) -> __m128i {
    let (w0, w4) = (words[oldest], words[(oldest + 1) % 4]);
    let (w8, w12) = (words[(oldest + 2) % 4], words[(oldest + 3) % 4]);
    let sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w4), _mm_alignr_epi8::<4>(w12, w8));
    _mm_sha256msg2_epu32(sum, w12)
}

fn to_hash(words: [u32; 8]) -> Digest {
    let mut bytes = [0; 32];
    for (word, four) in words.iter().zip(bytes.chunks_exact_mut(4)) {
        four.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

#[target_feature(enable = "avx512f,avx512bw")]
fn sixteen_of(leaves: [&[u8; LEAF]; LANES]) -> [Digest; LANES] {
    let mut state = [_mm512_setzero_si512(); 8];
    for (vector, word) in state.iter_mut().zip(START) {
        *vector = _mm512_set1_epi32(word.cast_signed());
    }
    let first = leaves.map(first_block);
    compress_sixteen(&mut state, first.each_ref());
    for at in 0..INNER {
        compress_sixteen(&mut state, leaves.map(|leaf| inner_block(leaf, at)));
    }
    let last = leaves.map(last_block);
    compress_sixteen(&mut state, last.each_ref());
    let words = state.map(words_of);
    std::array::from_fn(|lane| to_hash(words.map(|lanes| lanes[lane])))
}

fn words_of(vector: __m512i) -> [u32; LANES] {
    // SAFETY: a vector is as long as sixteen words, and all bits of both mean something.
    unsafe { std::mem::transmute(vector) }
}

#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn compress_sixteen(state: &mut [__m512i; 8], blocks: [&[u8; 64]; LANES]) {
    let mut words = transposed(rows(blocks));
    let mut now = *state;
    for sixteen in 0..4 {
        unrolled!(at in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 => {
            let k = _mm512_set1_epi32(K[16 * sixteen + at].cast_signed());
            one_round(&mut now, at, _mm512_add_epi32(words[at], k));
            if sixteen < 3 {
                words[at] = next_word(&words, at);
            }
        });
    }
    for (before, after) in state.iter_mut().zip(now) {
        *before = _mm512_add_epi32(*before, after);
    }
}

/// The variables a to h do not move: with each round their names go one place further.
#[target_feature(enable = "avx512f")]
#[inline]
fn one_round(state: &mut [__m512i; 8], round: usize, word: __m512i) {
    let place = |variable: usize| (variable + 64 - round) % 8;
    let (a, b, c) = (state[place(0)], state[place(1)], state[place(2)]);
    let (e, f, g) = (state[place(4)], state[place(5)], state[place(6)]);
    let sum = _mm512_add_epi32(state[place(7)], word);
    // Each bit of e chooses: of f where it is set, of g where not.
    let sum = _mm512_add_epi32(sum, _mm512_ternarylogic_epi32::<0xca>(e, f, g));
    let first = _mm512_add_epi32(sum, big_sigma_1(e));
    let majority = _mm512_ternarylogic_epi32::<0xe8>(a, b, c);
    let second = _mm512_add_epi32(big_sigma_0(a), majority);
    state[place(3)] = _mm512_add_epi32(state[place(3)], first);
    state[place(7)] = _mm512_add_epi32(first, second);
}

/// The sixteen lanes' blocks as they lie in memory, each word in the processor's order of bytes.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn rows(blocks: [&[u8; 64]; LANES]) -> [__m512i; LANES] {
    let swap = _mm512_broadcast_i32x4(_mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203));
    let mut rows = [_mm512_setzero_si512(); LANES];
    for (row, block) in rows.iter_mut().zip(blocks) {
        // SAFETY: a block is 64 bytes.
        let bytes = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
        *row = _mm512_shuffle_epi8(bytes, swap);
    }
    rows
}

/// The word of the schedule that takes the place of the oldest, at `oldest`.
#[target_feature(enable = "avx512f")]
#[inline]
fn next_word(words: &[__m512i; 16], oldest: usize) -> __m512i {
    let (w0, w1) = (words[oldest], words[(oldest + 1) % 16]);
    let (w9, w14) = (words[(oldest + 9) % 16], words[(oldest + 14) % 16]);
    let s0 =
        xor3(_mm512_ror_epi32::<7>(w1), _mm512_ror_epi32::<18>(w1), _mm512_srli_epi32::<3>(w1));
    let s1 = xor3(
        _mm512_ror_epi32::<17>(w14),
        _mm512_ror_epi32::<19>(w14),
        _mm512_srli_epi32::<10>(w14),
    );
    _mm512_add_epi32(_mm512_add_epi32(w0, s0), _mm512_add_epi32(w9, s1))
}

#[target_feature(enable = "avx512f")]
#[inline]
fn big_sigma_0(a: __m512i) -> __m512i {
    xor3(_mm512_ror_epi32::<2>(a), _mm512_ror_epi32::<13>(a), _mm512_ror_epi32::<22>(a))
}

#[target_feature(enable = "avx512f")]
#[inline]
fn big_sigma_1(e: __m512i) -> __m512i {
    xor3(_mm512_ror_epi32::<6>(e), _mm512_ror_epi32::<11>(e), _mm512_ror_epi32::<25>(e))
}

#[target_feature(enable = "avx512f")]
#[inline]
fn xor3(one: __m512i, two: __m512i, three: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<0x96>(one, two, three)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn four_of(vectors: &[__m512i; 16], at: usize) -> [__m512i; 4] {
    [vectors[at], vectors[at + 1], vectors[at + 2], vectors[at + 3]]
}

/// Word `w` of lane `l` becomes lane `l` of word `w`.
#[target_feature(enable = "avx512f")]
#[inline]
fn transposed(rows: [__m512i; 16]) -> [__m512i; 16] {
    // Pairs of rows, their words interleaved; then pairs of these, by two words.
    let mut fours = [_mm512_setzero_si512(); 16];
    for group in 0..4 {
        let [r0, r1, r2, r3] = four_of(&rows, 4 * group);
        let (low_01, high_01) = (_mm512_unpacklo_epi32(r0, r1), _mm512_unpackhi_epi32(r0, r1));
        let (low_23, high_23) = (_mm512_unpacklo_epi32(r2, r3), _mm512_unpackhi_epi32(r2, r3));
        fours[group] = _mm512_unpacklo_epi64(low_01, low_23);
        fours[4 + group] = _mm512_unpackhi_epi64(low_01, low_23);
        fours[8 + group] = _mm512_unpacklo_epi64(high_01, high_23);
        fours[12 + group] = _mm512_unpackhi_epi64(high_01, high_23);
    }
    // Now `fours[4 * word + group]` has, in its quarter `q`, word `4 * q + word` of the group's four lanes.
    let mut words = [_mm512_setzero_si512(); 16];
    for word in 0..4 {
        let [g0, g1, g2, g3] = four_of(&fours, 4 * word);
        let even_01 = _mm512_shuffle_i32x4::<0x88>(g0, g1);
        let even_23 = _mm512_shuffle_i32x4::<0x88>(g2, g3);
        let odd_01 = _mm512_shuffle_i32x4::<0xdd>(g0, g1);
        let odd_23 = _mm512_shuffle_i32x4::<0xdd>(g2, g3);
        words[word] = _mm512_shuffle_i32x4::<0x88>(even_01, even_23);
        words[4 + word] = _mm512_shuffle_i32x4::<0x88>(odd_01, odd_23);
        words[8 + word] = _mm512_shuffle_i32x4::<0xdd>(even_01, even_23);
        words[12 + word] = _mm512_shuffle_i32x4::<0xdd>(odd_01, odd_23);
    }
    words
}
