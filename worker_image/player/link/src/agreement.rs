//! How the three players come to agree on an epoch, and when it ends (docs/wire.md). Pure: events
//! in, messages out; links and sockets are `mesh`'s.

use serde::{Deserialize, Serialize};

use super::epoch::{epoch_id_seen_by, EpochId, LinkId, LinkSecret};
use super::frame::Kind;
use super::offer::Offer;
use securemodel_mpc::protocol::ProtocolName;
use securemodel_mpc::role::Role;

/// Raised whenever keys are derived or frames laid out differently: players of mixed versions would
/// answer noise.
const WIRE_VERSION: u32 = 3;

/// What a player says about itself when a link comes up. One without shares has no protocol, digest
/// or generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    pub version: u32,
    pub role: Role,
    pub protocol: Option<ProtocolName>,
    pub digest: Option<String>,
    pub generation: Option<String>,
}

impl Hello {
    /// For a player that has no shares yet.
    pub fn without_shares(role: Role) -> Hello {
        Hello { version: WIRE_VERSION, role, protocol: None, digest: None, generation: None }
    }

    pub fn offering(role: Role, offer: &impl Offer) -> Hello {
        Hello {
            protocol: Some(offer.protocol()),
            digest: Some(offer.digest()),
            generation: Some(offer.generation()),
            ..Hello::without_shares(role)
        }
    }

    /// Reads a HELLO, which has to be this peer's and of this version.
    fn parse(payload: &[u8], peer: Role) -> Result<Hello, String> {
        let hello: Hello = serde_json::from_slice(payload).map_err(|e| format!("HELLO: {e}"))?;
        if (hello.version, hello.role) != (WIRE_VERSION, peer) {
            return Err(format!(
                "it speaks version {} as {}, expected version {WIRE_VERSION} as {peer}; \
                 run players of one release",
                hello.version, hello.role
            ));
        }
        Ok(hello)
    }
}

/// A link to one peer, as far as the agreement is concerned.
struct Side {
    secret: LinkSecret,
    id: LinkId,
    hello: Option<Hello>,
    /// The id of the peer's other link, as the peer reports it, and the id of ours that it was last
    /// told.
    theirs: Option<LinkId>,
    told: Option<LinkId>,
    confirmation: Option<Vec<u8>>,
}

impl Side {
    fn new(secret: LinkSecret) -> Side {
        let id = secret.id();
        Side { secret, id, hello: None, theirs: None, told: None, confirmation: None }
    }

    /// EPOCH with the id of our other link, unless the peer has been told it already.
    fn tell(&mut self, side: usize, other: LinkId) -> Option<Message> {
        let before = self.told.replace(other);
        (before != Some(other)).then(|| Message {
            side,
            kind: Kind::Epoch,
            payload: other.to_vec(),
        })
    }

    /// CONFIRM from this player, which is `role`.
    fn confirm(&self, side: usize, epoch: &EpochId, role: Role) -> Message {
        let payload = self.secret.confirmation(epoch, role).to_vec();
        Message { side, kind: Kind::Confirm, payload }
    }

    fn is_confirmed(&self, epoch: &EpochId, peer: Role) -> bool {
        self.confirmation.as_ref().is_some_and(|tag| self.secret.confirms(epoch, peer, tag))
    }
}

/// The epoch of these two links and the third, once both peers have said HELLO and name the same
/// third link.
fn epoch_of(role: Role, first: &Side, second: &Side) -> Option<EpochId> {
    let (Some(_), Some(_)) = (&first.hello, &second.hello) else { return None };
    let third = first.theirs.filter(|id| second.theirs == Some(*id))?;
    Some(epoch_id_seen_by(role, [&first.id, &second.id], &third))
}

/// A control frame to send: `side` is 0 or 1, in the order of `role.peers()`.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    pub side: usize,
    pub kind: Kind,
    pub payload: Vec<u8>,
}

/// Whether an event ended the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Event {
    Noted,
    /// Both links are forgotten (except for a new one) and have to be closed. Only a confirmed
    /// epoch takes its other link down with it: while one is forming, a lost link is simply
    /// replaced, since otherwise two players would keep closing each other's new links.
    Ended,
}

pub struct Agreement {
    role: Role,
    sides: [Option<Side>; 2],
    candidate: Option<EpochId>,
    agreed: Option<EpochId>,
}

impl Agreement {
    pub fn new(role: Role) -> Agreement {
        Agreement { role, sides: [None, None], candidate: None, agreed: None }
    }

    /// The epoch that both peers have confirmed.
    pub fn agreed(&self) -> Option<EpochId> {
        self.agreed
    }

    pub fn hello_of(&self, side: usize) -> Option<&Hello> {
        self.sides[side].as_ref()?.hello.as_ref()
    }

    /// A new link, which replaces the old one.
    pub fn up(&mut self, side: usize, secret: LinkSecret) -> Event {
        let event = self.down(side);
        self.sides[side] = Some(Side::new(secret));
        event
    }

    /// The link is gone.
    pub fn down(&mut self, side: usize) -> Event {
        if self.agreed.is_some() {
            self.clear();
            return Event::Ended;
        }
        self.sides[side] = None;
        self.candidate = None;
        Event::Noted
    }

    /// Forgets both links.
    pub fn clear(&mut self) {
        self.sides = [None, None];
        (self.candidate, self.agreed) = (None, None);
    }

    /// A control frame from the peer. An error closes the link.
    pub fn receive(&mut self, side: usize, kind: Kind, payload: &[u8]) -> Result<Event, String> {
        let peer = self.role.peers()[side];
        let Some(link) = self.sides[side].as_mut() else { return Ok(Event::Noted) };
        match (kind, &link.hello) {
            (Kind::Hello, Some(_)) => return Err("a second HELLO".into()),
            (Kind::Hello, None) | (_, Some(_)) => {}
            (_, None) => return Err(format!("{kind:?} before HELLO")),
        }

        match kind {
            Kind::Hello => link.hello = Some(Hello::parse(payload, peer)?),
            Kind::Confirm => link.confirmation = Some(payload.to_vec()),
            Kind::Epoch => {
                let id: LinkId =
                    payload.try_into().map_err(|_| "an EPOCH frame is not 16 bytes")?;
                let before = link.theirs.replace(id);
                if before != Some(id) && self.agreed.is_some() {
                    self.clear();
                    return Ok(Event::Ended);
                }
            }
            _ => return Err("not a control frame".into()),
        }
        Ok(Event::Noted)
    }

    /// Takes the agreement as far as it can go with what is known.
    pub fn advance(&mut self) -> Vec<Message> {
        let (None, [Some(first), Some(second)]) = (self.agreed, &mut self.sides) else {
            return vec![];
        };
        let ids = [first.id, second.id];
        let told = [first.tell(0, ids[1]), second.tell(1, ids[0])];
        let mut messages: Vec<Message> = told.into_iter().flatten().collect();

        let Some(id) = epoch_of(self.role, first, second) else { return messages };
        if self.candidate != Some(id) {
            self.candidate = Some(id);
            messages.push(first.confirm(0, &id, self.role));
            messages.push(second.confirm(1, &id, self.role));
        }

        let [one, two] = self.role.peers();
        if first.is_confirmed(&id, one) && second.is_confirmed(&id, two) {
            self.agreed = Some(id);
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    /// A frame, or nothing: the end.
    type Sent = Option<(Kind, Vec<u8>)>;

    /// A link of the simulated trio: what is on its way to either end, and whether it was cut.
    struct Wire {
        ends: [Role; 2], // dialer, listener
        secret: LinkSecret,
        to: [VecDeque<Sent>; 2],
        accepted: bool,
    }

    /// Three agreements, and links that deliver in order, at any time, until they are cut.
    struct Trio {
        players: [Agreement; 3],
        /// The current link of a player to a peer, as the player sees it.
        current: [[Option<usize>; 2]; 3],
        wires: Vec<Wire>,
    }

    fn side(role: Role, peer: Role) -> usize {
        usize::from(role.peers()[1] == peer)
    }

    impl Trio {
        fn new() -> Trio {
            Trio { players: Role::ALL.map(Agreement::new), current: [[None; 2]; 3], wires: vec![] }
        }

        fn send(&mut self, wire: usize, from: Role, message: Sent) {
            let to = usize::from(self.wires[wire].ends[0] == from);
            self.wires[wire].to[to].push_back(message);
        }

        fn up(&mut self, wire: usize, role: Role, peer: Role) {
            let i = side(role, peer);
            let event = self.players[role as usize].up(i, self.wires[wire].secret.clone());
            if let Some(old) = self.current[role as usize][i].take() {
                self.send(old, role, None);
            }
            if event == Event::Ended {
                self.close_all(role);
            }
            self.current[role as usize][i] = Some(wire);
            let hello = serde_json::to_vec(&Hello::without_shares(role)).expect("JSON");
            self.send(wire, role, Some((Kind::Hello, hello)));
            self.advance(role);
        }

        fn close_all(&mut self, role: Role) {
            for wire in std::mem::take(&mut self.current[role as usize]).into_iter().flatten() {
                self.send(wire, role, None);
            }
        }

        fn advance(&mut self, role: Role) {
            for message in self.players[role as usize].advance() {
                if let Some(wire) = self.current[role as usize][message.side] {
                    self.send(wire, role, Some((message.kind, message.payload)));
                }
            }
        }

        /// Dials where the dialer has no link.
        fn dial(&mut self, dialer: Role, listener: Role) {
            if self.current[dialer as usize][side(dialer, listener)].is_none() {
                let mut secret = LinkSecret([0; 32]);
                secret.0[..8].copy_from_slice(&self.wires.len().to_le_bytes());
                self.wires.push(Wire {
                    ends: [dialer, listener],
                    secret,
                    to: [VecDeque::new(), VecDeque::new()],
                    accepted: false,
                });
                self.up(self.wires.len() - 1, dialer, listener);
            }
        }

        /// Delivers the next message to this end of this wire; false if there is none.
        fn deliver(&mut self, wire: usize, end: usize) -> bool {
            let [dialer, listener] = self.wires[wire].ends;
            let (role, peer) = if end == 0 { (dialer, listener) } else { (listener, dialer) };
            if end == 1 && !self.wires[wire].accepted {
                self.wires[wire].accepted = true;
                self.up(wire, listener, dialer);
                return true;
            }
            let Some(message) = self.wires[wire].to[end].pop_front() else { return false };
            let i = side(role, peer);
            if self.current[role as usize][i] != Some(wire) {
                return true; // a stale link changes nothing
            }
            let player = &mut self.players[role as usize];
            let event = match message {
                Some((kind, payload)) => player.receive(i, kind, &payload).expect("valid"),
                None => {
                    self.current[role as usize][i] = None;
                    player.down(i)
                }
            };
            if event == Event::Ended {
                self.close_all(role);
            }
            self.advance(role);
            true
        }

        fn settle(&mut self) {
            for _ in 0..100 {
                for dialer in [Role::Bob, Role::Carol] {
                    for listener in dialer.peers().into_iter().filter(|peer| *peer < dialer) {
                        self.dial(dialer, listener);
                    }
                }
                let mut busy = false;
                for wire in 0..self.wires.len() {
                    for end in [0, 1] {
                        while self.deliver(wire, end) {
                            busy = true;
                        }
                    }
                }
                if !busy {
                    return;
                }
            }
            panic!("the trio never comes to rest");
        }

        fn assert_agreed(&self) {
            let agreed = self.players.each_ref().map(Agreement::agreed);
            assert!(agreed[0].is_some() && agreed.iter().all(|id| *id == agreed[0]), "{agreed:?}");
        }
    }

    #[test]
    fn three_links_make_one_epoch_and_a_new_link_another() {
        let mut trio = Trio::new();
        trio.settle();
        trio.assert_agreed();
        let before = trio.players[0].agreed();
        let wire = trio.current[1][side(Role::Bob, Role::Alice)].expect("linked");
        trio.wires[wire].to = [VecDeque::from([None]), VecDeque::from([None])];
        trio.settle();
        trio.assert_agreed();
        assert_ne!(trio.players[0].agreed(), before);
    }

    #[test]
    fn another_release_is_refused_with_the_next_step() {
        let mut alice = Agreement::new(Role::Alice);
        let _ = alice.up(0, LinkSecret([1; 32]));
        let hello = Hello { version: WIRE_VERSION - 1, ..Hello::without_shares(Role::Bob) };
        let why = alice
            .receive(0, Kind::Hello, &serde_json::to_vec(&hello).expect("JSON"))
            .expect_err("refused");
        assert!(
            why.contains("version 2 as bob, expected version 3")
                && why.contains("run players of one release"),
            "{why}"
        );
        assert!(alice
            .receive(
                0,
                Kind::Hello,
                &serde_json::to_vec(&Hello::without_shares(Role::Carol)).expect("JSON")
            )
            .is_err());
    }

    #[test]
    fn hello_comes_first_and_once() {
        let mut alice = Agreement::new(Role::Alice);
        let _ = alice.up(0, LinkSecret([1; 32]));
        let hello = serde_json::to_vec(&Hello::without_shares(Role::Bob)).expect("JSON");
        for kind in [Kind::Epoch, Kind::Confirm, Kind::Waiting] {
            assert_eq!(alice.receive(0, kind, &[0; 16]), Err(format!("{kind:?} before HELLO")));
        }
        assert_eq!(alice.receive(0, Kind::Hello, &hello), Ok(Event::Noted));
        assert_eq!(alice.receive(0, Kind::Hello, &hello), Err("a second HELLO".into()));
    }

    proptest! {
        /// Links are cut and dialed, and messages arrive, in any order; then all is quiet and the
        /// three must agree.
        #[test]
        fn the_trio_agrees_however_its_links_flap(
            steps in prop::collection::vec((0u8..8, any::<u8>()), 0..120),
        ) {
            let mut trio = Trio::new();
            for (what, which) in steps {
                let wires = trio.wires.len();
                match what {
                    0 => trio.dial(Role::Bob, Role::Alice),
                    1 => trio.dial(Role::Carol, Role::Alice),
                    2 => trio.dial(Role::Carol, Role::Bob),
                    3 if wires > 0 => {
                        let wire = &mut trio.wires[usize::from(which) % wires];
                        wire.to.iter_mut().for_each(|to| to.push_back(None));
                    }
                    _ if wires > 0 => {
                        let newest = wires - 1 - (usize::from(which) / 2) % wires.min(6);
                        trio.deliver(newest, usize::from(which) % 2);
                    }
                    _ => {}
                }
            }
            trio.settle();
            trio.assert_agreed();
        }
    }
}
