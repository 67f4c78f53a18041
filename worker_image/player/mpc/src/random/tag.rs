//! Which stream of a key (docs/protocol.md, Randomness).

/// What a stream is for. The numbers are part of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub(crate) enum Purpose {
    Mask = 0,
    Gamma = 1,
    Zero = 2,
    R = 3,
    RhoM = 4,
    Sigma = 5,
    SigmaR = 6,
    SigmaRhoM = 7,
    Leaves = 8,
    AndMask1 = 9,
    Products1 = 10,
    AndMask2 = 11,
    Products2 = 12,
    TopR = 13,
    Rho = 14,
    Bits = 15,
    Beta = 16,
    Rotation = 17,
    Scale = 18,
    Blind = 19,
    Request = 20,
}

/// Which stream of a key. `level` counts the rounds of an instruction that compares several times
/// (max_pool); 0 otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    pub instruction: u32,
    pub level: u16,
    pub purpose: Purpose,
}
