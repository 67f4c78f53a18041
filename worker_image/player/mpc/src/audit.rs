//! Test builds only (feature `audit`): records which part of which key's stream is used, so that a
//! test can check that none is used twice.
//!
//! A record is 40 bytes long: the first 16 bytes of the key's SHA-256, then as little-endian 64-bit
//! numbers the upper half of the counter block, the first counter and the number of counters.
//! SECUREMODEL_AUDIT names the folder, where each process writes a file of its own.
//! SECUREMODEL_AUDIT_FREEZE stops the counters that keys are derived from: a defect that the test
//! must notice.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

pub type KeyId = [u8; 16];

pub fn key_id(key: &[u8]) -> KeyId {
    let mut id = [0; 16];
    id.copy_from_slice(&Sha256::digest(key)[..16]);
    id
}

/// `blocks` counters from `first` on are used under this key.
pub fn record(key: &KeyId, head: u64, first: u64, blocks: u64) {
    static FILE: OnceLock<Option<File>> = OnceLock::new();
    let open = || {
        let folder = PathBuf::from(std::env::var_os("SECUREMODEL_AUDIT")?);
        let player =
            std::env::args().skip_while(|arg| arg != "--player").nth(1).unwrap_or_default();
        let name = folder.join(format!("{player}-{}", std::process::id()));
        Some(
            File::options()
                .create(true)
                .append(true)
                .open(name)
                .unwrap_or_else(|e| panic!("the audit cannot be written: {e}")),
        )
    };
    let Some(mut file) = FILE.get_or_init(open).as_ref() else { return };
    let mut line = [0; 40];
    line[..16].copy_from_slice(key);
    for (part, number) in line[16..].chunks_exact_mut(8).zip([head, first, blocks]) {
        part.copy_from_slice(&number.to_le_bytes());
    }
    if let Err(e) = file.write_all(&line) {
        panic!("the audit cannot be written: {e}");
    }
}

/// Whether the counters that keys are derived from stand still.
pub fn frozen() -> bool {
    std::env::var_os("SECUREMODEL_AUDIT_FREEZE").is_some()
}
