//! Frames: a fixed header and a payload (docs/wire.md, Links between players).

/// The type of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Hello = 1,
    Epoch = 2,
    Confirm = 3,
    Waiting = 4,
    Announce = 5,
    Data = 6,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub kind: Kind,
    pub step: u8,
    pub hop: u16,
    pub instruction: u32,
    pub batch: u64,
}

impl Header {
    /// A frame outside a batch.
    pub fn control(kind: Kind) -> Header {
        Header { kind, step: 0, hop: 0, instruction: 0, batch: 0 }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub header: Header,
    pub payload: Vec<u8>,
}

pub const HEADER: usize = 20;
/// The longest DATA payload; how many rows a batch may have follows from it.
pub const MAX_PAYLOAD: usize = 1 << 30;
/// The longest list of requests in one frame.
pub const MAX_LIST: usize = 1 << 16;

impl Kind {
    /// The longest payload of a frame of this type. `data`: what the program can need.
    fn limit(self, data: usize) -> usize {
        match self {
            Kind::Hello => 4096,
            Kind::Epoch => 16,
            Kind::Confirm => 32,
            Kind::Waiting | Kind::Announce => 4 + 20 * MAX_LIST,
            Kind::Data => data.min(MAX_PAYLOAD),
        }
    }

    fn from_byte(byte: u8) -> Option<Kind> {
        [Kind::Hello, Kind::Epoch, Kind::Confirm, Kind::Waiting, Kind::Announce, Kind::Data].into_iter().find(|kind| *kind as u8 == byte)
    }

    /// Whether a frame of this type is part of a batch.
    pub fn of_batch(self) -> bool {
        matches!(self, Kind::Announce | Kind::Data)
    }
}

/// Bytes that are not frames.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a frame of unknown type {0}")]
    Kind(u8),
    #[error("a {0:?} frame of {1} bytes; at most {2} can be needed")]
    Length(Kind, usize, usize),
}

/// Appends a whole frame.
pub fn encode(header: &Header, payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&[header.kind as u8, header.step]);
    out.extend_from_slice(&header.hop.to_le_bytes());
    out.extend_from_slice(&header.instruction.to_le_bytes());
    out.extend_from_slice(&header.batch.to_le_bytes());
    out.extend_from_slice(payload);
}

/// Cuts received bytes into frames. Memory grows with what was received, never with what a header claims.
#[derive(Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    read: usize,
}

impl Decoder {
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.read > 0 && self.read == self.buffer.len() {
            self.buffer.clear();
            self.read = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether the frame that is arriving is part of a batch.
    pub fn in_batch(&self) -> bool {
        self.buffer.get(self.read + 4).and_then(|byte| Kind::from_byte(*byte)).is_some_and(Kind::of_batch)
    }

    /// The next whole frame, if there is one. `data`: the longest payload that a DATA frame may have.
    pub fn next(&mut self, data: usize) -> Result<Option<Frame>, FrameError> {
        let bytes = &self.buffer[self.read..];
        let Some((head, rest)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let kind = Kind::from_byte(head[4]).ok_or(FrameError::Kind(head[4]))?;
        let limit = kind.limit(data);
        if length > limit {
            return Err(FrameError::Length(kind, length, limit));
        }
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        let header = Header {
            kind,
            step: head[5],
            hop: u16::from_le_bytes([head[6], head[7]]),
            instruction: u32::from_le_bytes([head[8], head[9], head[10], head[11]]),
            batch: u64::from_le_bytes([head[12], head[13], head[14], head[15], head[16], head[17], head[18], head[19]]),
        };
        let frame = Frame { header, payload: payload.to_vec() };
        self.read += HEADER + length;
        if self.read > 1 << 20 {
            self.buffer.drain(..self.read);
            self.read = 0;
        }
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_survive_any_cut(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 1..10), cut in 1usize..50, hop in any::<u16>()) {
            let header = Header { kind: Kind::Data, step: 3, hop, instruction: 70_000, batch: 1 << 40 };
            let mut bytes = Vec::new();
            payloads.iter().for_each(|p| encode(&header, p, &mut bytes));
            let mut decoder = Decoder::default();
            let mut frames = Vec::new();
            for part in bytes.chunks(cut) {
                decoder.extend(part);
                while let Some(frame) = decoder.next(100).expect("frames") {
                    frames.push(frame);
                }
            }
            prop_assert!(frames.iter().all(|f| f.header == header));
            prop_assert_eq!(frames.into_iter().map(|f| f.payload).collect::<Vec<_>>(), payloads);
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder::default();
            decoder.extend(&bytes);
            while let Ok(Some(_)) = decoder.next(100) {}
        }
    }

    #[test]
    fn a_frame_longer_than_needed_is_refused_by_its_header_alone() {
        for (kind, length, limit) in [(Kind::Data, 101, 100), (Kind::Hello, 4097, 4096), (Kind::Epoch, 17, 16)] {
            let mut header = Vec::new();
            encode(&Header::control(kind), &vec![0; length], &mut header);
            let mut decoder = Decoder::default();
            decoder.extend(&header[..HEADER]);
            assert_eq!(decoder.next(100), Err(FrameError::Length(kind, length, limit)));
        }
    }
}
