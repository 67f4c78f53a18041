//! ASTRA: masked sharing with an input-independent helper (docs/protocol.md). Formulas there, in the same names; here their order and who does what.

use super::prg::{Key, Purpose};
use super::{and, bits, compare, deal, Bilinear, Channel, ChannelError, Masked, Product, Protocol};
use crate::role::Role;
use crate::shares::Weight;
use deal::{Deal, Dealt};

/// The message of carol for an instruction; the data players' exchanges count from 1.
const DEAL: u8 = 0;
const OFFSET: u64 = 1 << 62;
const LOW: u64 = (1 << 63) - 1;

fn add(a: &[u64], b: &[u64]) -> Vec<u64> {
    a.iter().zip(b).map(|(a, b)| a.wrapping_add(*b)).collect()
}

fn xor(a: &[u64], b: &[u64]) -> Vec<u64> {
    a.iter().zip(b).map(|(a, b)| a ^ b).collect()
}

/// Lengths of carol's messages, in bytes.
fn truncation_len(n: usize, shift: u32) -> usize {
    8 * n + bits::packed_len(n, shift + 1)
}

fn selection_len(n: usize) -> usize {
    let planes = compare::LEAVES + and::dealt(compare::FIRST) + and::dealt(compare::SECOND) + 1;
    8 * planes * bits::plane_words(n) + 16 * n
}

/// alice or bob.
pub(super) struct Data<'a> {
    role: Role,
    peer: Role,
    with_carol: Key,
    with_peer: Key,
    channel: &'a mut dyn Channel,
    instruction: u32,
    step: u8,
}

/// t = p − R + factor·ρ_m: `p` is public to the data players, R and ρ_m are shared.
struct Difference {
    p: Vec<u64>,
    r: Vec<u64>,
    msb: Option<Msb>,
}

/// The correction of a truncation by the opened most significant bit.
struct Msb {
    /// k·(1 − 2c)
    factor: Vec<u64>,
    share: Vec<u64>,
    /// ρ_m is shared modulo 2^width
    width: u32,
}

impl Difference {
    /// This player's additive share of t.
    fn share(&self, lead: bool) -> Vec<u64> {
        let mut t: Vec<u64> = self.r.iter().map(|r| r.wrapping_neg()).collect();
        if lead {
            t = add(&t, &self.p);
        }
        if let Some(msb) = &self.msb {
            for ((t, factor), share) in t.iter_mut().zip(&msb.factor).zip(&msb.share) {
                *t = t.wrapping_add(factor.wrapping_mul(*share));
            }
        }
        t
    }
}

impl<'a> Data<'a> {
    pub(super) fn new(role: Role, with_carol: Key, with_peer: Key, channel: &'a mut dyn Channel) -> Data<'a> {
        let peer = if role == Role::Alice { Role::Bob } else { Role::Alice };
        Data { role, peer, with_carol, with_peer, channel, instruction: 0, step: DEAL }
    }

    /// Whether this player adds what is public.
    fn lead(&self) -> bool {
        self.role == Role::Alice
    }

    /// Sends words to the other data player and gets as many back: one hop.
    fn exchange(&mut self, words: &[u64]) -> Result<Vec<u64>, ChannelError> {
        self.step += 1;
        self.channel.send(self.peer, self.instruction, self.step, bytemuck::cast_slice(words))?;
        let theirs = self.channel.recv(self.peer, self.instruction, self.step, 8 * words.len())?;
        Ok(bytemuck::pod_collect_to_vec(&theirs))
    }

    fn dealt(&mut self, len: usize) -> Result<Dealt, ChannelError> {
        if self.lead() {
            return Ok(Dealt::Stream { with_carol: self.with_carol.clone(), instruction: self.instruction });
        }
        Ok(Dealt::Message { bytes: self.channel.recv(Role::Carol, self.instruction, DEAL, len)?, read: 0 })
    }

    fn masked(&mut self, share: &[u64]) -> Result<Masked, ChannelError> {
        let l = self.with_carol.words(self.instruction, Purpose::Mask, share.len());
        let own = add(share, &l);
        let m = add(&own, &self.exchange(&own)?);
        Ok(Masked { m, l })
    }

    /// o = z + r + 2^62, known to both data players.
    fn open(&mut self, Product(z): Product) -> Result<Vec<u64>, ChannelError> {
        let own = add(&z, &self.with_carol.words(self.instruction, Purpose::Gamma, z.len()));
        let theirs = self.exchange(&own)?;
        Ok(own.iter().zip(theirs).map(|(a, b)| a.wrapping_add(b).wrapping_add(OFFSET)).collect())
    }

    /// The truncation of what was opened.
    fn truncated(&mut self, opened: &[u64], shift: u32, dealt: &mut Dealt) -> Difference {
        let (n, width) = (opened.len(), shift + 1);
        let k = 1u64 << (63 - shift);
        let p = opened.iter().map(|o| ((o & LOW) >> shift).wrapping_sub(OFFSET >> shift).wrapping_add(k.wrapping_mul(o >> 63))).collect();
        let factor = opened.iter().map(|o| if o >> 63 == 0 { k } else { k.wrapping_neg() }).collect();
        let r = dealt.words(Purpose::R, n);
        let share = dealt.low_bits(Purpose::RhoM, n, width);
        Difference { p, r, msb: Some(Msb { factor, share, width }) }
    }

    /// One layer of products of bits: shares of the factors in, shares of the products out.
    fn and(
        &mut self,
        layer: &[and::Group],
        factors: &[u64],
        mask: Purpose,
        products: Purpose,
        dealt: &mut Dealt,
        w: usize,
    ) -> Result<Vec<u64>, ChannelError> {
        let masks = self.with_carol.words(self.instruction, mask, factors.len());
        let own = xor(factors, &masks);
        let opened = xor(&own, &self.exchange(&own)?);
        let shared = dealt.words(products, and::dealt(layer) * w);
        Ok(and::products(layer, &opened, &masks, &shared, self.lead(), w))
    }

    /// y = t if t ≥ 0, else 0, for |t| < 2^31.
    fn select(&mut self, t: &Difference, mut dealt: Dealt) -> Result<Masked, ChannelError> {
        let n = t.p.len();
        let w = bits::plane_words(n);
        let m = bits::planes(&t.p, 32);
        let leaves = compare::leaves(&m, &dealt.words(Purpose::Leaves, compare::LEAVES * w), w, self.lead());
        let products = self.and(compare::FIRST, &leaves.first_factors(), Purpose::AndMask1, Purpose::Products1, &mut dealt, w)?;
        let (factors, high) = leaves.second_factors(&products);
        let product = self.and(compare::SECOND, &factors, Purpose::AndMask2, Purpose::Products2, &mut dealt, w)?;
        let mut b = xor(&xor(&high, &product), &dealt.words(Purpose::R31, w));
        if self.lead() {
            b = b.iter().zip(and::plane(&m, 31, w)).map(|(b, m)| !(b ^ m)).collect();
        }
        let rho = dealt.words(Purpose::Rho, n);
        let own = xor(&b, &bits::planes(&rho, 1));
        let b = xor(&own, &self.exchange(&own)?);
        let rho_r = dealt.words(Purpose::RhoR, n);
        let mut rho_t: Vec<u64> = (0..n).map(|e| rho[e].wrapping_mul(t.p[e]).wrapping_sub(rho_r[e])).collect();
        if let Some(msb) = &t.msb {
            let rho_rho_m = dealt.low_bits(Purpose::RhoRhoM, n, msb.width);
            for e in 0..n {
                rho_t[e] = rho_t[e].wrapping_add(msb.factor[e].wrapping_mul(rho_rho_m[e]));
            }
        }
        let t = t.share(self.lead());
        let y: Vec<u64> = (0..n).map(|e| if bits::bit(&b, e) == 1 { t[e].wrapping_sub(rho_t[e]) } else { rho_t[e] }).collect();
        self.masked(&y)
    }

    /// An output share: a fresh sharing of the same value.
    fn rerandomized(&self, t: &[u64]) -> Vec<u64> {
        let zero = self.with_peer.words(self.instruction, Purpose::Zero, t.len());
        if self.lead() {
            add(t, &zero)
        } else {
            t.iter().zip(zero).map(|(t, z)| t.wrapping_sub(z)).collect()
        }
    }
}

impl Protocol for Data<'_> {
    fn begin(&mut self, instruction: u32) {
        self.instruction = instruction;
        self.step = DEAL;
    }

    fn input(&mut self, share: Option<Vec<u64>>, n: usize) -> Result<Masked, ChannelError> {
        match share {
            Some(share) if share.len() == n => self.masked(&share),
            _ => Err(ChannelError::Protocol(self.role, format!("an input share of {n} elements is needed"))),
        }
    }

    fn bilinear(&self, x: &Masked, w: &Weight, n: usize, apply: Bilinear) -> Product {
        let mut z = vec![0; n];
        if let Weight::Data { with_m, with_lambda } = w {
            apply(&mut z, &x.m, with_m);
            apply(&mut z, &x.l, with_lambda);
        }
        Product(z)
    }

    fn scale(&self, x: &Masked, factor: u64) -> Product {
        let m = |e: usize| if self.lead() { x.m[e] } else { 0 };
        Product(x.l.iter().enumerate().map(|(e, l)| factor.wrapping_mul(m(e).wrapping_sub(*l))).collect())
    }

    fn truncate(&mut self, z: Product, shift: u32) -> Result<Masked, ChannelError> {
        let opened = self.open(z)?;
        let mut dealt = self.dealt(truncation_len(opened.len(), shift))?;
        let t = self.truncated(&opened, shift, &mut dealt).share(self.lead());
        self.masked(&t)
    }

    fn relu(&mut self, x: Masked) -> Result<Masked, ChannelError> {
        let dealt = self.dealt(selection_len(x.m.len()))?;
        self.select(&Difference { p: x.m, r: x.l, msb: None }, dealt)
    }

    fn truncate_relu(&mut self, z: Product, shift: u32) -> Result<Masked, ChannelError> {
        let opened = self.open(z)?;
        let n = opened.len();
        let mut dealt = self.dealt(truncation_len(n, shift) + selection_len(n) + bits::packed_len(n, shift + 1))?;
        let t = self.truncated(&opened, shift, &mut dealt);
        self.select(&t, dealt)
    }

    fn output(&mut self, x: Masked) -> Option<Vec<u64>> {
        let t = Difference { p: x.m, r: x.l, msb: None }.share(self.lead());
        Some(self.rerandomized(&t))
    }

    fn truncate_output(&mut self, z: Product, shift: u32) -> Result<Option<Vec<u64>>, ChannelError> {
        let opened = self.open(z)?;
        let mut dealt = self.dealt(truncation_len(opened.len(), shift))?;
        let t = self.truncated(&opened, shift, &mut dealt).share(self.lead());
        Ok(Some(self.rerandomized(&t)))
    }
}

/// carol.
pub(super) struct Helper<'a> {
    with_alice: Key,
    with_bob: Key,
    own: Key,
    channel: &'a mut dyn Channel,
    instruction: u32,
}

impl<'a> Helper<'a> {
    pub(super) fn new(with_alice: Key, with_bob: Key, own: Key, channel: &'a mut dyn Channel) -> Helper<'a> {
        Helper { with_alice, with_bob, own, channel, instruction: 0 }
    }

    /// The sum of a mask of both data players.
    fn common(&self, purpose: Purpose, n: usize) -> Vec<u64> {
        add(&self.with_alice.words(self.instruction, purpose, n), &self.with_bob.words(self.instruction, purpose, n))
    }

    fn fresh(&self, n: usize) -> Masked {
        Masked { m: vec![], l: self.common(Purpose::Mask, n) }
    }

    /// Deals what the truncation needs; returns R and ρ_m.
    fn deal_truncation(&self, Product(kappa): &Product, shift: u32, deal: &mut Deal) -> (Vec<u64>, Vec<u64>) {
        let r = self.common(Purpose::Gamma, kappa.len());
        let (high, rho_m): (Vec<u64>, Vec<u64>) =
            r.iter().zip(kappa).map(|(r, kappa)| r.wrapping_sub(*kappa)).map(|r| ((r & LOW) >> shift, r >> 63)).unzip();
        deal.words(Purpose::R, &high);
        deal.low_bits(Purpose::RhoM, &rho_m, shift + 1);
        (high, rho_m)
    }

    /// Deals what `Data::select` needs for t = p − R (+ …·ρ_m).
    fn deal_selection(&self, r: &[u64], msb: Option<(&[u64], u32)>, deal: &mut Deal) {
        let n = r.len();
        let w = bits::plane_words(n);
        deal.planes(Purpose::Leaves, &compare::one_hot(r));
        for (layer, mask, products) in
            [(compare::FIRST, Purpose::AndMask1, Purpose::Products1), (compare::SECOND, Purpose::AndMask2, Purpose::Products2)]
        {
            let count = and::factors(layer) * w;
            let masks = xor(&self.with_alice.words(self.instruction, mask, count), &self.with_bob.words(self.instruction, mask, count));
            deal.planes(products, &and::mask_products(layer, &masks, w));
        }
        let sign: Vec<u64> = r.iter().map(|r| r >> 31 & 1).collect();
        deal.planes(Purpose::R31, &bits::planes(&sign, 1));
        let draw = self.own.words(self.instruction, Purpose::Own, w);
        let rho: Vec<u64> = (0..n).map(|e| bits::bit(&draw, e)).collect();
        let times = |values: &[u64]| -> Vec<u64> { rho.iter().zip(values).map(|(rho, v)| rho * v).collect() };
        deal.words(Purpose::Rho, &rho);
        deal.words(Purpose::RhoR, &times(r));
        if let Some((rho_m, width)) = msb {
            deal.low_bits(Purpose::RhoRhoM, &times(rho_m), width);
        }
    }

    fn send(&mut self, message: &[u8]) -> Result<(), ChannelError> {
        self.channel.send(Role::Bob, self.instruction, DEAL, message)
    }
}

impl Protocol for Helper<'_> {
    fn begin(&mut self, instruction: u32) {
        self.instruction = instruction;
    }

    fn input(&mut self, _: Option<Vec<u64>>, n: usize) -> Result<Masked, ChannelError> {
        Ok(self.fresh(n))
    }

    fn bilinear(&self, x: &Masked, w: &Weight, n: usize, apply: Bilinear) -> Product {
        let mut kappa = vec![0; n];
        if let Weight::Helper { lambda } = w {
            apply(&mut kappa, &x.l, lambda);
        }
        Product(kappa)
    }

    fn scale(&self, x: &Masked, _: u64) -> Product {
        Product(vec![0; x.l.len()])
    }

    fn truncate(&mut self, z: Product, shift: u32) -> Result<Masked, ChannelError> {
        let mut deal = Deal::new(&self.with_alice, self.instruction);
        self.deal_truncation(&z, shift, &mut deal);
        let message = deal.message();
        self.send(&message)?;
        Ok(self.fresh(z.0.len()))
    }

    fn relu(&mut self, x: Masked) -> Result<Masked, ChannelError> {
        let mut deal = Deal::new(&self.with_alice, self.instruction);
        self.deal_selection(&x.l, None, &mut deal);
        let message = deal.message();
        self.send(&message)?;
        Ok(self.fresh(x.l.len()))
    }

    fn truncate_relu(&mut self, z: Product, shift: u32) -> Result<Masked, ChannelError> {
        let mut deal = Deal::new(&self.with_alice, self.instruction);
        let (r, rho_m) = self.deal_truncation(&z, shift, &mut deal);
        self.deal_selection(&r, Some((&rho_m, shift + 1)), &mut deal);
        let message = deal.message();
        self.send(&message)?;
        Ok(self.fresh(z.0.len()))
    }

    fn output(&mut self, _: Masked) -> Option<Vec<u64>> {
        None
    }

    fn truncate_output(&mut self, z: Product, shift: u32) -> Result<Option<Vec<u64>>, ChannelError> {
        let mut deal = Deal::new(&self.with_alice, self.instruction);
        self.deal_truncation(&z, shift, &mut deal);
        let message = deal.message();
        self.send(&message)?;
        Ok(None)
    }
}
