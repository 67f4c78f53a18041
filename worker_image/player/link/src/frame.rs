//! Frames: a fixed header and a payload (docs/wire.md, Links between players).

use std::io::Read;

use super::announce::ENTRY;

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

/// The bytes of a frame, in whole words: what a batch sends is words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    words: Vec<u64>,
    len: usize,
}

impl std::ops::Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.len]
    }
}

impl Payload {
    /// The payload as words; `None` if the last one is incomplete.
    pub fn into_words(self) -> Option<Vec<u64>> {
        self.len.is_multiple_of(WORD).then_some(self.words)
    }

    /// The buffer that it was received into, for `Pool::give`.
    pub fn into_buffer(self) -> Vec<u64> {
        self.words
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub header: Header,
    pub payload: Payload,
}

const WORD: usize = size_of::<u64>();
pub const HEADER: usize = 20;
/// The longest DATA payload; how many rows a batch may have follows from it.
pub const MAX_PAYLOAD: usize = 1 << 30;
/// The longest list of requests in one frame: a count, then id, rows and number of each.
pub const MAX_LIST: usize = 1 << 16;
const LIST: usize = 4 + ENTRY * MAX_LIST;

impl Kind {
    /// The longest payload of a frame of this type. `data`: what the program can need.
    fn limit(self, data: usize) -> usize {
        match self {
            Kind::Hello => 4096,
            Kind::Epoch => 16,
            Kind::Confirm => 32,
            Kind::Announce => LIST,
            Kind::Waiting => (ENTRY + data).min(MAX_PAYLOAD),
            Kind::Data => data.min(MAX_PAYLOAD),
        }
    }

    fn from_byte(byte: u8) -> Option<Kind> {
        [Kind::Hello, Kind::Epoch, Kind::Confirm, Kind::Waiting, Kind::Announce, Kind::Data]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }

    /// Whether a frame of this type is part of a batch.
    pub fn of_batch(self) -> bool {
        matches!(self, Kind::Announce | Kind::Data)
    }
}

/// Why bytes are not a frame.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a frame of unknown type {0}")]
    Kind(u8),
    #[error("a {0:?} frame of {1} bytes; at most {2} can be needed")]
    Length(Kind, usize, usize),
}

impl Header {
    /// The bytes before a payload of this length.
    pub fn encode(&self, length: usize) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[..4].copy_from_slice(&(length as u32).to_le_bytes());
        out[4..6].copy_from_slice(&[self.kind as u8, self.step]);
        out[6..8].copy_from_slice(&self.hop.to_le_bytes());
        out[8..12].copy_from_slice(&self.instruction.to_le_bytes());
        out[12..].copy_from_slice(&self.batch.to_le_bytes());
        out
    }

    /// The header and the length of the payload. `data`: the longest payload that a DATA frame may
    /// have.
    fn decode(head: &[u8; HEADER], data: usize) -> Result<(Header, usize), FrameError> {
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let kind = Kind::from_byte(head[4]).ok_or(FrameError::Kind(head[4]))?;
        let limit = kind.limit(data);
        if length > limit {
            return Err(FrameError::Length(kind, length, limit));
        }
        let header = Header {
            kind,
            step: head[5],
            hop: u16::from_le_bytes([head[6], head[7]]),
            instruction: u32::from_le_bytes([head[8], head[9], head[10], head[11]]),
            batch: u64::from_le_bytes([
                head[12], head[13], head[14], head[15], head[16], head[17], head[18], head[19],
            ]),
        };
        Ok((header, length))
    }
}

/// Receive buffers for reuse; bounded.
#[derive(Default)]
pub struct Pool(Vec<Vec<u64>>);

impl Pool {
    const BUFFERS: usize = 8;
    const WORDS: usize = (16 << 20) / WORD;

    /// The smallest buffer that holds this many words, else the largest. Its contents are stale.
    fn take(&mut self, words: usize) -> Vec<u64> {
        let fits = |buffer: &Vec<u64>| {
            if buffer.capacity() >= words {
                (0, buffer.capacity())
            } else {
                (1, usize::MAX - buffer.capacity())
            }
        };
        let best = (0..self.0.len()).min_by_key(|i| fits(&self.0[*i]));
        best.map(|i| self.0.swap_remove(i)).unwrap_or_default()
    }

    /// Keeps a buffer, if there is room for it.
    pub fn give(&mut self, buffer: Vec<u64>) {
        let held: usize = self.0.iter().map(Vec::capacity).sum();
        if self.0.len() < Pool::BUFFERS && held + buffer.capacity() <= Pool::WORDS {
            self.0.push(buffer);
        }
    }
}

/// Cuts received bytes into frames. Memory grows with what was received, never with what a header
/// claims.
#[derive(Default)]
pub struct Decoder {
    head: [u8; HEADER],
    /// The header, once it is whole, and the length of the payload.
    current: Option<(Header, usize)>,
    /// Bytes received of the header, then of the payload.
    got: usize,
    payload: Vec<u64>,
    pub pool: Pool,
}

impl Decoder {
    /// How far a payload's buffer may be ahead of what was received.
    const AHEAD: usize = 16 << 10;

    /// Whether the frame that is arriving is part of a batch.
    pub fn in_batch(&self) -> bool {
        self.current.is_some_and(|(header, _)| header.kind.of_batch())
    }

    /// The next whole frame, or `None` if `source` has no more for now. `data`: the longest payload
    /// that a DATA frame may have.
    pub fn next(
        &mut self,
        source: &mut impl Read,
        data: usize,
    ) -> Result<Option<Frame>, FrameError> {
        loop {
            let Some((header, length)) = self.current else {
                self.got += available(source, &mut self.head[self.got..]);
                if self.got < HEADER {
                    return Ok(None);
                }
                let (header, length) = Header::decode(&self.head, data)?;
                (self.current, self.got) = (Some((header, length)), 0);
                self.payload = self.pool.take(length.div_ceil(WORD));
                continue;
            };

            if self.got == length {
                self.payload.truncate(length.div_ceil(WORD));
                (self.current, self.got) = (None, 0);
                return Ok(Some(Frame {
                    header,
                    payload: Payload { words: std::mem::take(&mut self.payload), len: length },
                }));
            }

            let room = length.min(self.got + Decoder::AHEAD);
            if self.payload.len() * WORD < room {
                self.payload.resize(room.div_ceil(WORD), 0);
            }

            let end = length.min(self.payload.len() * WORD);
            let n =
                available(source, &mut bytemuck::cast_slice_mut(&mut self.payload)[self.got..end]);
            if n == 0 {
                return Ok(None);
            }
            self.got += n;
        }
    }
}

/// Reads what is available; zero at the end and where a socket would block.
fn available(source: &mut impl Read, into: &mut [u8]) -> usize {
    source.read(into).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(header: &Header, payload: &[u8]) -> Vec<u8> {
        [&header.encode(payload.len()), payload].concat()
    }

    proptest! {
        #[test]
        fn frames_survive_any_cut(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 1..10),
            cut in 1usize..50,
            hop in any::<u16>(),
        ) {
            let (kind, step, instruction, batch) = (Kind::Data, 3, 70_000, 1 << 40);
            let header = Header { kind, step, hop, instruction, batch };
            let bytes: Vec<u8> = payloads.iter().flat_map(|p| encoded(&header, p)).collect();
            let mut decoder = Decoder::default();
            let mut received = Vec::new();
            for mut part in bytes.chunks(cut) {
                while let Some(frame) = decoder.next(&mut part, 100).expect("frames") {
                    prop_assert_eq!(frame.header, header);
                    received.push(frame.payload.to_vec());
                    decoder.pool.give(frame.payload.into_buffer()); // the next frame finds it dirty
                }
            }
            prop_assert_eq!(received, payloads);
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder::default();
            let mut source = &bytes[..];
            while let Ok(Some(_)) = decoder.next(&mut source, 100) {}
        }
    }

    #[test]
    fn a_frame_longer_than_needed_is_refused_by_its_header_alone() {
        for (kind, length, limit) in [
            (Kind::Data, 101, 100),
            (Kind::Waiting, 129, 128),
            (Kind::Hello, 4097, 4096),
            (Kind::Epoch, 17, 16),
        ] {
            let header = Header::control(kind).encode(length);
            assert_eq!(
                Decoder::default().next(&mut &header[..], 100),
                Err(FrameError::Length(kind, length, limit))
            );
        }
    }

    #[test]
    fn memory_grows_with_what_came_not_with_what_a_header_claims() {
        let mut decoder = Decoder::default();
        let bytes = [&Header::control(Kind::Data).encode(MAX_PAYLOAD)[..], &[1; 100_000]].concat();
        assert_eq!(decoder.next(&mut &bytes[..HEADER], MAX_PAYLOAD), Ok(None));
        assert!(decoder.payload.capacity() * WORD <= 2 * Decoder::AHEAD);
        assert_eq!(decoder.next(&mut &bytes[HEADER..], MAX_PAYLOAD), Ok(None));
        assert!(decoder.payload.capacity() * WORD <= 2 * (100_000 + Decoder::AHEAD));
    }

    #[test]
    fn the_pool_is_bounded_and_gives_what_fits() {
        let mut pool = Pool::default();
        for words in [10, 1000, 100, Pool::WORDS] {
            pool.give(Vec::with_capacity(words));
        }
        assert_eq!([50, 5000, 5, 5].map(|words| pool.take(words).capacity()), [100, 1000, 10, 0]);
        (0..100).for_each(|_| pool.give(vec![0; 1]));
        assert_eq!(pool.0.len(), Pool::BUFFERS);
    }

    #[test]
    fn words_are_whole() {
        let header = Header::control(Kind::Data);
        let frame = |payload: &[u8]| {
            Decoder::default()
                .next(&mut &encoded(&header, payload)[..], 100)
                .expect("valid")
                .expect("whole")
        };
        assert_eq!(
            frame(&[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]).payload.into_words(),
            Some(vec![1, 2])
        );
        assert_eq!(frame(&[]).payload.into_words(), Some(vec![]));
        assert_eq!(frame(&[1; 9]).payload.into_words(), None);
    }
}
