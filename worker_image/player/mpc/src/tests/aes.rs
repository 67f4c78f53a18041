//! AES-128 in counter mode, written from FIPS 197 and SP 800-38A alone: shares nothing with the
//! crate that the players use.

/// Product in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1.
const fn times(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    while b > 0 {
        if b & 1 == 1 {
            product ^= a;
        }
        a = (a << 1) ^ if a & 0x80 == 0 { 0 } else { 0x1b };
        b >>= 1;
    }
    product
}

/// The inverse in GF(2^8), x^254, then the affine map.
const fn substitute(x: u8) -> u8 {
    let (mut power, mut inverse, mut i) = (x, 1, 1);
    while i < 8 {
        power = times(power, power);
        inverse = times(inverse, power);
        i += 1;
    }
    let mut sum = inverse ^ 0x63;
    let mut turn = 1;
    while turn < 5 {
        sum ^= inverse.rotate_left(turn);
        turn += 1;
    }
    sum
}

const S_BOX: [u8; 256] = {
    let (mut table, mut x) = ([0; 256], 0);
    while x < 256 {
        table[x] = substitute(x as u8);
        x += 1;
    }
    table
};

/// An expanded key: eleven round keys.
pub(super) struct Aes([[u8; 16]; 11]);

impl Aes {
    pub(super) fn new(key: &[u8; 16]) -> Aes {
        let (mut round_keys, mut constant) = ([*key; 11], 1);

        for round in 1..11 {
            let last = round_keys[round - 1];
            let mut word: [u8; 4] = [13, 14, 15, 12].map(|at| S_BOX[last[at] as usize]);
            word[0] ^= constant;
            constant = times(constant, 2);
            for at in 0..16 {
                word[at % 4] ^= last[at];
                round_keys[round][at] = word[at % 4];
            }
        }

        Aes(round_keys)
    }

    pub(super) fn encrypt(&self, mut block: [u8; 16]) -> [u8; 16] {
        let [first, middle @ .., last] = &self.0;

        add(&mut block, first);
        for round_key in middle {
            block = mix_columns(substitute_and_shift_rows(block));
            add(&mut block, round_key);
        }
        block = substitute_and_shift_rows(block);
        add(&mut block, last);

        block
    }
}

fn add(block: &mut [u8; 16], round_key: &[u8; 16]) {
    block.iter_mut().zip(round_key).for_each(|(byte, key)| *byte ^= key);
}

/// Byte 4·c + r is row r of column c.
fn substitute_and_shift_rows(block: [u8; 16]) -> [u8; 16] {
    std::array::from_fn(|at| S_BOX[block[(at + 4 * (at % 4)) % 16] as usize])
}

fn mix_columns(block: [u8; 16]) -> [u8; 16] {
    std::array::from_fn(|at| {
        let row = |offset: usize| block[at / 4 * 4 + (at + offset) % 4];
        times(row(0), 2) ^ times(row(1), 3) ^ row(2) ^ row(3)
    })
}

/// SP 800-38A, F.5.1: CTR-AES128.Encrypt.
#[test]
fn the_reference_gives_the_answers_of_nist() {
    let aes = Aes::new(&0x2b7e151628aed2a6abf7158809cf4f3c_u128.to_be_bytes());
    let counter = 0xf0f1f2f3f4f5f6f7f8f9fafbfcfdfeff_u128;
    let vectors: [(u128, u128); 4] = [
        (0x6bc1bee22e409f96e93d7e117393172a, 0x874d6191b620e3261bef6864990db6ce),
        (0xae2d8a571e03ac9c9eb76fac45af8e51, 0x9806f66b7970fdff8617187bb9fffdff),
        (0x30c81c46a35ce411e5fbc1191a0a52ef, 0x5ae4df3edbd5d35e5b4f09020db03eab),
        (0xf69f2445df4f9b17ad2b417be66c3710, 0x1e031dda2fbe03d1792170a0f3009cee),
    ];
    for (at, (plain, cipher)) in (0..).zip(vectors) {
        let stream = u128::from_be_bytes(aes.encrypt((counter + at).to_be_bytes()));
        assert_eq!(plain ^ stream, cipher, "block {at}");
    }
}
