//! Requests on the wire: bob's WAITING, one frame a request, and alice's ANNOUNCE, the requests of
//! a batch (docs/wire.md).

/// Ties the two shares of a request together; drawn by the client.
pub type RequestId = [u8; 16];

/// Bytes of an `Entry`.
pub const ENTRY: usize = 28;

/// A request, and bob's number for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub id: RequestId,
    pub rows: usize,
    pub number: u64,
}

impl Entry {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id);
        out.extend_from_slice(&(self.rows as u32).to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
    }

    fn parse(bytes: &[u8; ENTRY]) -> Entry {
        let (mut id, mut rows, mut number) = ([0; 16], [0; 4], [0; 8]);
        id.copy_from_slice(&bytes[..16]);
        rows.copy_from_slice(&bytes[16..20]);
        number.copy_from_slice(&bytes[20..]);
        Entry { id, rows: u32::from_le_bytes(rows) as usize, number: u64::from_le_bytes(number) }
    }
}

/// WAITING: a request, and bob's masked share of its rows.
pub fn write_waiting(entry: &Entry, masked: &[u64]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(ENTRY + 8 * masked.len());
    entry.put(&mut payload);
    payload.extend_from_slice(bytemuck::cast_slice(masked));
    payload
}

/// Reads a WAITING frame.
pub fn parse_waiting(payload: &[u8]) -> Result<(Entry, Vec<u64>), String> {
    match payload.split_first_chunk() {
        Some((entry, masked)) if masked.len() % 8 == 0 => {
            Ok((Entry::parse(entry), bytemuck::pod_collect_to_vec(masked)))
        }
        _ => Err(format!("a WAITING frame of {} bytes", payload.len())),
    }
}

/// ANNOUNCE: how many rows a batch has in total, and its requests.
pub fn write_announcement(rows: usize, entries: impl Iterator<Item = Entry>) -> Vec<u8> {
    let mut payload = (rows as u32).to_le_bytes().to_vec();
    entries.for_each(|entry| entry.put(&mut payload));
    payload
}

/// Reads an ANNOUNCE frame: 1 to `max_rows` rows, and their requests.
pub fn parse_announcement(payload: &[u8], max_rows: usize) -> Result<(usize, Vec<Entry>), String> {
    let short = || format!("an announcement of {} bytes", payload.len());
    let (rows, list) = payload.split_first_chunk::<4>().ok_or_else(short)?;
    let rows = u32::from_le_bytes(*rows) as usize;

    let entries = list
        .chunks(ENTRY)
        .map(|entry| entry.try_into().map(Entry::parse).map_err(|_| short()))
        .collect::<Result<Vec<Entry>, String>>()?;

    let sum = entries
        .iter()
        .try_fold(0usize, |sum, entry| sum.checked_add(entry.rows).filter(|_| entry.rows > 0));
    if sum != Some(rows) || !(1..=max_rows).contains(&rows) {
        return Err(format!(
            "an announcement of {rows} rows; 1 to {max_rows} are served, \
             give all players the same --max-rows"
        ));
    }
    Ok((rows, entries))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry() -> impl Strategy<Value = Entry> {
        (any::<RequestId>(), 1..100usize, any::<u64>()).prop_map(|(id, rows, number)| Entry {
            id,
            rows,
            number,
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            entries in prop::collection::vec(entry(), 1..20),
            masked in prop::collection::vec(any::<u64>(), 0..50),
        ) {
            let rows = entries.iter().map(|entry| entry.rows).sum();
            let payload = write_announcement(rows, entries.iter().copied());
            let cut_off = &payload[..payload.len() - 1];
            prop_assert_eq!(parse_announcement(&payload, rows), Ok((rows, entries.clone())));
            prop_assert!(parse_announcement(&payload, rows - 1).is_err(), "too many rows");
            prop_assert!(parse_announcement(cut_off, rows).is_err(), "cut off");

            let payload = write_waiting(&entries[0], &masked);
            prop_assert_eq!(parse_waiting(&payload), Ok((entries[0], masked)));
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (parse_waiting(&payload), parse_announcement(&payload, 1 << 16));
        }
    }

    #[test]
    fn rows_have_to_add_up() {
        let entry = |rows| Entry { id: [0; 16], rows, number: 0 };
        for (rows, entries) in
            [(3, vec![entry(1), entry(1)]), (1, vec![entry(1), entry(0)]), (0, vec![])]
        {
            assert!(parse_announcement(&write_announcement(rows, entries.into_iter()), 8).is_err());
        }
    }
}
