//! The share file on the player's volume: survives restarts, is replaced whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use crate::role::Role;
use crate::shares::{Shares, SharesError};

pub struct Store {
    folder: PathBuf,
    role: Role,
}

/// Why there are no shares to load, or new ones were refused.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the volume {folder}: {why}")]
    Volume { folder: String, why: io::Error },
    #[error(transparent)]
    Shares(#[from] SharesError),
    #[error("this share file is {found}'s and this player is {expected}; each player gets its own")]
    Role { found: Role, expected: Role },
}

impl Store {
    pub fn new(folder: PathBuf, role: Role) -> Store {
        Store { folder, role }
    }

    /// The shares kept from before, if any.
    pub fn load(&self) -> Result<Option<Shares>, StoreError> {
        match fs::read(self.folder.join("shares.safetensors")) {
            Ok(bytes) => self.check(&bytes).map(Some),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(self.volume(e)),
        }
    }

    /// Checks a delivered file and keeps it: written aside, synced, renamed.
    pub fn replace(&self, bytes: &[u8]) -> Result<Shares, StoreError> {
        let shares = self.check(bytes)?;
        let aside = self.folder.join("shares.safetensors.new");
        let write = || -> io::Result<()> {
            let mut file = File::create(&aside)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&aside, self.folder.join("shares.safetensors"))?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|e| self.volume(e))?;
        Ok(shares)
    }

    fn check(&self, bytes: &[u8]) -> Result<Shares, StoreError> {
        let shares = Shares::parse(bytes)?;
        if shares.role != self.role {
            return Err(StoreError::Role { found: shares.role, expected: self.role });
        }
        Ok(shares)
    }

    fn volume(&self, why: io::Error) -> StoreError {
        StoreError::Volume { folder: self.folder.display().to_string(), why }
    }
}
